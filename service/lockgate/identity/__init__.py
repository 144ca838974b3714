"""Who is asking: principals, their roles, and the tokens that stand for them.

Promises: a token is known only by its hash; an unknown, expired or revoked token is nobody; a role is an exact string.
May be imported: everything named here. This room knows nothing of promotions, evidence, policy or HTTP.
"""

from lockgate.identity.errors import IdentityError, PrincipalUnknownError, TokenUnknownError
from lockgate.identity.permissions import Permission, may_record, permits
from lockgate.identity.store import IdentityStore, read_principal
from lockgate.identity.types import NewToken, Principal, TokenInfo, parse_principal

__all__ = [
    "IdentityError",
    "IdentityStore",
    "NewToken",
    "Permission",
    "Principal",
    "PrincipalUnknownError",
    "TokenInfo",
    "TokenUnknownError",
    "may_record",
    "parse_principal",
    "permits",
    "read_principal",
]
