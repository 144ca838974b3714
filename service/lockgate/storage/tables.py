"""Every table, in one place, as the newest migration leaves them.

The audit log's `body` columns are the hashed bytes themselves; the columns beside them are derived copies for queries,
and the verifier compares the two.
"""

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
