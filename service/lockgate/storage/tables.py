"""Every table, in one place, as the newest migration leaves them.

The audit log's `body` columns are the hashed bytes themselves; the columns beside them are derived copies for queries,
and the verifier compares the two.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# --- audit: one row per record, node of the tree, checkpoint ------------------------------------------------------

audit_head = Table(
    "audit_head",
    metadata,
    Column("log", String(255), primary_key=True),  # the log's origin
    Column("size", BigInteger, nullable=False),
    Column("leaf", LargeBinary(32), nullable=False),  # leaf hash of record size-1; 32 zero bytes when empty
    Column("first_seq", BigInteger, nullable=False, server_default="0"),  # records before it were pruned
)

audit_entry = Table(
    "audit_entry",
    metadata,
    Column("log", String(255), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),  # one record at each place: no fork
    Column("body", LargeBinary, nullable=False),
    Column("leaf", LargeBinary(32), nullable=False),
    Column("prev", LargeBinary(32), nullable=False),
    Column("id", String(36), nullable=False),
    Column("kind", String(64), nullable=False),
    Column("ts", String(27), nullable=False),
    Column("actor", String(255), nullable=False),
    Column("subject", String(255)),
    UniqueConstraint("log", "id"),
    Index(None, "log", "kind", "seq"),
    Index(None, "log", "actor", "seq"),
    Index(None, "log", "subject", "seq"),
)

audit_node = Table(
    "audit_node",
    metadata,
    Column("log", String(255), primary_key=True),
    Column("level", Integer, primary_key=True, autoincrement=False),  # 0 = leaves
    Column("idx", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary(32), nullable=False),  # of a complete subtree of 2**level leaves
    sqlite_with_rowid=False,  # else each of these small rows is written twice
)

audit_checkpoint = Table(
    "audit_checkpoint",
    metadata,
    Column("log", String(255), primary_key=True),
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("note", LargeBinary, nullable=False),  # the signed note, exact bytes
)

audit_cosigned = Table(
    "audit_cosigned",
    metadata,
    Column("log", String(255), primary_key=True),
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("note", LargeBinary, nullable=False),  # the checkpoint of this size with the lines of witnesses
)

audit_attachment = Table(
    "audit_attachment",
    metadata,
    Column("log", String(255), primary_key=True),
    Column("sha256", String(64), primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("seq", BigInteger, nullable=False, server_default="0"),  # the newest record that names it
)

audit_erased = Table(
    "audit_erased",
    metadata,
    Column("log", String(255), primary_key=True),
    Column("sha256", String(64), primary_key=True),
)

# --- identity ------------------------------------------------------------------------------------------------------

principal = Table(
    "principal",
    metadata,
    Column("subject", String(255), primary_key=True),
    Column("type", String(16), nullable=False),  # user | machine
    Column("roles", Text, nullable=False),  # canonical JSON list of strings
    Column("identities", Text, nullable=False),  # canonical JSON list: what this principal signs as
    Column("created_ns", BigInteger, nullable=False),
    Column("issuer", String(64), nullable=False, server_default=""),  # whose tokens made it; "" = the command line
    Column("issued_ns", BigInteger),  # when the token was issued whose claims this row is of; NULL = the command line
    Column("disabled_ns", BigInteger),  # since when it may do nothing, whatever its tokens say
)

token = Table(
    "token",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("secret_sha256", String(64), nullable=False, unique=True),
    Column("subject", String(255), ForeignKey("principal.subject"), nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("expires_ns", BigInteger, nullable=False),
    Column("revoked_ns", BigInteger),
    Column("scope", Text),  # canonical JSON list of the roles that the token carries; NULL = all of the principal's
    Column("used_ns", BigInteger),  # when it was last seen, to the nearest quarter of an hour
)

# --- promotion -----------------------------------------------------------------------------------------------------

promotion = Table(
    "promotion",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),  # list order
    Column("id", String(36), nullable=False, unique=True),
    Column("state", String(16), nullable=False),
    Column("row_version", Integer, nullable=False),  # grows with every change; the compare-and-set of a re-decision
    Column("model", String(255), nullable=False),
    Column("version", String(255), nullable=False),
    Column("digest", String(135), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("from_environment", String(64), nullable=False),
    Column("to_environment", String(64), nullable=False),
    Column("requester", String(255), nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("expires_ns", BigInteger, nullable=False),
    Column("request", LargeBinary, nullable=False),  # canonical JSON: what was asked, its bundles by digest
    Column("decision_id", String(36), nullable=False),  # the audit record of the newest decision
    Column(
        "log", String(255), nullable=False, server_default=""
    ),  # the environment whose log has its records; "" = main
    Column("allowed_ns", BigInteger),  # when it was first allowed, whatever became of it since; NULL = never
    Index(None, "state", "expires_ns"),
    Index(None, "model", "digest", "to_environment"),
)

approval = Table(
    "approval",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("id", String(36), nullable=False, unique=True),
    Column("promotion_id", String(36), ForeignKey("promotion.id"), nullable=False, index=True),
    Column("approver", String(255), nullable=False),
    Column("body", LargeBinary, nullable=False),  # canonical JSON: what exactly was approved
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("subject", String(255), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("request_sha256", String(64), nullable=False),
    Column("promotion_id", String(36), nullable=False),
    Column("decision_id", String(36), nullable=False),
    Column("created_ns", BigInteger, nullable=False),
)

# --- registry: models, versions, what is known of them --------------------------------------------------------------

model = Table(
    "model",
    metadata,
    Column("name", String(128), primary_key=True),  # as promotions name it
    Column("registry", String(64), nullable=False),  # where its versions live, by the settings' name; "builtin" = here
    Column("registry_model", String(255), nullable=False),  # its name there
    Column("owner", String(128), nullable=False),  # a team
    Column("tier", String(64), nullable=False),  # as its team declares it; the gate goes by the policy's
    Column("document", LargeBinary, nullable=False),  # canonical JSON: purpose, tags, card and BOM by digest
    Column("row_version", Integer, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("changed_ns", BigInteger, nullable=False),
    Column("retired_ns", BigInteger),
    UniqueConstraint("registry", "registry_model"),
)

model_version = Table(
    "model_version",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),  # list order
    Column("model", String(128), ForeignKey("model.name"), nullable=False),
    Column("version", String(128), nullable=False),
    Column("digest", String(135), nullable=False),
    Column("document", LargeBinary, nullable=False),  # canonical JSON: source, run, tags
    Column("row_version", Integer, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("retired_ns", BigInteger),
    UniqueConstraint("model", "version"),
    Index(None, "digest"),
)

model_pointer = Table(  # the built-in registry's aliases
    "model_pointer",
    metadata,
    Column("model", String(128), primary_key=True),
    Column("alias", String(64), primary_key=True),
    Column("version", String(128), nullable=False),  # "" = moved away; rows are never deleted
)

lineage = Table(  # what was collected about a version, newest last; promotions freeze the newest
    "lineage",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("model", String(128), nullable=False),
    Column("version", String(128), nullable=False),
    Column("sha256", String(64), nullable=False),  # of `body`
    Column("body", LargeBinary, nullable=False),  # canonical JSON, schema v1/registry/lineage
    Column("collected_ns", BigInteger, nullable=False),
    Index(None, "model", "version", "number"),
)

usage = Table(
    "usage",
    metadata,
    Column("model", String(128), primary_key=True),
    Column("version", String(128), primary_key=True),
    Column("environment", String(64), primary_key=True),
    Column("day", Integer, primary_key=True, autoincrement=False),  # days since the epoch, UTC
    Column("source", String(64), primary_key=True),  # who counted
    Column("loads", BigInteger, nullable=False),
    Column("predictions", BigInteger, nullable=False),
    Column("last_ns", BigInteger, nullable=False),
)

# --- rollout: from a decision to what runs --------------------------------------------------------------------------

NEVER_NS: Final = 2**63 - 1  # when a rollout is due that is over, with no share of traffic to take back

rollout = Table(  # one for each promotion that got a permit, and what its executor still has to do
    "rollout",
    metadata,
    Column("promotion_id", String(36), ForeignKey("promotion.id"), primary_key=True),
    Column("model", String(128), nullable=False),
    Column("environment", String(64), nullable=False),
    Column("target", String(64), nullable=False),  # the settings' name of the executor; "pull" = whoever asks
    Column("under_way", Integer),  # 1 while permitted or executing, else NULL: one for each model and environment
    Column("step", Integer, nullable=False),  # steps done
    Column("percent", Integer, nullable=False),  # of traffic, after the last step
    Column("permit_id", String(36), nullable=False),  # the newest
    Column("permit_used_ns", BigInteger),
    Column("attempts", Integer, nullable=False),  # of the step that is due
    Column("due_ns", BigInteger, nullable=False),  # `NEVER_NS` where nothing is left to do
    Column("code", String(64), nullable=False),  # of the last attempt that failed; "" = none
    Column("row_version", Integer, nullable=False),
    UniqueConstraint("model", "environment", "under_way"),
    Index(None, "under_way", "target", "due_ns"),
)

live_interval = Table(
    "live_interval",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("model", String(128), nullable=False),
    Column("environment", String(64), nullable=False),
    Column("version", String(128), nullable=False),  # "" = nobody knows
    Column("digest", String(135), nullable=False),
    Column("from_ns", BigInteger, nullable=False),
    Column("to_ns", BigInteger),  # NULL = still
    Column("is_live", Integer),  # 1 while `to_ns` is NULL, else NULL: one for each model and environment
    Column("promotion_id", String(36), nullable=False),  # "" = out of band
    Column("log", String(255), nullable=False),
    Column("record_id", String(36), nullable=False),  # that says so
    UniqueConstraint("model", "environment", "is_live"),
    Index(None, "model", "environment", "from_ns"),
    Index(None, "is_live", "model", "environment"),
)

hold = Table(  # automation must not promote again what was rolled back; rows are never deleted
    "hold",
    metadata,
    Column("model", String(128), primary_key=True),
    Column("environment", String(64), primary_key=True),
    Column("promotion_id", String(36), nullable=False),  # the rollback
    Column("placed_ns", BigInteger, nullable=False),
    Column("lifted_ns", BigInteger),  # NULL = in force
)

finding = Table(  # what the reconciler found, until somebody closes it
    "finding",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("id", String(36), nullable=False, unique=True),
    Column("kind", String(64), nullable=False),
    Column("model", String(128), nullable=False),
    Column("environment", String(64), nullable=False),
    Column("document", LargeBinary, nullable=False),  # canonical JSON: wanted, found
    Column("is_open", Integer),  # 1 until closed, then NULL: one of a kind for each model and environment
    Column("opened_ns", BigInteger, nullable=False),
    Column("closed_ns", BigInteger),
    UniqueConstraint("kind", "model", "environment", "is_open"),
    Index(None, "is_open", "number"),
)

# --- delivery: events to others -------------------------------------------------------------------------------------

subscriber = Table(  # how far each has been told of each log: the log is the outbox
    "subscriber",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("log", String(255), primary_key=True),
    Column("next_seq", BigInteger, nullable=False),
)

delivery = Table(
    "delivery",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("id", String(36), nullable=False, unique=True),  # the idempotency key that the receiver sees
    Column("subscriber", String(64), nullable=False),
    Column("log", String(255), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("event_type", String(128), nullable=False),
    Column("state", String(16), nullable=False),  # waiting | delivered | dead | gone
    Column("attempts", Integer, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("due_ns", BigInteger, nullable=False),
    Column("tried_ns", BigInteger),
    Column("status", Integer),  # of the last answer; NULL = none came
    Column("code", String(64), nullable=False),  # why the last attempt failed; "" = it did not
    UniqueConstraint("subscriber", "log", "seq"),
    Index(None, "state", "due_ns"),
)

# Marks of what came or was done, so that what comes twice counts once: webhooks of registries by their id, when a
# registry was looked at last and a version hashed (taken away with what they are about), and which failure of an alert
# was recorded about what runs (left: one for each failure of each version that was live).
seen_message = Table(
    "seen_message",
    metadata,
    Column("source", String(64), primary_key=True),
    Column("id", String(255), primary_key=True),
    Column("seen_ns", BigInteger, nullable=False),
)
