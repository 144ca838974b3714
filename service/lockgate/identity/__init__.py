"""Who is asking: principals, their roles, the tokens that stand for them, and whose tokens are believed.

Promises: a token of ours is known only by its hash; an unknown, expired or revoked token is nobody; a role is an exact
string; what an issuer signed counts only by rules that compare exactly; nobody is asked anything in a request's path.
May be imported: everything named here. This room knows nothing of promotions, evidence, policy or HTTP.
"""

from lockgate.identity.errors import (
    IdentityError,
    IssuerInvalidError,
    IssuerUnavailableError,
    NotPermittedError,
    PrincipalTakenError,
    PrincipalUnknownError,
    TokenUnknownError,
)
from lockgate.identity.issuers import Issuer, parse_issuers
from lockgate.identity.jwks_source import JWKSSource
from lockgate.identity.store import IdentityStore, read_principal
from lockgate.identity.types import (
    ROLE_EXAMPLES,
    NewToken,
    Principal,
    PrincipalInfo,
    TokenInfo,
    TokenRefusal,
    parse_principal,
    parse_roles,
)

__all__ = [
    "ROLE_EXAMPLES",
    "IdentityError",
    "IdentityStore",
    "Issuer",
    "IssuerInvalidError",
    "IssuerUnavailableError",
    "JWKSSource",
    "NewToken",
    "NotPermittedError",
    "Principal",
    "PrincipalInfo",
    "PrincipalTakenError",
    "PrincipalUnknownError",
    "TokenInfo",
    "TokenRefusal",
    "TokenUnknownError",
    "parse_issuers",
    "parse_principal",
    "parse_roles",
    "read_principal",
]
