"""Who is asking: a bearer token of ours or of a configured issuer, and the principal that it stands for now.

It asks the database and nobody else: issuers' keys are fetched in the background (`lockgate.identity.jwks_source`).
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from lockgate import observing
from lockgate.administration import Administration, is_confirmed, is_news
from lockgate.clock import Clock, EpochNs, is_expired
from lockgate.digests import Sha256Hex, sha256_hex
from lockgate.errors import LockgateError
from lockgate.identity import IdentityStore, Principal, TokenRefusal
from lockgate.identity.id_tokens import VerifiedToken, verify_id_token
from lockgate.identity.issuers import Issuer
from lockgate.identity.jwks import VerificationKey
from lockgate.identity.jwks_source import JWKSSource
from lockgate.identity.store import TOKEN_PREFIX
from lockgate.identity.vouching import Vouched, carrying, vouch

VERIFIED_MAX: Final = 4096  # tokens at work at the same time; half a kilobyte each
_UNKNOWN: Final = TokenRefusal(code="identity.token_unknown", detail="want a token that is known and not expired")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """A token that was verified, and whom it stands for."""

    issuer: Issuer
    key: VerificationKey
    vouched: Vouched
    issued: EpochNs
    expires: EpochNs


class _Trusted:
    """The issuers in force, their keys, and the tokens that were verified under them."""

    def __init__(self, issuers: Sequence[Issuer], keys: JWKSSource) -> None:
        self.issuers = tuple(issuers)
        self.keys = keys
        self._lock = threading.Lock()
        self._known: OrderedDict[Sha256Hex, _Known] = OrderedDict()  # the one used last is the last

    def recall(self, token_sha256: Sha256Hex, now: EpochNs) -> _Known | None:
        """Return what is known of a token that has not expired and whose key its issuer still has.

        Raises:
            IssuerUnavailableError: As `JWKSSource.find`.
        """
        with self._lock:
            known = self._known.get(token_sha256)
            if known is None:
                return None
            self._known.move_to_end(token_sha256)
        if is_expired(known.expires, now) or self.keys.find(known.issuer, known.key.kid) != known.key:
            return None
        return known

    def remember(self, token_sha256: Sha256Hex, known: _Known) -> None:
        with self._lock:
            self._known[token_sha256] = known
            self._known.move_to_end(token_sha256)
            while len(self._known) > VERIFIED_MAX:
                self._known.popitem(last=False)


class Authenticator:
    """Turns bearer tokens into principals. Safe to share between threads."""

    def __init__(
        self,
        *,
        store: IdentityStore,
        administration: Administration,
        issuers: Sequence[Issuer],
        keys: JWKSSource,
        clock: Clock,
    ) -> None:
        self._store = store
        self._administration = administration
        self._clock = clock
        self._trusted = _Trusted(issuers, keys)

    def replace(self, issuers: Sequence[Issuer], keys: JWKSSource) -> None:
        """Trust other issuers from now on; every token is verified anew."""
        former = self._trusted.keys
        keys.take_over(former)
        keys.start()
        self._trusted = _Trusted(issuers, keys)
        former.stop()

    def key_ages_s(self) -> dict[str, float | None]:
        """Return how old each issuer's keys are, in seconds; None where there are none yet."""
        return dict(self._trusted.keys.ages_s())

    def find_issuer(self, name: str) -> Issuer | None:
        """Return the issuer in force with this name, or None."""
        return next((issuer for issuer in self._trusted.issuers if issuer.name == name), None)

    def verify(self, token: str) -> VerifiedToken | TokenRefusal:
        """Return what an issuer says in a token, or why it is not believed; nobody is admitted by that.

        Raises:
            IssuerUnavailableError: The issuer's keys are not known now.
        """
        trusted = self._trusted
        return verify_id_token(token, trusted.issuers, trusted.keys.find, self._clock.now_ns())

    def expiry_of(self, bearer: str) -> EpochNs | None:
        """Return when a bearer token ends that stands for somebody; None for one that is not known any more.

        Raises:
            IssuerUnavailableError: The issuer's keys are not known now.
            StorageError: The database failed.
        """
        if bearer.startswith(TOKEN_PREFIX):
            info = self._store.find_token(bearer)
            return None if info is None else info.expires_ns
        verified = self.verify(bearer)
        return None if isinstance(verified, TokenRefusal) else verified.expires

    def authenticate(self, bearer: str) -> Principal | TokenRefusal:
        """Return whom a bearer token stands for now, with the roles that it carries, or why for nobody.

        Args:
            bearer: An API token of ours, which begins with `lgt_`, or an issuer's token.

        Raises:
            IssuerUnavailableError: The issuer's keys are not known now; the caller must not take that for "nobody".
            AuditError: A principal that is new or changed could not be recorded.
            StorageError: The database failed; not "nobody" either.
        """
        try:
            who = self._of_ours(bearer) if bearer.startswith(TOKEN_PREFIX) else self._of_issuer(bearer)
        except LockgateError as exc:
            observing.authentication(exc.code)
            raise
        observing.authentication(who.code if isinstance(who, TokenRefusal) else "ok")
        return who

    def _of_ours(self, token: str) -> Principal | TokenRefusal:
        info = self._store.authenticate(token)
        if info is None:
            return _UNKNOWN
        # An issuer that is believed no more made its principals, and whoever it let in logged in for a session.
        if info.issuer and self.find_issuer(info.issuer) is None:
            return TokenRefusal(
                code="identity.issuer_unknown", detail="its principal is of an issuer that is not believed any more"
            )
        return info.principal

    def _of_issuer(self, token: str) -> Principal | TokenRefusal:
        trusted = self._trusted  # once: while this goes on, others may come into force
        if not trusted.issuers:
            return _UNKNOWN
        now = self._clock.now_ns()
        token_sha256 = sha256_hex(token.encode())
        known = trusted.recall(token_sha256, now)
        if known is None:
            verified = verify_id_token(token, trusted.issuers, trusted.keys.find, now)
            if isinstance(verified, TokenRefusal):
                return verified
            vouched = vouch(verified.issuer, verified.claims)
            if isinstance(vouched, TokenRefusal):
                return vouched
            known = _Known(
                issuer=verified.issuer,
                key=verified.key,
                vouched=vouched,
                issued=verified.issued,
                expires=verified.expires,
            )
            trusted.remember(token_sha256, known)
        return self._admit(known)

    def _admit(self, known: _Known) -> Principal | TokenRefusal:
        principal, issuer = known.vouched.principal, known.issuer.name
        info = self._store.find_principal(principal.subject)
        if info is None or is_news(info, principal, issuer, known.issued):
            info = self._administration.admit_principal(principal, issuer, known.issued)
        elif is_confirmed(info, principal, issuer, known.issued):
            self._store.note_issued(principal, issuer, known.issued)
        if info.issuer != issuer:
            return TokenRefusal(
                code="identity.principal_taken", detail="its principal's name is another's; the operator can say whose"
            )
        if info.disabled_ns is not None:
            return TokenRefusal(code="identity.principal_disabled", detail="its principal is disabled")
        return carrying(info.principal, known.vouched.roles)
