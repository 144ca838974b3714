"""The arrays of tables in the settings, `[[issuer]]` and the like, each read by the room that it is for.

What is wrong with one is said with its file and line, as of every other setting.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from lockgate.alerts import AlertSource, parse_alert_sources
from lockgate.config import Settings, settings_error_at
from lockgate.config.table_arrays import TableInvalidError
from lockgate.delivery.rollout_settings import RolloutSettings, parse_rollouts
from lockgate.delivery.webhooks import Webhook, parse_webhooks
from lockgate.identity import Issuer, parse_issuers
from lockgate.lineage.feature_stores import FeatureStoreSettings, parse_feature_stores
from lockgate.registry import RegistrySettings, parse_registries
from lockgate.usage import UsageSource, parse_usage_sources

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """Every array of tables but the issuers', which a reload reads anew; secrets stay in their files."""

    registries: tuple[RegistrySettings, ...]
    feature_stores: tuple[FeatureStoreSettings, ...]
    webhooks: tuple[Webhook, ...]
    rollouts: tuple[RolloutSettings, ...]
    usage_sources: tuple[UsageSource, ...]
    alert_sources: tuple[AlertSource, ...]


def read_all(settings: Settings) -> Tables:
    """Read all tables, so that whoever starts a process finds out what is wrong with any, needed there or not.

    Looks at nothing but the settings, so that what could be read once can be read again. Raises as `read_registries`.
    """
    return Tables(
        registries=read_registries(settings),
        feature_stores=read_feature_stores(settings),
        webhooks=read_webhooks(settings, secrets=False),  # only who sends needs them
        rollouts=read_rollouts(settings),
        usage_sources=read_usage_sources(settings),
        alert_sources=read_alert_sources(settings),
    )


def read_issuers(settings: Settings, tables: Sequence[Mapping[str, Any]]) -> tuple[Issuer, ...]:
    """Read the `[[issuer]]` tables.

    Raises:
        SettingsError: One of them cannot be used, or people are to log in with one that is not there or has another
            audience; the message has its line.
    """
    issuers = _read(settings, tables, parse_issuers)
    if settings.login_issuer:
        audiences = {issuer.name: issuer.audience for issuer in issuers}
        if settings.login_issuer not in audiences:
            raise settings_error_at(settings.config_file, "login_issuer", "want the name of an [[issuer]]")
        if audiences[settings.login_issuer] != settings.login_client_id:
            want = f"want the audience of the issuer {settings.login_issuer}: its tokens are for its client"
            raise settings_error_at(settings.config_file, "login_client_id", want)
    return issuers


def read_registries(settings: Settings) -> tuple[RegistrySettings, ...]:
    """Read the `[[registry]]` tables.

    Raises:
        SettingsError: One of them cannot be used; the message has its line.
    """
    return _read(settings, settings.tables["registry"], parse_registries)


def read_feature_stores(settings: Settings) -> tuple[FeatureStoreSettings, ...]:
    """Read the `[[feature_store]]` tables. Raises as `read_registries`."""
    return _read(settings, settings.tables["feature_store"], parse_feature_stores)


def read_webhooks(settings: Settings, *, secrets: bool = True) -> tuple[Webhook, ...]:
    """Read the `[[webhook]]` tables; `secrets`: see that theirs can be used. Raises as `read_registries`."""
    return _read(settings, settings.tables["webhook"], partial(parse_webhooks, secrets=secrets))


def read_rollouts(settings: Settings) -> tuple[RolloutSettings, ...]:
    """Read the `[[rollout]]` tables. Raises as `read_registries`."""
    return _read(settings, settings.tables["rollout"], parse_rollouts)


def read_usage_sources(settings: Settings) -> tuple[UsageSource, ...]:
    """Read the `[[usage_source]]` tables. Raises as `read_registries`."""
    return _read(settings, settings.tables["usage_source"], parse_usage_sources)


def read_alert_sources(settings: Settings) -> tuple[AlertSource, ...]:
    """Read the `[[alert_source]]` tables. Raises as `read_registries`."""
    return _read(settings, settings.tables["alert_source"], parse_alert_sources)


def _read(
    settings: Settings, tables: Sequence[Mapping[str, Any]], parse: Callable[[Sequence[Mapping[str, Any]], Path], T]
) -> T:
    folder = Path() if settings.config_file is None else settings.config_file.parent
    try:
        return parse(tables, folder)
    except TableInvalidError as exc:
        raise settings_error_at(settings.config_file, exc.path, exc.detail) from exc
