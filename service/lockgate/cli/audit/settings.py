"""What the commands of this group read: which log, whom it trusts outside, and who acts."""

import functools
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from lockgate.audit import Actor, VerifierKey, load_public_key
from lockgate.audit.formats.log_policy import POLICY_CHARS_MAX, LogPolicy, parse_log_policy
from lockgate.audit.formats.timestamps import TRUST_BYTES_MAX, TimestampTrust, parse_timestamp_trust
from lockgate.cli.local_settings import settings_options
from lockgate.config import MAIN_LOG, Settings, settings_of_log
from lockgate.errors import ConfigError

R = TypeVar("R")

# Whoever can run commands on the log's machine: the operating system knows them, the log does not.
OPERATOR: Final = Actor(type="system", id="command-line")

log_option: Final = click.option(
    "--log",
    default=MAIN_LOG,
    metavar="ENVIRONMENT",
    help="The log of this environment, one of LOCKGATE_ENVIRONMENT_LOGS. Default: the main log.",
)


def log_settings_options(command: Callable[..., R]) -> Callable[..., R]:
    """Give a command `--log` and where its settings come from, and hand it the settings of that log."""

    @functools.wraps(command)
    def with_log_settings(*args: Any, settings: Settings, log: str, **kwargs: Any) -> R:  # noqa: ANN401 - as click passes on
        return command(*args, settings=settings_of_log(settings, log), **kwargs)

    return log_option(settings_options(with_log_settings))


def configured_log(settings: Settings) -> tuple[str, VerifierKey]:
    """Return the database's URL and the log's public key, whose name is the log's.

    Raises:
        KeyInvalidError: The log's key file is unusable.
    """
    return settings.database_url, load_public_key(settings.log_key_file)


def load_witnesses(settings: Settings, origin: str) -> LogPolicy | None:
    """Read the policy file that names the log's witnesses; None if there is no such setting.

    Raises:
        ConfigError: The file cannot be read, or is about other logs.
        LogPolicyInvalidError: It is no policy.
    """
    if settings.audit_policy is None:
        return None
    try:
        with settings.audit_policy.open(encoding="utf-8", newline="") as file:
            policy = parse_log_policy(file.read(POLICY_CHARS_MAX + 1))
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"LOCKGATE_AUDIT_POLICY: cannot read {settings.audit_policy}: {exc}") from exc
    if not policy.follows(origin):
        raise ConfigError(f"LOCKGATE_AUDIT_POLICY: want a 'log' line of {origin} in {settings.audit_policy}")
    return policy


def load_timestamp_trust(settings: Settings) -> TimestampTrust | None:
    """Read the certificates of time-stamping authorities; None if there is no such setting.

    Raises:
        ConfigError: The file cannot be read.
        TimestampTrustError: It holds none.
    """
    if settings.tsa_roots is None:
        return None
    try:
        with settings.tsa_roots.open("rb") as file:
            return parse_timestamp_trust(file.read(TRUST_BYTES_MAX + 1))
    except OSError as exc:
        raise ConfigError(f"LOCKGATE_TSA_ROOTS: cannot read {settings.tsa_roots}: {exc.strerror}") from exc
