"""Whose alerts ask for rollbacks, and what their labels mean: the `[[alert_source]]` tables of the settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lockgate.alerts.errors import AlertSettingsError, AlertSourceUnusableError
from lockgate.config.errors import UnusableValueError
from lockgate.config.secret_files import read_secret
from lockgate.config.table_arrays import read_tables

SOURCES_MAX: Final = 32  # an Alertmanager for each cluster
TOKEN_CHARS_MIN: Final = 16  # below that it is a word that somebody thought of, not a secret
_BY_LABELS: Final = frozenset({"model_label", "environment_label"})
_SEVERITY_LABEL: Final = "severity"  # if not said; what Prometheus's own documentation uses


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactMapping:
    """What alerts with exactly these labels, and perhaps others, are about."""

    labels: Mapping[str, str]
    model: str
    environment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSource:
    """An Alertmanager, and what its labels mean.

    Attributes:
        name: What its path and its log lines call it.
        token_file: Holds the bearer token that it shows; see `read_token`.
        principal: The machine in whose name rollbacks are asked for.
        severity_label: Which label says how bad it is.
        severities: Only alerts with one of these count.
        mappings: Compared in their order, before the labels below.
        model_label: Which label names the model; "": none does.
        environment_label: Which label names the environment; "": none does.
    """

    name: str
    token_file: Path
    principal: str
    severity_label: str
    severities: frozenset[str]
    mappings: tuple[ExactMapping, ...]
    model_label: str
    environment_label: str

    def read_token(self) -> str:
        """Return the token as its file holds it now, so that it may change.

        Raises:
            AlertSourceUnusableError: The file cannot be used at the moment.
        """
        try:
            token = read_secret(self.token_file)
        except UnusableValueError as exc:
            raise AlertSourceUnusableError(f"alert source {self.name}: its token cannot be read") from exc
        if len(token) < TOKEN_CHARS_MIN:
            raise AlertSourceUnusableError(
                f"alert source {self.name}: want a token of at least {TOKEN_CHARS_MIN} characters"
            )
        return token


def parse_alert_sources(tables: Sequence[Mapping[str, Any]], folder: Path = Path()) -> tuple[AlertSource, ...]:
    """Read the `[[alert_source]]` tables.

    Args:
        tables: As they stand in the settings.
        folder: What relative paths of files are relative to.

    Raises:
        AlertSettingsError: One of them cannot be used; it says which part and why.
    """
    for index, table in enumerate(tables):
        named = _BY_LABELS & table.keys()
        if len(named) == 1 or not (named or "mappings" in table):  # the schema says so too, in its own words
            want = "want model_label and environment_label, or mappings, or all of them"
            raise AlertSettingsError(want, f"alert_source[{index}]")
    return read_tables(
        tables,
        "alert_source",
        at_most=SOURCES_MAX,
        error=AlertSettingsError,
        read=lambda table, _path: _read_source(table, folder),
    )


def _read_source(table: Mapping[str, Any], folder: Path) -> AlertSource:
    return AlertSource(
        name=table["name"],
        token_file=folder / table["token_file"],
        principal=table["principal"],
        severity_label=table.get("severity_label", _SEVERITY_LABEL),
        severities=frozenset(table["severities"]),
        mappings=tuple(ExactMapping(**mapping) for mapping in table.get("mappings", ())),
        model_label=table.get("model_label", ""),
        environment_label=table.get("environment_label", ""),
    )
