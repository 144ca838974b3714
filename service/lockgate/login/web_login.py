"""Logging people in on the web: to the provider, back with a code, and a session of a few hours.

A session is an API token in a cookie: recorded, revocable, and of no more roles than the login vouched for.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from lockgate import observing
from lockgate.administration import Administration
from lockgate.audit import Actor
from lockgate.authentication import Authenticator
from lockgate.clock import NS_PER_S, Clock, is_expired
from lockgate.identity import IdentityStore, Issuer, NewToken, Principal, TokenRefusal
from lockgate.login.attempts import Attempt, begin_attempt, read_callback
from lockgate.login.errors import (
    CodeRefusedError,
    LoginBusyError,
    LoginNotConfiguredError,
    ProviderInvalidError,
    StateMissingError,
    TokenRefusedError,
)
from lockgate.login.id_token_checks import check_access_token, check_authorized_party, check_nonce
from lockgate.login.oauth_messages import Client, access_token_hash, authorization_url, code_request
from lockgate.login.provider_client import OAuthRefusal, Peer, ProviderCache, Tokens, redeem

SESSION_S: Final = 8 * 3600  # a working day; who left the company in the morning is out by the evening
AT_ONCE_MAX: Final = 2  # logins that wait for the provider, of a process's eight threads: the others decide
CALLBACK_PATH: Final = "/login/callback"
_OUR_FAULT: Final = frozenset({"invalid_client", "unauthorized_client", "unsupported_grant_type"})


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginSettings:
    """How people log in.

    Attributes:
        public_url: The gate's own origin, where browsers come back to.
        issuer: The name of the issuer in the settings; its audience is the client's id.
    """

    public_url: str
    issuer: str
    client: Client


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Somebody who has just logged in."""

    principal: Principal
    token: NewToken


class WebLogin:
    """Logs people in and out. Safe to share between threads."""

    def __init__(
        self,
        settings: LoginSettings,
        *,
        store: IdentityStore,
        authenticator: Authenticator,
        administration: Administration,
        clock: Clock,
    ) -> None:
        self.settings = settings
        self._store = store
        self._authenticator = authenticator
        self._administration = administration
        self._clock = clock
        self._providers = ProviderCache(clock)
        self._slots = threading.BoundedSemaphore(AT_ONCE_MAX)

    @property
    def issuer(self) -> Issuer:
        """The issuer in force.

        Raises:
            LoginNotConfiguredError: There is none of its name any more.
        """
        issuer = self._authenticator.find_issuer(self.settings.issuer)
        if issuer is None:
            raise LoginNotConfiguredError("want the issuer that people log in with among those in force")
        return issuer

    def begin(self) -> tuple[Attempt, str]:
        """Begin a login.

        Returns:
            The attempt, whose secret this browser keeps, and where it goes now.

        Raises:
            ProviderUnavailableError: The provider does not say how people log in.
            ProviderInvalidError: What it says cannot be used.
        """
        attempt = begin_attempt()
        provider = self._providers.get(_peer(self.issuer))
        return attempt, authorization_url(provider, self.settings.client, attempt, self._redirect_uri)

    def complete(self, attempt: Attempt | None, parameters: Mapping[str, Sequence[str]]) -> Session:
        """Finish a login with what the browser brought back.

        The steps:
          (1) This browser began an attempt, and what comes back is a code and the answer to it (`read_callback`).
          (2) The provider gives a token for it.
          (3) The token verifies as any other of the issuer's.
          (4) It answers this attempt, and was made for us.
          (5) The issuer's rules make somebody of it, who is admitted as with any other token.
          (6) That somebody has a session, with the roles that this login carries.

        Args:
            attempt: The one that this browser began; None if it began none.
            parameters: Of the query.

        Raises:
            LoginError: A step failed; the class says which.
            IssuerUnavailableError: The issuer's keys are not known now.
            AuditError: The principal or the session could not be recorded, so there is none.
            StorageError: The database failed.
        """
        issuer, client = self.issuer, self.settings.client
        # (1) A code.
        if attempt is None:
            raise StateMissingError("want a login that this browser began less than ten minutes ago; log in again")
        provider = self._providers.get(_peer(issuer))
        code = read_callback(attempt, provider, parameters)
        # (2) A token.
        request = code_request(provider, client, code, attempt, self._redirect_uri)
        if not self._slots.acquire(blocking=False):
            raise LoginBusyError(f"want at most {AT_ONCE_MAX} logins at once; try again")
        try:
            tokens = redeem(_peer(issuer), provider, request)
        finally:
            self._slots.release()
        if isinstance(tokens, OAuthRefusal):
            if tokens.error in _OUR_FAULT:
                raise ProviderInvalidError(f"want the provider to know this client, got {tokens.error}")
            raise CodeRefusedError("want a code that the provider takes: fresh, used once, and its own; log in again")
        # (3) and (4) The token.
        self._check_token(tokens, attempt)
        # (5) Somebody.
        who = self._authenticator.authenticate(tokens.id_token)
        if isinstance(who, TokenRefusal):
            raise TokenRefusedError(f"{who.detail} [{who.code}]")
        # (6) A session.
        token = self._administration.create_token(who.subject, SESSION_S * NS_PER_S, scope=who.roles, actor=_actor(who))
        return Session(principal=who, token=token)

    def end(self, secret: str) -> None:
        """End a session now; of a token that has ended, or never was, nothing is changed.

        Raises:
            AuditError: The end could not be recorded, so there is none.
            StorageError: The database failed.
        """
        info = self._store.find_token(secret)
        if info is None or info.revoked_ns is not None or is_expired(info.expires_ns, self._clock.now_ns()):
            return
        holder = self._store.find_principal(info.subject)
        assert holder is not None  # noqa: S101 - a token has a principal, which is never deleted
        self._administration.revoke_token(info.token_id, _actor(holder.principal))

    @property
    def _redirect_uri(self) -> str:
        return self.settings.public_url + CALLBACK_PATH

    def _check_token(self, tokens: Tokens, attempt: Attempt) -> None:
        # (3) As any other.
        verified = self._authenticator.verify(tokens.id_token)
        if isinstance(verified, TokenRefusal):
            observing.authentication(verified.code)
            raise TokenRefusedError(f"{verified.detail} [{verified.code}]")
        if verified.issuer.name != self.settings.issuer:
            raise TokenRefusedError("want a token of the issuer that people log in with")
        # (4) The answer to this attempt.
        check_nonce(verified.claims, attempt.nonce)
        check_authorized_party(verified.claims, self.settings.client.client_id)
        check_access_token(verified.claims, access_token_hash(tokens.access_token, verified.algorithm))


def _peer(issuer: Issuer) -> Peer:
    return Peer(issuer=issuer.url, ca_file=issuer.ca_file, public_only=not issuer.private_network)


def _actor(principal: Principal) -> Actor:
    return Actor(type=principal.type, id=principal.subject, roles=principal.roles)
