"""Principals, tokens, and why a token stands for nobody. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from lockgate.clock import EpochNs
from lockgate.identity.errors import IdentityError

PrincipalType: TypeAlias = Literal["user", "machine"]

ROLES_MAX: Final = 32  # a person with more roles than that separates no duties
IDENTITIES_MAX: Final = 16  # e-mail addresses and workload URIs of one principal
IDENTITY_CHARS_MAX: Final = 1024  # a certificate's SAN in practice stays below 300
# With "principal:" before it, it is the subject of a record, which has 255 characters.
_SUBJECT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@:/+-]{0,239}", re.ASCII)
_ROLE: Final = re.compile(
    r"requester|operator|deployer|auditor|policy-author|admin|approver:[a-z][a-z0-9-]{0,54}"
    r"|(?=.{1,64}\Z)recorder:[a-z][a-z0-9_]*([.][a-z][a-z0-9_]*)*",
    re.ASCII,
)

ROLE_EXAMPLES: Final[Mapping[str, str]] = {
    "requester": "requester",
    "approver:<role>": "approver:example",
    "operator": "operator",
    "deployer": "deployer",
    "auditor": "auditor",
    "policy-author": "policy-author",
    "admin": "admin",
    "recorder:<words>": "recorder:example",
}
"""Every kind of role, as people write it, with one that stands for all of its kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """A person or a machine that may call the API.

    Attributes:
        subject: The name that records and approvals carry.
        roles: `requester`, `operator`, `deployer`, `auditor`, `policy-author`, `admin`,
            `approver:<role of the matrix>`, or `recorder:<first words of the kinds of record that it may write>`;
            sorted. Of one that is disabled: none.
        identities: What this principal signs artifacts as (certificate SANs or key ids), exact strings; sorted.
            An approver does not count towards a promotion that one of these identities signed.
    """

    subject: str
    type: PrincipalType
    roles: tuple[str, ...]
    identities: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PrincipalInfo:
    """A principal, and where it comes from.

    Attributes:
        principal: As it was put, with its roles even when it is disabled.
        issuer: Whose tokens say who it is; "" for the command line.
        issued_ns: When the token was issued whose claims it was put from; None for the command line.
        disabled_ns: Since when it may do nothing; None if it is not disabled.
    """

    principal: Principal
    created_ns: EpochNs
    issuer: str
    issued_ns: EpochNs | None
    disabled_ns: EpochNs | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRefusal:
    """Why a bearer token stands for nobody.

    Attributes:
        code: Stable, for logs and metrics; the caller is told `identity.unauthenticated` whatever it is.
        detail: What the caller may read: nothing that helps anybody but an honest one.
    """

    code: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """A token just made. The secret is here and nowhere else."""

    token_id: str
    secret: str
    expires_ns: EpochNs


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenInfo:
    """What is known of a token afterwards.

    Attributes:
        scope: The roles that it carries, of those that its principal holds; sorted. None: all of them.
        used_ns: When it was last seen, to the nearest quarter of an hour; None: never.
    """

    token_id: str
    subject: str
    created_ns: EpochNs
    expires_ns: EpochNs
    revoked_ns: EpochNs | None
    scope: tuple[str, ...] | None
    used_ns: EpochNs | None


def parse_principal(*, subject: str, type: str, roles: Iterable[str], identities: Iterable[str]) -> Principal:  # noqa: A002 - the field's name
    """Make a principal of untrusted parts.

    Raises:
        IdentityError: One of them has a form that no record could carry; the message says which.
    """
    if not _SUBJECT.fullmatch(subject):
        raise IdentityError("want a subject of 1 to 240 letters, digits and ._@:/+-, starting with a letter or digit")
    if type not in {"user", "machine"}:
        raise IdentityError("want the type 'user' or 'machine'")
    roles, identities = parse_roles(roles), tuple(sorted(set(identities)))
    if len(identities) > IDENTITIES_MAX:
        raise IdentityError(f"want at most {IDENTITIES_MAX} identities, got {len(identities)}")
    if not all(0 < len(identity) <= IDENTITY_CHARS_MAX and identity.isprintable() for identity in identities):
        raise IdentityError(f"want identities of 1 to {IDENTITY_CHARS_MAX} printable characters")
    return Principal(subject=subject, type="user" if type == "user" else "machine", roles=roles, identities=identities)


def parse_roles(roles: Iterable[str]) -> tuple[str, ...]:
    """Make a sorted set of roles of untrusted parts.

    Raises:
        IdentityError: One has none of the forms of a role, or there are too many.
    """
    roles = tuple(sorted(set(roles)))
    if len(roles) > ROLES_MAX:
        raise IdentityError(f"want at most {ROLES_MAX} roles, got {len(roles)}")
    for role in roles:
        if not _ROLE.fullmatch(role):
            raise IdentityError(
                "want a role requester, operator, deployer, auditor, policy-author, admin, approver:<role> or "
                f"recorder:<words of a kind>, got {role[:80]!r}"
            )
    return roles
