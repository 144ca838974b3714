"""The one table of settings: reading, `lockgate config` and docs/configuration.md are all made from it.

To add a setting, add a row here and the field of the same name in `settings.py`; then run `scripts/make-reference`.
"""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from lockgate.config.kinds import Count, Kind, PathTo, Seconds, Text, Words, one_of
from lockgate.names import ENVIRONMENT
from lockgate.outbound_urls import is_loopback

WORKERS_MAX: Final = 64  # more processes than that on one machine wait for its one log
_DAY_S: Final = 86400
_PORT_MAX: Final = 65535
_ADDRESS: Final = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9a-fA-F:.]+\]):([0-9]{1,5})", re.ASCII)
_TOKEN: Final = re.compile(r"[!-~]+")  # RFC 9110: what a header can hold
_SCOPE: Final = re.compile(r"[!#-\[\]-~]+")  # RFC 6749, section 3.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting.

    Attributes:
        name: In the file and of the field of `Settings`; its variable is `LOCKGATE_<NAME>`.
        default: As the variable would hold it; "" is none. May name `{data_dir}`, `{host}` (this machine's name), and
            `{shipped_policies}` and `{shipped_trust}` (what comes with Lockgate).
        example: Shown where the default shows nothing.
        secret: It may lie in a file of its own, `<name>_file`, and is never shown.
        is_url: Of a secret: it is a URL, of which all but the password may be shown.
    """

    name: str
    kind: Kind
    group: str
    help: str
    default: str = ""
    example: str = ""
    required: bool = False
    secret: bool = False
    is_url: bool = False

    @property
    def variables(self) -> tuple[str, ...]:
        """The environment variables of these names."""
        return tuple(f"LOCKGATE_{key.upper()}" for key in self.keys)

    @property
    def keys(self) -> tuple[str, ...]:
        """The names that it can be given under: its own, and that of a secret's file."""
        return (self.name, f"{self.name}_file") if self.secret else (self.name,)


def is_address(text: str) -> bool:
    """Tell whether a text is `host:port`; an IPv6 address stands in brackets."""
    match = _ADDRESS.fullmatch(text)
    return match is not None and int(match[1]) <= _PORT_MAX


def _is_origin(url: str) -> bool:
    try:
        parsed = urlsplit(url)
        fine = parsed.port != 0 and parsed.scheme in {"http", "https"} and parsed.hostname and parsed.path in {"", "/"}
    except ValueError:
        return False
    return bool(fine) and not parsed.query and not parsed.fragment and parsed.username is None


def _is_public_origin(url: str) -> bool:
    return _is_origin(url) and (urlsplit(url).scheme == "https" or is_loopback(urlsplit(url).hostname or ""))


def _url(what: str, example: str) -> str:
    return f"{what}, as {example}, without a path or credentials"


GROUPS: Final = {
    "instance": "This instance",
    "requests": "Requests",
    "log": "The audit log",
    "trust": "Trust and policy",
    "login": "People who log in",
    "observation": "Observation",
}

SETTINGS: Final = (
    Setting(
        name="data_dir",
        kind=PathTo(what="a folder", made_by_us=True),
        group="instance",
        help="The folder of the database and the log's key.",
        example="/var/lib/lockgate",
        required=True,
    ),
    Setting(
        name="database_url",
        kind=Text(want="a database URL", private=True),
        group="instance",
        help="`sqlite:////path/to/file`, or `postgresql://user@host:port/database`.",
        default="sqlite:///{data_dir}/lockgate.db",
        secret=True,
        is_url=True,
    ),
    Setting(
        name="instance",
        kind=Text(),
        group="instance",
        help="This process's name in records.",
        default="{host}",
        example="gate-1",
    ),
    Setting(
        name="bind",
        kind=Text(want="HOST:PORT, as 127.0.0.1:8080 or [::1]:8080", fits=is_address),
        group="instance",
        help="Where `lockgate serve` listens. Put TLS in front.",
        default="127.0.0.1:8080",
    ),
    Setting(
        name="workers",
        kind=Count(at_most=WORKERS_MAX),
        group="instance",
        help="Processes of `lockgate serve`; each serves several requests at a time.",
        default="2",
    ),
    Setting(
        name="public_url",
        kind=Text(
            want=_url("https:// (http:// only of this machine)", "https://gate.example.org"),
            fits=_is_public_origin,
            private=True,
        ),
        group="instance",
        help="Where people and CI reach the gate.",
        example="https://gate.example.org",
    ),
    Setting(
        name="permit_key_file",
        kind=PathTo(what="a file", made_by_us=True),
        group="instance",
        help="The key that signs permits (Ed25519, PEM); where it is missing, nothing is rolled out by permit.",
        default="{data_dir}/permit.key",
    ),
    Setting(
        name="requests_per_minute",
        kind=Count(at_most=1_000_000),
        group="requests",
        help="Of one principal, in one instance; above it 429.",
        default="600",
    ),
    Setting(
        name="requests_at_once",
        kind=Count(at_most=1_000),
        group="requests",
        help="Of one principal, in one process; above it 429.",
        default="4",
    ),
    Setting(
        name="promotion_ttl_s",
        kind=Seconds(at_most=90 * _DAY_S),  # a quarter: evidence older than that is evidence of something else
        group="requests",
        help="A promotion ends so long after its request, pending or allowed, if nobody carried it out: 7 days.",
        default="604800",
    ),
    Setting(
        name="approval_ttl_s",
        kind=Seconds(at_most=90 * _DAY_S),  # as above
        group="requests",
        help="An approval counts no longer than this: 3 days.",
        default="259200",
    ),
    Setting(
        name="log_key_file",
        kind=PathTo(what="a file", made_by_us=True),
        group="log",
        help="The log's signing key; with `log_signer_command`, its public key alone.",
        default="{data_dir}/log.key",
    ),
    Setting(
        name="log_signer_command",
        kind=Words(),
        group="log",
        help="A program that keeps the log's key: reads the text, writes its Ed25519 signature in base64.",
        example="/usr/local/bin/sign --key {key_id}",
    ),
    Setting(
        name="log_former_key_file",
        kind=PathTo(what="a file"),
        group="log",
        help="The key of before, while it is changed (`howto/rotate-the-log-key.md`).",
        example="/var/lib/lockgate/former.key",
    ),
    Setting(
        name="log_former_signer_command",
        kind=Words(),
        group="log",
        help="The program of the key of before.",
        example="/usr/local/bin/sign --key former",
    ),
    Setting(
        name="checkpoint_file",
        kind=PathTo(what="a file", made_by_us=True),
        group="log",
        help="The log's checkpoints once more, outside the database; one for each machine.",
        default="{data_dir}/checkpoints.txt",
    ),
    Setting(
        name="checkpoint_sync",
        kind=one_of(("second", "each")),
        group="log",
        help="When that file is given to the disk: once a `second`, or `each` time, before a receipt leaves.",
        default="second",
    ),
    Setting(
        name="environment_logs",
        kind=Words(word=Text(want="an environment's name", fits=ENVIRONMENT.fullmatch)),
        group="log",
        help="Environments with a log of their own (`howto/give-an-environment-its-own-log.md`).",
        example="production",
    ),
    Setting(
        name="audit_policy",
        kind=PathTo(what="a file"),
        group="log",
        help="The policy file (C2SP tlog-policy) that names the log's witnesses.",
        example="/etc/lockgate/witnesses.policy",
    ),
    Setting(
        name="tsa_urls",
        kind=Words(word=Text(want="a URL", private=True)),
        group="log",
        help="RFC 3161 authorities that anchor the log, the preferred one first.",
        example="https://tsa.example.org/tsr",
    ),
    Setting(
        name="tsa_roots",
        kind=PathTo(what="a file"),
        group="log",
        help="The certificates of these authorities (PEM).",
        example="/etc/lockgate/tsa.pem",
    ),
    Setting(
        name="anchor_command",
        kind=Words(),
        group="log",
        help="A program that has a checkpoint signed: reads it, writes a Sigstore bundle over it.",
        example="/usr/local/bin/sign-checkpoint",
    ),
    Setting(
        name="heartbeat_interval_s",
        kind=Seconds(at_least=2, at_most=7 * _DAY_S),  # half of it is waited for, in whole seconds
        group="log",
        help="A record is written at least this often, by `lockgate audit tend`: 10 minutes.",
        default="600",
    ),
    Setting(
        name="cosign_interval_s",
        kind=Seconds(at_most=_DAY_S),
        group="log",
        help="How often `lockgate audit tend` asks the witnesses: 1 minute.",
        default="60",
    ),
    Setting(
        name="anchor_interval_s",
        kind=Seconds(at_most=31 * _DAY_S),
        group="log",
        help="How often `lockgate audit tend` anchors a checkpoint: 1 hour.",
        default="3600",
    ),
    Setting(
        name="trust_dir",
        kind=PathTo(what="a folder"),
        group="trust",
        help="The folder of trust domain files.",
        default="{shipped_trust}",
        example="/etc/lockgate/trust",
    ),
    Setting(
        name="default_trust_domain",
        kind=Text(),
        group="trust",
        help="For evidence that names none.",
        default="public-good",
    ),
    Setting(
        name="policy_dir",
        kind=PathTo(what="a folder"),
        group="trust",
        help="The policy folder.",
        default="{shipped_policies}",
        example="/etc/lockgate/policies",
    ),
    Setting(
        name="policy_config_dir",
        kind=PathTo(what="a folder"),
        group="trust",
        help="This deployment's matrix, signers, environments and freezes, instead of the policy folder's.",
        example="/etc/lockgate/policy-config",
    ),
    Setting(
        name="policy_engine",
        kind=one_of(("wasm", "opa")),
        group="trust",
        help="`wasm`, or `opa` for an OPA server.",
        default="wasm",
    ),
    Setting(
        name="policy_timeout_s",
        kind=Seconds(at_most=4),  # a decision that takes 5 s is a failure; evidence and the log need the rest
        group="trust",
        help="The policy's whole budget for one decision.",
        default="2",
    ),
    Setting(
        name="opa_url",
        kind=Text(want=_url("http:// or https://", "http://127.0.0.1:8181"), fits=_is_origin, private=True),
        group="trust",
        help="That server; exactly when `policy_engine` is `opa`.",
        example="http://127.0.0.1:8181",
    ),
    Setting(
        name="opa_ca_file",
        kind=PathTo(what="a file"),
        group="trust",
        help="Certificate authorities to trust for it instead of the usual ones (PEM).",
        example="/etc/lockgate/opa-ca.pem",
    ),
    Setting(
        name="opa_token",
        kind=Text(want="a bearer token: ASCII without blanks", fits=_TOKEN.fullmatch, private=True),
        group="trust",
        help="What it wants as a bearer token.",
        secret=True,
    ),
    Setting(
        name="login_issuer",
        kind=Text(),
        group="login",
        help="The `name` of the `[[issuer]]` that people log in with.",
        example="people",
    ),
    Setting(
        name="login_client_id",
        kind=Text(),
        group="login",
        help="What that issuer knows the gate as.",
        example="lockgate",
    ),
    Setting(
        name="login_client_secret",
        kind=Text(private=True),
        group="login",
        help="The gate's secret there; none for a public client.",
        secret=True,
    ),
    Setting(
        name="login_scopes",
        kind=Words(word=Text(want="a scope: ASCII without blanks and quotes", fits=_SCOPE.fullmatch)),
        group="login",
        help="What the issuer is asked for beside `openid`, so that its tokens hold what the rules compare.",
        default="email profile",
    ),
    Setting(
        name="traces",
        kind=one_of(("off", "otlp")),
        group="observation",
        help="`otlp` sends OpenTelemetry traces; needs `lockgate[otel]`, and `OTEL_*` says where to.",
        default="off",
    ),
    Setting(
        name="log_level",
        kind=one_of(("debug", "info", "warning", "error")),
        group="observation",
        help="The lowest level of the log on standard error; each request is one line at `info`.",
        default="info",
    ),
    Setting(
        name="log_format",
        kind=one_of(("json", "console")),
        group="observation",
        help="`json`, one object a line; or `console`, for a person who watches.",
        default="json",
    ),
)
"""Every setting, group by group."""
