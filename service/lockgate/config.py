"""The settings: read once at start from `LOCKGATE_*`, checked, then passed around.

There is no insecure default: what decides trust or holds data must be named, or lies in the data folder that must be.
"""

import os
import re
import shlex
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from lockgate.errors import ConfigError
from lockgate.shipped import shipped_folder

_PACKAGE: Final = Path(__file__).parent
_NS_PER_S: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set."""

    data_dir: Path  # the database and the log's key live here unless named apart
    database_url: str
    log_key_file: Path  # the audit log's signing key; its name is the log's origin
    log_former_key_file: Path | None  # the key of before, which signs too while those who verify change over
    log_signer_command: tuple[str, ...]  # a program that keeps the key of `log_key_file`; empty: the file holds it
    log_former_signer_command: tuple[str, ...]  # the same for the key of before
    checkpoint_file: Path  # the log's checkpoints once more, outside the database; one for each machine
    audit_policy: Path | None  # the C2SP policy file that names the log's witnesses
    tsa_urls: tuple[str, ...]  # RFC 3161 authorities that anchor the log, the preferred one first
    tsa_roots: Path | None  # their certificates, PEM
    heartbeat_interval_s: float  # a record is written at least this often
    cosign_interval_s: float  # how often witnesses are asked
    anchor_interval_s: float  # how often a checkpoint is anchored
    policy_dir: Path
    policy_config_dir: Path | None  # this deployment's own matrix, signers, environments, freezes; None: the folder's
    trust_dir: Path
    default_trust_domain: str  # for evidence that names none
    policy_engine: Literal["wasm", "opa"]
    opa_url: str  # of the OPA beside this instance; "" unless policy_engine is "opa"
    opa_ca_file: Path | None
    opa_token_file: Path | None
    policy_timeout_s: float
    promotion_ttl_ns: int  # a request that nobody decides expires after this
    approval_ttl_ns: int  # an approval counts no longer than this
    instance: str  # this process's name in records
    bind: str  # host:port to serve on
    workers: int  # processes that serve
    issuers: tuple[Mapping[str, Any], ...]  # `[[issuer]]` tables as they stand; identity reads them
    public_url: str  # where people and CI reach the service; "" where nobody said
    login_issuer: str  # name of the issuer that people log in with on the web; "": no login
    login_client_id: str
    login_client_secret: str  # "" for a public client
    requests_per_minute: int  # of one principal
    requests_at_once: int  # of one principal, in one process
    environment_logs: tuple[str, ...]  # environments with a log of their own
    traces: Literal["off", "otlp"]


def load_settings(environ: Mapping[str, str] | None = None, **overrides: str) -> Settings:
    """Read the settings.

    Args:
        environ: Variables; the process's own when None.
        overrides: Command-line options by setting name, for example `data_dir="/var/lib/lockgate"`; they win.

    Raises:
        ConfigError: A setting is missing or has an unusable value; the message names the variable.
    """
    values = dict(os.environ if environ is None else environ)
    values.update({f"LOCKGATE_{name.upper()}": value for name, value in overrides.items()})
    reader = _Reader(values)
    data_dir = Path(reader.required("DATA_DIR", "a folder, for example /var/lib/lockgate")).absolute()
    engine = reader.text("POLICY_ENGINE", "wasm")
    if engine not in {"wasm", "opa"}:
        raise ConfigError(f"LOCKGATE_POLICY_ENGINE: want 'wasm' or 'opa', got {engine[:20]!r}")
    opa_url = reader.text("OPA_URL", "")
    if (engine == "opa") != bool(opa_url):
        raise ConfigError("LOCKGATE_OPA_URL: want it exactly when LOCKGATE_POLICY_ENGINE is 'opa'")
    _check_opa_url(opa_url)
    return Settings(
        data_dir=data_dir,
        database_url=reader.text("DATABASE_URL", f"sqlite:///{data_dir / 'lockgate.db'}"),
        log_key_file=Path(reader.text("LOG_KEY_FILE", str(data_dir / "log.key"))),
        log_former_key_file=reader.path("LOG_FORMER_KEY_FILE"),
        log_signer_command=reader.words("LOG_SIGNER_COMMAND"),
        log_former_signer_command=reader.words("LOG_FORMER_SIGNER_COMMAND"),
        checkpoint_file=Path(reader.text("CHECKPOINT_FILE", str(data_dir / "checkpoints.txt"))),
        audit_policy=reader.path("AUDIT_POLICY"),
        tsa_urls=reader.words("TSA_URLS"),
        tsa_roots=reader.path("TSA_ROOTS"),
        heartbeat_interval_s=reader.seconds("HEARTBEAT_INTERVAL_S", 600, at_least=2, at_most=7 * 86400),
        cosign_interval_s=reader.seconds("COSIGN_INTERVAL_S", 60, at_most=86400),
        anchor_interval_s=reader.seconds("ANCHOR_INTERVAL_S", 3600, at_most=31 * 86400),
        policy_dir=Path(reader.text("POLICY_DIR", str(shipped_folder("policies")))),
        policy_config_dir=reader.path("POLICY_CONFIG_DIR"),
        trust_dir=Path(reader.text("TRUST_DIR", str(_PACKAGE / "evidence" / "default_trust"))),
        default_trust_domain=reader.text("DEFAULT_TRUST_DOMAIN", "public-good"),
        policy_engine="opa" if engine == "opa" else "wasm",
        opa_url=opa_url,
        opa_ca_file=reader.path("OPA_CA_FILE"),
        opa_token_file=reader.path("OPA_TOKEN_FILE"),
        policy_timeout_s=reader.seconds("POLICY_TIMEOUT_S", 2.0, at_most=4.0),
        promotion_ttl_ns=int(reader.seconds("PROMOTION_TTL_S", 7 * 86400, at_most=90 * 86400) * _NS_PER_S),
        approval_ttl_ns=int(reader.seconds("APPROVAL_TTL_S", 3 * 86400, at_most=90 * 86400) * _NS_PER_S),
        instance=reader.text("INSTANCE", socket.gethostname()[:64] or "lockgate"),
        bind=reader.text("BIND", "127.0.0.1:8080"),
        workers=reader.count("WORKERS", 2, at_most=64),
        issuers=(),
        public_url=reader.text("PUBLIC_URL", ""),
        login_issuer=reader.text("LOGIN_ISSUER", ""),
        login_client_id=reader.text("LOGIN_CLIENT_ID", ""),
        login_client_secret=reader.text("LOGIN_CLIENT_SECRET", ""),
        requests_per_minute=reader.count("REQUESTS_PER_MINUTE", 600, at_most=1_000_000),
        requests_at_once=reader.count("REQUESTS_AT_ONCE", 4, at_most=1_000),
        environment_logs=reader.words("ENVIRONMENT_LOGS"),
        traces=reader.traces(),
    )


def _check_opa_url(url: str) -> None:
    try:
        parsed = urlsplit(url)
        fine = parsed.port != 0 and parsed.scheme in {"http", "https"} and parsed.hostname and parsed.path in {"", "/"}
    except ValueError:
        fine = False
    if url and not (fine and not parsed.query and not parsed.fragment and parsed.username is None):
        raise ConfigError("LOCKGATE_OPA_URL: want http://host:port or https://host:port, without a path or credentials")


class _Reader:
    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def required(self, name: str, want: str) -> str:
        value = self._values.get(f"LOCKGATE_{name}", "")
        if not value:
            raise ConfigError(f"LOCKGATE_{name} is not set: want {want}")
        return value

    def text(self, name: str, default: str) -> str:
        return self._values.get(f"LOCKGATE_{name}") or default

    def path(self, name: str) -> Path | None:
        value = self._values.get(f"LOCKGATE_{name}")
        return Path(value) if value else None

    def words(self, name: str) -> tuple[str, ...]:
        try:
            return tuple(shlex.split(self._values.get(f"LOCKGATE_{name}") or ""))
        except ValueError as exc:
            raise ConfigError(f"LOCKGATE_{name}: want words as a shell reads them: {exc}") from exc

    def count(self, name: str, default: int, *, at_most: int) -> int:
        text = self._values.get(f"LOCKGATE_{name}") or str(default)
        if not re.fullmatch(r"[1-9][0-9]{0,8}", text, re.ASCII) or int(text) > at_most:
            raise ConfigError(f"LOCKGATE_{name}: want a whole number from 1 to {at_most}, got {text[:20]!r}")
        return int(text)

    def traces(self) -> Literal["off", "otlp"]:
        value = self.text("TRACES", "off")
        if value not in {"off", "otlp"}:
            raise ConfigError(f"LOCKGATE_TRACES: want 'off' or 'otlp', got {value[:20]!r}")
        return "otlp" if value == "otlp" else "off"

    def seconds(self, name: str, default: float, *, at_least: float = 0, at_most: float) -> float:
        text = self._values.get(f"LOCKGATE_{name}") or str(default)
        try:
            value = float(text)
        except ValueError as exc:
            raise ConfigError(f"LOCKGATE_{name}: want a number of seconds, got {text[:20]!r}") from exc
        if value < at_least or not 0 < value <= at_most:  # the second also refuses NaN
            want = f"at least {at_least:g}" if at_least else "more than 0"
            raise ConfigError(f"LOCKGATE_{name}: want {want} and at most {at_most:g} seconds, got {text[:20]}")
        return value


def share_counters(folder: str) -> None:
    """Tell the metrics library where the processes of this instance keep their counters together.

    It reads the variable when it is imported, so this comes first.
    """
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
