"""The tokens of people who logged in from this machine, by gate: a file that nobody else can read."""

import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import click
import orjson

from lockgate.canonical_json import MalformedJSONError, parse_json
from lockgate.clock import EpochNs, format_timestamp, is_expired, parse_timestamp
from lockgate.errors import ConfigError
from lockgate.schemas import SchemaError, check_schema

CREDENTIALS_BYTES_MAX: Final = 1024 * 1024  # a hundred gates' tokens, and room
_SCHEMA: Final = "v1/config/credentials"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """One login at one gate."""

    url: str
    token: str = field(repr=False)
    expires: EpochNs


def credentials_file() -> Path:
    """Return where they are kept: `lockgate/credentials.json` in `$XDG_CONFIG_HOME`, or where the system has such."""
    return Path(click.get_app_dir("lockgate")) / "credentials.json"


def read_credential(url: str) -> Credential | None:
    """Return the login at a gate, also one that has ended; None if there is none.

    Raises:
        ConfigError: The file cannot be read, is none of ours, or can be read by others.
    """
    return next((one for one in _read() if one.url == _normal(url)), None)


def keep_credential(url: str, token: str, expires: EpochNs, now: EpochNs) -> None:
    """Keep a login in the place of one at the same gate; those that have ended are dropped.

    Raises:
        ConfigError: As `read_credential`, or the file cannot be written.
    """
    others = [one for one in _read() if one.url != _normal(url) and not is_expired(one.expires, now)]
    _write([*others, Credential(url=_normal(url), token=token, expires=expires)])


def forget_credential(url: str) -> bool:
    """Drop the login at a gate; tell whether there was one. Raises as `keep_credential`."""
    before = _read()
    others = [one for one in before if one.url != _normal(url)]
    if len(others) < len(before):
        _write(others)
    return len(others) < len(before)


def _normal(url: str) -> str:
    return url.rstrip("/")


def _read() -> list[Credential]:
    path = credentials_file()
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(CREDENTIALS_BYTES_MAX + 1)
    except FileNotFoundError:
        return []
    except OSError as exc:
        raise ConfigError(f"cannot read {path}: {exc.strerror}") from exc
    if mode & 0o077:
        raise ConfigError(f"want {path} with mode 0600, got {mode & 0o777:04o}: others may have read it; delete it")
    try:
        document = parse_json(data, bytes_max=CREDENTIALS_BYTES_MAX)
        check_schema(_SCHEMA, document)
    except (MalformedJSONError, SchemaError) as exc:
        raise ConfigError(f"want {path} as 'lockgate login' writes it; delete it and log in again") from exc
    return [
        Credential(url=gate["url"], token=gate["token"], expires=parse_timestamp(gate["expires_at"]))
        for gate in document["gates"]
    ]


def _write(credentials: list[Credential]) -> None:
    path = credentials_file()
    document: dict[str, Any] = {
        "schema_version": 1,
        "gates": [
            {"url": one.url, "token": one.token, "expires_at": format_timestamp(one.expires)} for one in credentials
        ],
    }
    beside = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Made with its mode, so that at no moment somebody else can open it; moved when it is whole.
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(orjson.dumps(document, option=orjson.OPT_INDENT_2))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as exc:
        beside.unlink(missing_ok=True)
        raise ConfigError(f"cannot write {path}: {exc.strerror}") from exc
