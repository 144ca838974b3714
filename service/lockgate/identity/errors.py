"""What can be wrong with a principal or a token."""

from typing import ClassVar

from lockgate.errors import LockgateError


class IdentityError(LockgateError):
    """A principal cannot be written down as given."""

    code: ClassVar[str] = "identity.invalid"


class PrincipalUnknownError(IdentityError):
    """No principal has this subject."""

    code: ClassVar[str] = "identity.principal_unknown"


class TokenUnknownError(IdentityError):
    """No token has this id."""

    code: ClassVar[str] = "identity.token_unknown"
