"""`lockgate doctor`: everything that must be right before the service can decide, checked one by one."""

import stat
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import click
from sqlalchemy import Engine

from lockgate.audit import LogForeignError, load_public_key, load_signer, open_checkpoint, store
from lockgate.bootstrap import build_services, check_settings, open_logs
from lockgate.canonical_json import parse_canonical
from lockgate.cli.exit_codes import ExitCode
from lockgate.cli.local_settings import SettingsSource, source_options
from lockgate.cli.standard_output import emit
from lockgate.clock import EpochNs, format_timestamp, is_expired, parse_timestamp
from lockgate.config import Settings, SettingsError, log_names, settings_of_log
from lockgate.errors import LockgateError
from lockgate.evidence import load_trust_domains
from lockgate.gate_logs import Logs
from lockgate.instance import Instance
from lockgate.policy import CompiledPolicy, PolicyStaleError
from lockgate.policy.compiled import load_policy
from lockgate.policy.data import CONFIG
from lockgate.policy.opa_binary import find_opa
from lockgate.rendering import plain
from lockgate.storage import (
    StorageBusyError,
    StorageError,
    StorageSchemaError,
    check_schema,
    database_exists,
    describe_database,
    open_engine,
    read_transaction,
)
from lockgate.system_clock import SystemClock

# The clock was right at least once after this: a machine without a battery wakes up in 1970 or on its build day.
_EARLIEST: Final = parse_timestamp("2026-01-01T00:00:00.000000Z")
_OPEN_TO_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
DETAIL_CHARS_MAX: Final = 300  # of an exception that nobody foresaw: enough to report it
_DEFECT: Final = "report this as a defect of Lockgate, with the line above"
_INIT: Final = "run 'lockgate init --origin NAME'"


class _UnfitError(LockgateError):
    """Something is there and not as it must be.

    Attributes:
        next_step: What to do about it; "" where the check's own next step says it.
    """

    code = "doctor.unfit"

    def __init__(self, message: str, next_step: str = "") -> None:
        super().__init__(message)
        self.next_step = next_step


@dataclass(frozen=True, slots=True, kw_only=True)
class _Check:
    """One thing that must be right.

    Attributes:
        needs: The checks without which this one would only repeat what they say.
        attempt: Says what is well, or raises.
        next_step: What to do about a failure that brings no next step of its own.
    """

    name: str
    needs: tuple[str, ...] = ()
    attempt: Callable[[Settings], str]
    next_step: str = _DEFECT


@dataclass(frozen=True, slots=True, kw_only=True)
class _Finding:
    name: str
    state: Literal["ok", "FAILED", "not checked"]
    detail: str
    next_step: str = ""


@click.command()
@source_options
def doctor(source: SettingsSource) -> int:
    """Check everything that serving needs.

    Settings, data folder, log key, database, audit log, clock, policy, OPA, trust domains, trusted signers, and one
    decision whose answer is known. Says what to do about each that fails; what cannot be checked for that is said so.

    Exit codes: 0 all well, 3 something is not.

    \b
    Example:
      lockgate doctor
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    well = True
    for finding in _examine(source):
        well = well and finding.state == "ok"
        emit(f"{finding.state:<13}{finding.name:<17}{plain(finding.detail)}\n")
        if finding.next_step:
            emit(f"{'':<13}{'next':<17}{plain(finding.next_step)}\n")
    return ExitCode.ALLOW if well else ExitCode.UNDECIDED


def _examine(source: SettingsSource) -> Iterator[_Finding]:
    try:
        settings = source.load().settings
    except SettingsError as exc:
        next_step = "correct it; docs/configuration.md lists every setting"
        for problem in exc.problems:
            yield _Finding(name="settings", state="FAILED", detail=str(problem), next_step=next_step)
        return
    yield _Finding(name="settings", state="ok", detail=f"data folder {settings.data_dir}")
    unfit: set[str] = set()
    for check in _CHECKS:
        missing = [name for name in check.needs if name in unfit]
        if missing:
            finding = _Finding(name=check.name, state="not checked", detail=f"needs: {', '.join(missing)}")
        else:
            finding = _attempt(check, settings)
        if finding.state != "ok":
            unfit.add(check.name)
        yield finding


def _attempt(check: _Check, settings: Settings) -> _Finding:
    try:
        return _Finding(name=check.name, state="ok", detail=check.attempt(settings))
    except _UnfitError as exc:
        detail, next_step = str(exc), exc.next_step or check.next_step
    except LockgateError as exc:
        detail, next_step = f"{exc} [{exc.code}]", check.next_step
    except Exception as exc:  # noqa: BLE001 - a check that breaks must not keep the others from being made
        detail, next_step = f"the check broke: {type(exc).__name__}: {exc}"[:DETAIL_CHARS_MAX], _DEFECT
    return _Finding(name=check.name, state="FAILED", detail=detail, next_step=next_step)


def _folder(settings: Settings) -> str:
    _must_be_its_owners(settings.data_dir, _INIT)
    return "is its owner's alone"


def _log_keys(settings: Settings) -> str:
    return "; ".join(_log_key(settings_of_log(settings, name)) for name in log_names(settings))


def _log_key(settings: Settings) -> str:
    if settings.log_signer_command:
        signer = load_signer(settings.log_key_file, settings.log_signer_command)
        signer.sign(b"lockgate doctor\n")  # no checkpoint, so of no use to anybody
        return f"of {signer.verifier_key.name}; {settings.log_signer_command[0]} signs with it"
    _must_be_its_owners(
        settings.log_key_file,
        f"if there was a log, put its key back from the backup; if there never was one, {_INIT}",
    )
    return f"of {load_public_key(settings.log_key_file).name}; its owner's alone"


def _must_be_its_owners(path: Path, next_step: str) -> None:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as exc:
        raise _UnfitError(f"{path}: {exc.strerror}", next_step) from exc
    if mode & _OPEN_TO_OTHERS:
        want = f"{mode & stat.S_IRWXU:o}"
        raise _UnfitError(f"{path} is open to others: want mode {want}, got {mode:o}", f"chmod {want} {path}")


def _database(settings: Settings) -> str:
    engine = open_engine(settings.database_url)
    place = engine.url.set(query={}).render_as_string()  # a password in either part stays out
    if not database_exists(engine):  # opening it would make an empty one
        raise _UnfitError(f"there is no database at {place}", _INIT)
    try:
        check_schema(engine)
    except StorageSchemaError as exc:
        raise _UnfitError(str(exc), "run 'lockgate db upgrade'") from exc
    except StorageBusyError as exc:
        raise _UnfitError(str(exc), "try again; if it stays so, find out which process holds it") from exc
    except StorageError as exc:
        next_step = "if this is not the gate's file, correct LOCKGATE_DATABASE_URL; if it is, put the backup back"
        raise _UnfitError(f"{place} cannot be used: {exc}", next_step) from exc
    return f"the tables are those of this version{_warning(engine)}"


def _warning(engine: Engine) -> str:
    found = describe_database(engine)
    warnings = []
    if not found.local and found.tls != "verified":
        warnings.append(
            "the server is not verified, so that anybody in between can read and answer: sslmode=verify-full"
        )
    if not found.durable:
        warnings.append("fsync or full_page_writes is off: a power cut loses acknowledged decisions")
    if found.role is not None and found.rights == "owner":
        warnings.append("this role owns the tables and could change the log: serve as one of 'lockgate db grants'")
    return "".join(f"; warning: {warning}" for warning in warnings)


def _log(settings: Settings) -> str:
    origins = []
    for log in _open_logs(settings):
        try:
            log.check_head()
        except LogForeignError as exc:
            raise _UnfitError(f"{log.origin}: {exc}", _after_foreign(settings, log.origin)) from exc
        origins.append(log.origin)
    return f"{' and '.join(origins)} ends where its newest checkpoint says"


def _after_foreign(settings: Settings, origin: str) -> str:
    with read_transaction(open_engine(settings.database_url)) as connection:
        there = origin in store.read_logs(connection)
    if there:
        return (
            "if the log's key was changed, set LOCKGATE_LOG_KEY_FILE to the new one "
            "(docs/howto/rotate-the-log-key.md); if not, put the log's key back from the backup"
        )
    return f"put the log's key back from the backup; if there never was a log, {_INIT}"


def _clock(settings: Settings) -> str:
    now = SystemClock().now_ns()
    if now < _EARLIEST:
        raise _UnfitError(f"it is {format_timestamp(now)} by this machine")
    for log in _open_logs(settings):
        size = open_checkpoint(log.checkpoint(), [log.key]).size
        newest = parse_canonical(log.records(after=size - 2, limit=1)[0].body)["ts"]
        if now < parse_timestamp(newest):
            raise _UnfitError(f"it is {format_timestamp(now)} by this machine, but a record was made at {newest}")
    return format_timestamp(now)


def _policy(settings: Settings) -> str:
    for variable, folder in (
        ("LOCKGATE_POLICY_DIR", settings.policy_dir),
        ("LOCKGATE_POLICY_CONFIG_DIR", settings.policy_config_dir),
    ):
        if folder is not None and not folder.is_dir():
            raise _UnfitError(f"{variable}: there is no folder {folder}", f"make it, or correct {variable}")
    try:
        compiled = _load_policy(settings)
    except PolicyStaleError as exc:
        raise _UnfitError(str(exc), "run 'lockgate policy build', and commit what it makes") from exc
    unknown = set(settings.environment_logs) - set(compiled.catalogue.environments)
    warning = f"; warning: LOCKGATE_ENVIRONMENT_LOGS names {sorted(unknown)}, which it does not know" if unknown else ""
    data = settings.policy_config_dir or settings.policy_dir / CONFIG
    return f"module is of its sources, revision {compiled.catalogue.revision}, data from {data}{warning}"


def _opa(settings: Settings) -> str:
    opa = find_opa()
    if opa is not None:
        return str(opa)
    if settings.policy_engine == "opa":
        return f"decides at {settings.opa_url}; none of the pinned version here, which only changing the policy needs"
    return "none of the pinned version here; deciding needs none, changing the policy does"


def _trust(settings: Settings) -> str:
    if not settings.trust_dir.is_dir():
        raise _UnfitError(
            f"LOCKGATE_TRUST_DIR: there is no folder {settings.trust_dir}", "make it, or correct LOCKGATE_TRUST_DIR"
        )
    domains = load_trust_domains(settings.trust_dir).by_name
    if settings.default_trust_domain not in domains:
        raise _UnfitError(
            f"the default trust domain {settings.default_trust_domain!r} is not among {sorted(domains)}",
            "correct LOCKGATE_DEFAULT_TRUST_DOMAIN",
        )
    now = SystemClock().now_ns()
    for name, domain in domains.items():
        if domain.valid_until is not None and is_expired(domain.valid_until, now):
            raise _UnfitError(f"{name} accepts no signature made after {format_timestamp(domain.valid_until)}")
    return ", ".join(f"{name} ({_end(domain.valid_until)})" for name, domain in sorted(domains.items()))


def _end(valid_until: EpochNs | None) -> str:
    return "no end in sight" if valid_until is None else f"new signatures until {format_timestamp(valid_until)}"


def _signers(settings: Settings) -> str:
    signers = _load_policy(settings).data["lockgate"]["config"]["trust"]["signers"]
    domains = load_trust_domains(settings.trust_dir).by_name
    for signer in signers:
        if signer["trust_domain"] not in domains:
            raise _UnfitError(
                f"signer {signer['id']!r} is of the trust domain {signer['trust_domain']!r}, "
                f"which is not among {sorted(domains)}"
            )
    return f"{len(signers)}, each of a trust domain that is there"


def _decision(settings: Settings) -> str:
    with tempfile.TemporaryDirectory(prefix="lockgate-") as folder:
        services = build_services(settings, Instance(Path(folder), check_settings(settings)))
        failed = [check for check in services.readiness.check() if not check.ok]
    if failed:
        raise _UnfitError(
            "; ".join(f"{check.name}: {check.detail}" for check in failed),
            f"look whether OPA answers at {settings.opa_url}" if settings.policy_engine == "opa" else "",
        )
    return "an unsigned, unknown model is denied, as it must be"


def _open_logs(settings: Settings) -> Logs:
    return open_logs(settings, SystemClock(), open_engine(settings.database_url))


def _load_policy(settings: Settings) -> CompiledPolicy:
    return load_policy(settings.policy_dir, find_opa(), settings.policy_config_dir)


_CHECKS: Final = (
    _Check(name="data folder", attempt=_folder),
    _Check(
        name="log key",
        needs=("data folder",),
        attempt=_log_keys,
        next_step="put the key back from the backup; nothing else can continue the log",
    ),
    _Check(name="database", needs=("data folder",), attempt=_database),
    _Check(
        name="audit log",
        needs=("log key", "database"),
        attempt=_log,
        next_step="do not write to it; 'lockgate audit verify' says what is wrong since when",
    ),
    _Check(
        name="clock",
        needs=("audit log",),
        attempt=_clock,
        next_step="set the machine's clock from a time server before serving",
    ),
    _Check(
        name="policy",
        attempt=_policy,
        next_step="mend the file that is named; 'lockgate policy check' and 'lockgate policy test' say more",
    ),
    _Check(name="opa", attempt=_opa),
    _Check(
        name="trust domains",
        attempt=_trust,
        next_step="put current trusted roots into LOCKGATE_TRUST_DIR (docs/formats/evidence.md)",
    ),
    _Check(
        name="trusted signers",
        needs=("policy", "trust domains"),
        attempt=_signers,
        next_step="add the trust domain's file to LOCKGATE_TRUST_DIR, or correct trust/data.json of the policy",
    ),
    _Check(name="decision", needs=("audit log", "policy", "trust domains"), attempt=_decision),
)
