"""Why somebody is not logged in."""

from typing import ClassVar

from lockgate.errors import LockgateError


class LoginError(LockgateError):
    """Nobody is logged in."""

    code: ClassVar[str] = "login.failed"


class LoginNotConfiguredError(LoginError):
    """The settings name no issuer that people log in with."""

    code: ClassVar[str] = "login.not_configured"


class ProviderUnavailableError(LoginError):
    """The provider gave no usable answer in time; it may later."""

    code: ClassVar[str] = "login.provider_unavailable"


class ProviderInvalidError(LoginError):
    """What the provider answers breaks the protocol, or leaves out what this login needs."""

    code: ClassVar[str] = "login.provider_invalid"


class LoginBusyError(LoginError):
    """As many logins as may wait for the provider do so already."""

    code: ClassVar[str] = "login.busy"


class StateMissingError(LoginError):
    """This browser began no login, or began it too long ago."""

    code: ClassVar[str] = "login.state_missing"


class StateMismatchError(LoginError):
    """The answer is to another login than the one that this browser began."""

    code: ClassVar[str] = "login.state_mismatch"


class IssuerMismatchError(LoginError):
    """The answer comes from another provider than the one that was asked (RFC 9207)."""

    code: ClassVar[str] = "login.issuer_mismatch"


class CallbackInvalidError(LoginError):
    """The answer that the browser brings breaks the protocol."""

    code: ClassVar[str] = "login.callback_invalid"


class LoginDeclinedError(LoginError):
    """The person, or the provider, said no."""

    code: ClassVar[str] = "login.declined"


class CodeRefusedError(LoginError):
    """The provider gives no token for this code: it was used, is too old, or is another client's."""

    code: ClassVar[str] = "login.code_refused"


class TokenRefusedError(LoginError):
    """The token that the provider gave stands for nobody here."""

    code: ClassVar[str] = "login.token_refused"


class NonceMismatchError(LoginError):
    """The token answers another login than this one."""

    code: ClassVar[str] = "login.nonce_mismatch"


class AuthorizedPartyError(LoginError):
    """The token was made for another client."""

    code: ClassVar[str] = "login.authorized_party"


class AccessTokenHashError(LoginError):
    """The ID token and the access token beside it do not belong together."""

    code: ClassVar[str] = "login.access_token_hash"


class LoginExpiredError(LoginError):
    """Nobody finished the login in time."""

    code: ClassVar[str] = "login.expired"
