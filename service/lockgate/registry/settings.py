"""Which registries there are beside the built-in one, and which pointers are the gate's: the `[[registry]]` tables."""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, TypeAlias

from lockgate.config.errors import UnusableValueError
from lockgate.config.secret_files import read_secret
from lockgate.config.table_arrays import TableInvalidError, read_tables
from lockgate.outbound_urls import find_url_fault
from lockgate.registry.errors import RegistryUnavailableError

RegistryType: TypeAlias = Literal["builtin", "mlflow", "kubeflow-hub"]
Response: TypeAlias = Literal["observe", "alert", "restore", "freeze"]
"""What answers a finding: a record and no alarm; an alarm, too; the pointer is moved back; the model is held."""

REGISTRIES_MAX: Final = 32  # one for each team that runs its own; each is asked in turn
TIMEOUT_S: Final = 10.0  # if not said; a registry's slowest page of models takes a second or two
PREVIOUS_SUFFIX: Final = "-previous"  # of the pointer to what was live before
_RESERVED: Final = re.compile(r"latest|v[0-9]+", re.ASCII)  # MLflow keeps these for itself, in any case of letters


class RegistryInvalidError(TableInvalidError):
    """The settings of a registry cannot be used."""

    code: ClassVar[str] = "registry.settings_invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseRule:
    """How findings about models of a tier are answered.

    Attributes:
        tier: As the policy calls it; "*" = any.
        kinds: Of findings; empty = all.
    """

    tier: str
    kinds: frozenset[str]
    response: Response


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrySettings:
    """How a registry is reached, and which of its pointers are the gate's to move.

    Attributes:
        name: What models and records call it.
        url: Where it answers, without a slash at the end; "" for the built-in one.
        user: Whose password `token_file` holds, for HTTP Basic; "" where it holds a bearer token.
        token_file: Holds the bearer token or the password; see `read_authorization`.
        ca_file: Certificate authorities to trust instead of the usual ones.
        timeout_s: For one whole exchange, in seconds.
        aliases: By environment, the alias that stands for it in this registry.
        responses: How findings are answered; the first rule that fits counts, and none means `alert`.
        webhook_secret_file: Holds what its webhooks are signed with; None = it has none here.
        webhook_former_secret_file: Holds what they were signed with before, while both are good.
    """

    name: str
    type: RegistryType
    url: str
    user: str
    token_file: Path | None
    ca_file: Path | None
    timeout_s: float
    aliases: Mapping[str, str]
    responses: tuple[ResponseRule, ...] = ()
    webhook_secret_file: Path | None = None
    webhook_former_secret_file: Path | None = None

    def read_authorization(self) -> str | None:
        """Return the header of this name, with what the file holds now; None where none is wanted.

        Raises:
            RegistryUnavailableError: The file cannot be used at the moment.
        """
        if self.token_file is None:
            return None
        try:
            secret = read_secret(self.token_file)
        except UnusableValueError as exc:
            raise RegistryUnavailableError(f"registry {self.name}: {exc}") from exc
        if not self.user:
            return f"Bearer {secret}"
        return f"Basic {base64.b64encode(f'{self.user}:{secret}'.encode()).decode()}"  # RFC 7617, section 2


def parse_registries(tables: Sequence[Mapping[str, Any]], folder: Path = Path()) -> tuple[RegistrySettings, ...]:
    """Read the `[[registry]]` tables.

    Args:
        tables: As they stand in the settings.
        folder: What relative paths of files are relative to.

    Raises:
        RegistryInvalidError: One of them cannot be used; it says which part and why.
    """
    return read_tables(
        tables,
        "registry",
        at_most=REGISTRIES_MAX,
        error=RegistryInvalidError,
        read=lambda table, path: _read_registry(table, path, folder),
    )


def _read_registry(table: Mapping[str, Any], path: str, folder: Path) -> RegistrySettings:
    url = table.get("url", "")
    if url and (fault := find_url_fault(url)):
        raise RegistryInvalidError(fault, f"{path}.url")
    files = {
        key: folder / table[key]
        for key in ("token_file", "ca_file", "webhook_secret_file", "webhook_former_secret_file")
        if key in table
    }
    return RegistrySettings(
        name=table["name"],
        type=table["type"],
        url=url.rstrip("/"),
        user=table.get("user", ""),
        token_file=files.get("token_file"),
        ca_file=files.get("ca_file"),
        timeout_s=float(table.get("timeout_s", TIMEOUT_S)),
        aliases=_parse_aliases(table.get("aliases", ()), f"{path}.aliases"),
        responses=tuple(
            ResponseRule(tier=row["tier"], kinds=frozenset(row.get("kinds", ())), response=row["response"])
            for row in table.get("responses", ())
        ),
        webhook_secret_file=files.get("webhook_secret_file"),
        webhook_former_secret_file=files.get("webhook_former_secret_file"),
    )


def _parse_aliases(rows: Sequence[Mapping[str, str]], path: str) -> dict[str, str]:
    # Case of letters tells no two of them apart: a registry may keep it (MLflow does), people do not see it.
    aliases: dict[str, str] = {}
    taken: set[str] = set()
    for index, row in enumerate(rows):
        alias = row["alias"].lower()
        if row["environment"] in aliases:
            raise RegistryInvalidError("want each environment once", f"{path}[{index}].environment")
        if _RESERVED.fullmatch(alias):
            raise RegistryInvalidError(
                "want an alias that is not 'latest' or 'v' and a number", f"{path}[{index}].alias"
            )
        if taken & {alias, alias + PREVIOUS_SUFFIX}:
            raise RegistryInvalidError(
                f"want an alias of its own; each also stands with {PREVIOUS_SUFFIX!r} behind it",
                f"{path}[{index}].alias",
            )
        taken |= {alias, alias + PREVIOUS_SUFFIX}
        aliases[row["environment"]] = row["alias"]
    return aliases
