"""Whose OIDC tokens are accepted, and what their claims stand for: the `[[issuer]]` tables of the settings. Pure.

A rule compares claims exactly; there are no patterns. Who runs a shared service such as GitHub Actions lets everybody
have tokens of it, so each rule must name a claim that never changes hands: a name is free again once its owner is
gone, a number is not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, get_args
from urllib.parse import urlsplit

from lockgate.config.table_arrays import read_tables
from lockgate.identity.errors import IdentityError, IssuerInvalidError
from lockgate.identity.templates import Template, may_fill_alike, parse_template
from lockgate.identity.types import PrincipalType, parse_principal
from lockgate.outbound_urls import find_url_fault

Algorithm: TypeAlias = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
Kind: TypeAlias = Literal["github", "gitlab", "google", "buildkite", "kubernetes", "other"]

ALGORITHMS: Final[tuple[Algorithm, ...]] = get_args(Algorithm)  # asymmetric ones: with others a public key could sign
ISSUERS_MAX: Final = 32  # CI systems, clusters and a login; each is fetched from in turn
LIFETIME_S_MAX: Final = 86_400  # a token that lives longer than a day is a long-lived secret
_GOOGLE_JWKS: Final = "https://www.googleapis.com/oauth2/v3/certs"  # another host than the issuer's

# Every claim named here is a string. Sources: the providers' documentation of their tokens; docs/formats/identity.md.
_IMMUTABLE: Final[Mapping[Kind, tuple[str, ...]]] = {
    "github": ("repository_id", "repository_owner_id"),
    "gitlab": ("project_id", "namespace_id"),
    "google": ("sub",),
    "buildkite": ("pipeline_id", "organization_id"),
}
_HOSTS: Final[Mapping[str, Kind]] = {
    "token.actions.githubusercontent.com": "github",
    "gitlab.com": "gitlab",
    "accounts.google.com": "google",
    "agent.buildkite.com": "buildkite",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRule:
    """What one set of claims stands for.

    Attributes:
        claims: What a token must claim, all of it, exactly.
        principal: The subject.
        identities: What the principal signs as.
    """

    claims: Mapping[str, Any]
    principal: Template
    type: PrincipalType
    roles: tuple[str, ...]
    identities: tuple[Template, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """Who signs tokens, and how far it is believed.

    Attributes:
        name: What records call it.
        url: The exact value of the claim `iss`.
        audience: The exact and only value of the claim `aud`.
        jwks_url: Where its keys are; None: where its discovery document says, on its own host.
        jwks_file: A file with its keys instead; nothing is fetched.
        private_network: Whether its keys may be fetched from an address that is not public.
        lifetime_s_max: The longest time from `iat` to `exp`, in seconds.
    """

    name: str
    kind: Kind
    url: str
    audience: str
    algorithms: tuple[Algorithm, ...]
    jwks_url: str | None
    jwks_file: Path | None
    ca_file: Path | None
    private_network: bool
    lifetime_s_max: int
    rules: tuple[ClaimRule, ...]


def parse_issuers(tables: Sequence[Mapping[str, Any]], folder: Path = Path()) -> tuple[Issuer, ...]:
    """Read the `[[issuer]]` tables.

    Args:
        tables: As they stand in the settings.
        folder: What relative paths of files are relative to.

    Raises:
        IssuerInvalidError: One of them cannot be used; it says which part and why.
    """
    issuers = read_tables(
        tables,
        "issuer",
        at_most=ISSUERS_MAX,
        error=IssuerInvalidError,
        read=lambda table, path: _read_issuer(table, path, folder),
    )
    for index, issuer in enumerate(issuers):
        before = issuers[:index]
        if (issuer.url, issuer.audience) in {(other.url, other.audience) for other in before}:
            raise IssuerInvalidError("want one issuer for each url and audience", f"issuer[{index}].audience")
    return issuers


def _read_issuer(table: Mapping[str, Any], path: str, folder: Path) -> Issuer:
    kind: Kind = table["kind"]
    host = _check_url(table["url"], f"{path}.url")
    if _HOSTS.get(host, kind) != kind:
        raise IssuerInvalidError(f"want {_HOSTS[host]!r} for this url, got {kind!r}", f"{path}.kind")
    jwks_url = table.get("jwks_url")
    jwks_file = table.get("jwks_file")
    if jwks_url is not None:
        if jwks_file is not None:
            raise IssuerInvalidError("want jwks_url or jwks_file, not both", f"{path}.jwks_file")
        _check_url(jwks_url, f"{path}.jwks_url")
    elif jwks_file is None and host == "accounts.google.com":
        jwks_url = _GOOGLE_JWKS
    rules = tuple(_parse_rule(rule, kind, f"{path}.rule[{number}]") for number, rule in enumerate(table["rule"]))
    _check_apart(rules, path)
    return Issuer(
        name=table["name"],
        kind=kind,
        url=table["url"],
        audience=table["audience"],
        algorithms=tuple(table.get("algorithms", ("RS256",))),
        jwks_url=jwks_url,
        jwks_file=folder / jwks_file if jwks_file is not None else None,
        ca_file=folder / table["ca_file"] if "ca_file" in table else None,
        private_network=table.get("private_network", False),
        lifetime_s_max=table.get("lifetime_s_max", LIFETIME_S_MAX),
        rules=rules,
    )


def _parse_rule(table: Mapping[str, Any], kind: Kind, path: str) -> ClaimRule:
    _check_immutable(table["claims"], kind, f"{path}.claims")
    try:
        principal = parse_template(table["principal"])
    except IdentityError as exc:
        raise IssuerInvalidError(str(exc), f"{path}.principal") from exc
    identities = []
    for number, identity in enumerate(table.get("identities", ())):
        try:
            identities.append(parse_template(identity))
        except IdentityError as exc:
            raise IssuerInvalidError(str(exc), f"{path}.identities[{number}]") from exc
    rule = ClaimRule(
        claims=table["claims"],
        principal=principal,
        type=table["type"],
        roles=tuple(table["roles"]),
        identities=tuple(identities),
    )
    _check_principal(rule, path)
    return rule


def _check_principal(rule: ClaimRule, path: str) -> None:
    # With a letter in the place of each claim: what is wrong then is wrong for every token.
    example = "x".join(rule.principal.literals)
    try:
        parse_principal(subject=example, type=rule.type, roles=(), identities=())
    except IdentityError as exc:
        raise IssuerInvalidError(str(exc), f"{path}.principal") from exc
    try:
        parse_principal(subject=example, type=rule.type, roles=rule.roles, identities=())
    except IdentityError as exc:
        raise IssuerInvalidError(str(exc), f"{path}.roles") from exc


def _check_apart(rules: Sequence[ClaimRule], path: str) -> None:
    # Else whoever meets one rule could choose a claim so that they are the principal of another.
    for number, rule in enumerate(rules):
        for before, other in enumerate(rules[:number]):
            same_text = rule.principal.text == other.principal.text
            if not same_text and may_fill_alike(rule.principal, other.principal):
                raise IssuerInvalidError(
                    f"want the text of rule[{before}], or one that no claims can make equal to it: another beginning, "
                    "or another ending",
                    f"{path}.rule[{number}].principal",
                )
            if same_text and rule.type != other.type:
                raise IssuerInvalidError(
                    f"want the type of rule[{before}], which gives the same principal", f"{path}.rule[{number}].type"
                )


def _check_immutable(claims: Mapping[str, Any], kind: Kind, path: str) -> None:
    if kind == "kubernetes":
        inner = claims.get("kubernetes.io")
        account = inner.get("serviceaccount") if isinstance(inner, Mapping) else None
        if (
            not isinstance(inner, Mapping)
            or not isinstance(inner.get("namespace"), str)
            or not isinstance(account, Mapping)
            or not any(isinstance(account.get(name), str) for name in ("name", "uid"))
        ):
            raise IssuerInvalidError(
                "want 'kubernetes.io' with a namespace and a serviceaccount with a name or uid, each in quotes", path
            )
        return
    names = _IMMUTABLE.get(kind)
    if names is not None and not any(isinstance(claims.get(name), str) for name in names):
        raise IssuerInvalidError(
            f"want {' or '.join(names)}, in quotes: whoever takes over a name that became free must not be believed",
            path,
        )


def _check_url(url: str, path: str) -> str:
    """Return a usable URL's host."""
    if fault := find_url_fault(url):
        raise IssuerInvalidError(fault, path)
    return urlsplit(url).hostname or ""
