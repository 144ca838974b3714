"""What the program is set to; how each field is read is in `table.py`, under the same name."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set."""

    config_file: Path | None  # the TOML file that was read, absolute; None: there is none
    tables: Mapping[str, tuple[Mapping[str, Any], ...]]  # its `[[issuer]]` and other tables, as they stand, by key

    data_dir: Path  # the database and the log's key live here unless named apart
    database_url: str
    instance: str  # this process's name in records
    bind: str  # host:port to serve on
    workers: int  # processes that serve
    public_url: str  # where people and CI reach the service; "" where nobody said
    permit_key_file: Path  # signs permits; not there: no permits

    requests_per_minute: int  # of one principal
    requests_at_once: int  # of one principal, in one process
    promotion_ttl_s: float  # a request that nobody decides expires after this
    approval_ttl_s: float  # an approval counts no longer than this

    log_key_file: Path  # the audit log's signing key; its name is the log's origin
    log_signer_command: tuple[str, ...]  # a program that keeps the key of `log_key_file`; empty: the file holds it
    log_former_key_file: Path | None  # the key of before, which signs too while those who verify change over
    log_former_signer_command: tuple[str, ...]  # the same for the key of before
    checkpoint_file: Path  # the log's checkpoints once more, outside the database; one for each machine
    checkpoint_sync: Literal["second", "each"]  # when that file is given to the disk
    environment_logs: tuple[str, ...]  # environments with a log of their own
    audit_policy: Path | None  # the C2SP policy file that names the log's witnesses
    tsa_urls: tuple[str, ...]  # RFC 3161 authorities that anchor the log, the preferred one first
    tsa_roots: Path | None  # their certificates, PEM
    anchor_command: tuple[str, ...]  # a program that has checkpoints signed in Sigstore; empty: none does
    heartbeat_interval_s: float  # a record is written at least this often
    cosign_interval_s: float  # how often witnesses are asked
    anchor_interval_s: float  # how often a checkpoint is anchored

    trust_dir: Path
    default_trust_domain: str  # for evidence that names none
    policy_dir: Path
    policy_config_dir: Path | None  # this deployment's own matrix, signers, environments, freezes; None: the folder's
    policy_engine: Literal["wasm", "opa"]
    policy_timeout_s: float
    opa_url: str  # of the OPA beside this instance; "" unless policy_engine is "opa"
    opa_ca_file: Path | None
    opa_token: str  # "" where OPA wants none

    login_issuer: str  # name of the issuer that people log in with; "": no login
    login_client_id: str
    login_client_secret: str  # "" for a public client
    login_scopes: tuple[str, ...]  # what the issuer is asked for beside `openid`

    traces: Literal["off", "otlp"]
    log_level: Literal["debug", "info", "warning", "error"]
    log_format: Literal["json", "console"]
