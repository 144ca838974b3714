"""From what a token claims to whom it stands for, by the rules of its issuer. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from lockgate.identity.errors import IdentityError
from lockgate.identity.issuers import ClaimRule, Issuer
from lockgate.identity.templates import fill
from lockgate.identity.types import Principal, TokenRefusal, parse_principal


@dataclass(frozen=True, slots=True, kw_only=True)
class Vouched:
    """Whom a token stands for.

    Attributes:
        principal: With every role that it holds by its issuer's rules.
        roles: Those of them that this token carries; sorted.
    """

    principal: Principal
    roles: tuple[str, ...]


def vouch(issuer: Issuer, claims: Mapping[str, Any]) -> Vouched | TokenRefusal:
    """Apply an issuer's rules to claims that were verified.

    The steps:
      (1) At least one rule matches.
      (2) All rules that match give one and the same principal. They have one text then, and one type: issuers whose
          rules could give one subject by two texts are refused (`parse_issuers`).
      (3) The principal holds the roles and identities of those rules together. A machine holds also those of the other
          rules with its `principal` text: two jobs of one pipeline, whose tokens differ, must not take each other's
          roles away. A person's roles follow the claims of now, so that a group left is a role lost.
    """
    # (1) Whether.
    matching = [rule for rule in issuer.rules if _matches(rule.claims, claims)]
    if not matching:
        return TokenRefusal(code="identity.token_unmatched", detail="no rule of its issuer matches what it claims")
    # (2) Who.
    subjects = {fill(rule.principal, claims) for rule in matching}
    if len(subjects) > 1:
        return TokenRefusal(
            code="identity.principal_ambiguous", detail="rules of its issuer give it more than one principal"
        )
    subject = subjects.pop()
    if subject is None:
        return TokenRefusal(code="identity.principal_form", detail="a claim that names its principal is unusable")
    # (3) What for.
    standing = matching if matching[0].type == "user" else _of_same_text(issuer.rules, matching)
    identities = {identity: fill(identity, claims) for rule in standing for identity in rule.identities}
    if any(identities[identity] is None for rule in matching for identity in rule.identities):
        return TokenRefusal(code="identity.principal_form", detail="a claim that names an identity is unusable")
    try:
        principal = parse_principal(
            subject=subject,
            type=matching[0].type,
            roles=[role for rule in standing for role in rule.roles],
            identities=[identity for identity in identities.values() if identity is not None],
        )
    except IdentityError:
        # The text is not told on: it repeats what somebody else wrote.
        return TokenRefusal(code="identity.principal_form", detail="what it claims makes no usable principal")
    return Vouched(principal=principal, roles=tuple(sorted({role for rule in matching for role in rule.roles})))


def carrying(principal: Principal, roles: tuple[str, ...]) -> Principal:
    """Return a principal with those of its roles alone that are among `roles`."""
    return replace(principal, roles=tuple(role for role in principal.roles if role in roles))


def _of_same_text(rules: tuple[ClaimRule, ...], matching: list[ClaimRule]) -> list[ClaimRule]:
    texts = {rule.principal.text for rule in matching}
    return [rule for rule in rules if rule.principal.text in texts and rule.type == "machine"]


def _matches(wanted: Mapping[str, Any], claims: Mapping[str, Any]) -> bool:
    return all(name in claims and _is_met(value, claims[name]) for name, value in wanted.items())


def _is_met(wanted: object, claimed: object) -> bool:
    if isinstance(wanted, Mapping):
        return isinstance(claimed, Mapping) and _matches(wanted, claimed)
    if isinstance(wanted, str) and isinstance(claimed, list):
        return wanted in claimed
    # Also of one type: for Python true is 1.
    return type(wanted) is type(claimed) and wanted == claimed
