"""What can be wrong with a principal, a token, or an issuer."""

from typing import ClassVar

from lockgate.config.table_arrays import TableInvalidError
from lockgate.errors import LockgateError


class IdentityError(LockgateError):
    """A principal cannot be written down as given."""

    code: ClassVar[str] = "identity.invalid"


class NotPermittedError(IdentityError):
    """The principal may not do this, or not to this object."""

    code: ClassVar[str] = "identity.not_permitted"


class PrincipalUnknownError(IdentityError):
    """No principal has this subject."""

    code: ClassVar[str] = "identity.principal_unknown"


class PrincipalTakenError(IdentityError):
    """A principal of this name exists, and somebody else says who it is: another issuer, or the command line."""

    code: ClassVar[str] = "identity.principal_taken"


class TokenUnknownError(IdentityError):
    """No token has this id."""

    code: ClassVar[str] = "identity.token_unknown"


class IssuerInvalidError(TableInvalidError):
    """The settings of an issuer cannot be used."""

    code: ClassVar[str] = "identity.issuer_invalid"


class JWKSInvalidError(IdentityError):
    """What should be an issuer's keys is none, or holds what no issuer may publish."""

    code: ClassVar[str] = "identity.jwks_invalid"


class IssuerUnavailableError(IdentityError):
    """An issuer's keys are not known now, so that nothing can be said about its tokens."""

    code: ClassVar[str] = "identity.issuer_unavailable"
