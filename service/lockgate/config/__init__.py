"""The settings: one TOML file, `LOCKGATE_*` variables and secrets in files, read once at start, checked, passed around.

There is no insecure default: what decides trust or holds data must be named, or lies in the data folder that must be.
`table.py` lists every setting; docs/configuration.md is made from it.

May be imported from here: `Settings`, `load_settings`, and what `lockgate config` and reloading need beside them;
`display.py` writes settings for people.
"""

from lockgate.config.errors import Place, Problem, SettingsError
from lockgate.config.loading import LoadedSettings, SetValue, load, load_settings, load_tables, settings_error_at
from lockgate.config.log_files import (
    MAIN_LOG,
    is_main_origin,
    log_names,
    log_of_origin,
    origin_of_log,
    settings_of_log,
)
from lockgate.config.names import CLIENT_VARIABLES, CONFIG_VARIABLE
from lockgate.config.process import share_counters
from lockgate.config.settings import Settings
from lockgate.config.table import SETTINGS, WORKERS_MAX, Setting, is_address

__all__ = [
    "CLIENT_VARIABLES",
    "CONFIG_VARIABLE",
    "MAIN_LOG",
    "SETTINGS",
    "WORKERS_MAX",
    "LoadedSettings",
    "Place",
    "Problem",
    "SetValue",
    "Setting",
    "Settings",
    "SettingsError",
    "is_address",
    "is_main_origin",
    "load",
    "load_settings",
    "load_tables",
    "log_names",
    "log_of_origin",
    "origin_of_log",
    "settings_error_at",
    "settings_of_log",
    "share_counters",
]
