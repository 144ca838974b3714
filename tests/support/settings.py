"""Settings for tests: a value of each, and what is wrong with others."""

from pathlib import Path
from typing import Any, Final

import pytest

from lockgate.config import SettingsError, load_settings

DATA: Final = {"LOCKGATE_DATA_DIR": "/var/lib/lockgate"}

# Of each setting: a value as TOML holds it, and the same as a variable holds it.
GIVEN: Final[dict[str, tuple[Any, str]]] = {
    "data_dir": ("/srv/gate", "/srv/gate"),
    "database_url": ("postgresql://gate@db/gate", "postgresql://gate@db/gate"),
    "instance": ("gate-7", "gate-7"),
    "bind": ("[::1]:9000", "[::1]:9000"),
    "workers": (5, "5"),
    "public_url": ("https://gate.example.org", "https://gate.example.org"),
    "permit_key_file": ("/keys/permit.key", "/keys/permit.key"),
    "requests_per_minute": (60, "60"),
    "requests_at_once": (9, "9"),
    "promotion_ttl_s": (3600.5, "3600.5"),
    "approval_ttl_s": (60, "60"),
    "log_key_file": ("/keys/log.pub", "/keys/log.pub"),
    "log_signer_command": (["/opt/sign it", "--key", "$(id)"], "'/opt/sign it' --key $(id)"),
    "log_former_key_file": ("/keys/former.key", "/keys/former.key"),
    "log_former_signer_command": (["/opt/sign"], "/opt/sign"),
    "checkpoint_file": ("/mnt/checkpoints", "/mnt/checkpoints"),
    "checkpoint_sync": ("each", "each"),
    "environment_logs": (["production", "staging"], "production staging"),
    "audit_policy": ("/etc/witnesses", "/etc/witnesses"),
    "anchor_command": (["/opt/anchor it", "$(id)"], "'/opt/anchor it' $(id)"),
    "tsa_urls": (["https://a.example", "https://b.example"], "https://a.example https://b.example"),
    "tsa_roots": ("/etc/tsa.pem", "/etc/tsa.pem"),
    "heartbeat_interval_s": (2, "2"),
    "cosign_interval_s": (0.5, "0.5"),
    "anchor_interval_s": (86400, "86400"),
    "trust_dir": ("/etc/trust", "/etc/trust"),
    "default_trust_domain": ("ours", "ours"),
    "policy_dir": ("/etc/policies", "/etc/policies"),
    "policy_config_dir": ("/etc/config", "/etc/config"),
    "policy_engine": ("opa", "opa"),
    "policy_timeout_s": (4, "4"),
    "opa_url": ("http://127.0.0.1:8181", "http://127.0.0.1:8181"),
    "opa_ca_file": ("/etc/opa.pem", "/etc/opa.pem"),
    "opa_token": ("s3cret", "s3cret"),
    "login_issuer": ("people", "people"),
    "login_client_id": ("lockgate", "lockgate"),
    "login_client_secret": ("also s3cret", "also s3cret"),
    "login_scopes": (["email", "groups"], "email groups"),
    "traces": ("otlp", "otlp"),
    "log_level": ("debug", "debug"),
    "log_format": ("console", "console"),
}


def problems(environ: dict[str, str], config: Path | None = None) -> list[str]:
    """Return what is wrong with the settings, a line each."""
    with pytest.raises(SettingsError) as caught:
        load_settings(environ, config=config)
    assert caught.value.code == "config.invalid"
    return str(caught.value).split("\n")
