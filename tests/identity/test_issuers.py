"""The `[[issuer]]` tables of the settings: what is refused, and where."""

from pathlib import Path
from typing import Any

import pytest

from lockgate.identity import IssuerInvalidError, parse_issuers
from lockgate.identity.issuers import ISSUERS_MAX, LIFETIME_S_MAX
from support.issuers import GITHUB, issuer_table, rule_table

KUBERNETES = {"kubernetes.io": {"namespace": "delivery", "serviceaccount": {"name": "deployer"}}}


def refused(*tables: dict[str, Any]) -> IssuerInvalidError:
    """Parse tables that are refused."""
    with pytest.raises(IssuerInvalidError) as caught:
        parse_issuers(tables)
    assert caught.value.code == "identity.issuer_invalid"
    assert str(caught.value) == f"{caught.value.path}: {caught.value.detail}"
    return caught.value


def ruled(kind: str = "github", url: str = GITHUB, **rule: Any) -> dict[str, Any]:
    """Write an issuer with one rule."""
    return issuer_table(kind=kind, url=url, rule=[rule_table(**rule)])


def test_what_is_not_said_has_a_safe_default() -> None:
    """RS256 alone, public addresses alone, a day at most, keys where the issuer's own document says."""
    (issuer,) = parse_issuers([issuer_table()])

    assert issuer.algorithms == ("RS256",)
    assert (issuer.private_network, issuer.lifetime_s_max) == (False, LIFETIME_S_MAX)
    assert (issuer.jwks_url, issuer.jwks_file, issuer.ca_file) == (None, None, None)


def test_google_has_its_keys_on_another_host() -> None:
    """Google's discovery document points to another host, so that its address is known without being set."""
    (issuer,) = parse_issuers([ruled("google", "https://accounts.google.com", claims={"sub": "1"}, principal="ci")])

    assert issuer.jwks_url == "https://www.googleapis.com/oauth2/v3/certs"


def test_files_are_relative_to_the_settings(tmp_path: Path) -> None:
    """A relative path is one from the folder of the settings; an absolute one is itself."""
    (issuer,) = parse_issuers([issuer_table(jwks_file="keys.json", ca_file="/etc/ca.pem")], tmp_path)

    assert (issuer.jwks_file, issuer.ca_file) == (tmp_path / "keys.json", Path("/etc/ca.pem"))


@pytest.mark.parametrize(
    ("change", "path", "words"),
    [
        ({"name": "Git Hub"}, "issuer[0].name", "want text of the form"),
        ({"kind": "circleci"}, "issuer[0].kind", "want one of"),
        ({"kind": "other"}, "issuer[0].kind", "want 'github' for this url, got 'other'"),
        ({"audience": None}, "issuer[0]", "want the field 'audience'"),
        ({"audience": ""}, "issuer[0].audience", "want at least 1 characters"),
        ({"algorithms": ["none"]}, "issuer[0].algorithms[0]", "want one of"),
        ({"algorithms": ["HS256"]}, "issuer[0].algorithms[0]", "want one of"),
        ({"algorithms": []}, "issuer[0].algorithms", "want at least 1 items"),
        ({"lifetime_s_max": 86_401}, "issuer[0].lifetime_s_max", "want at most 86400"),
        ({"url": "http://issuer.example"}, "issuer[0].url", "want https"),
        ({"url": "https://user:pw@issuer.example"}, "issuer[0].url", "want a URL without credentials"),
        ({"url": "https://issuer.example/?a"}, "issuer[0].url", "want a URL without credentials"),
        ({"url": "https://issuer.example/#a"}, "issuer[0].url", "want a URL without credentials"),
        ({"url": "https://"}, "issuer[0].url", "want a URL"),
        ({"url": "https://[::1"}, "issuer[0].url", "want a URL"),
        ({"url": "https://issuer.example:0"}, "issuer[0].url", "want a URL"),
        ({"url": "https://localhost.issuer.example"}, None, ""),
        ({"url": "http://localhost:1234"}, None, ""),
        ({"url": "http://127.0.0.1:1234"}, None, ""),
        ({"url": "http://127.0.0.1.nip.example"}, "issuer[0].url", "want https"),
        ({"jwks_url": "http://keys.example"}, "issuer[0].jwks_url", "want https"),
        ({"jwks_url": "https://keys.example", "jwks_file": "k"}, "issuer[0].jwks_file", "not both"),
        ({"rules": []}, "issuer[0]", "want only known fields, got 'rules'"),
        ({"rule": []}, "issuer[0].rule", "want at least 1 items"),
    ],
)
def test_an_unusable_issuer_is_refused_by_its_place(change: dict[str, Any], path: str | None, words: str) -> None:
    """Each setting has a form; the message says which one is wrong and what is wanted."""
    if path is None:
        assert len(parse_issuers([issuer_table(**change)])) == 1
        return
    error = refused(issuer_table(**change))

    assert error.path == path
    assert words in error.detail


@pytest.mark.parametrize(
    ("change", "path", "words"),
    [
        ({"claims": {}}, "issuer[0].rule[0].claims", "want"),
        ({"claims": {"repository_id": ["4711"]}}, "issuer[0].rule[0].claims.repository_id", "want"),
        ({"claims": {"repository_id": 1.5}}, "issuer[0].rule[0].claims.repository_id", "want"),
        ({"principal": "github/{repository_id"}, "issuer[0].rule[0].principal", "want braces only around"),
        ({"principal": "{a}{b}"}, "issuer[0].rule[0].principal", "want text between"),
        ({"principal": "{a}-{b}-{c}-{d}-{e}"}, "issuer[0].rule[0].principal", "want at most 4 claims"),
        ({"principal": "a b"}, "issuer[0].rule[0].principal", "want a subject"),
        ({"principal": "/{a}"}, "issuer[0].rule[0].principal", "want a subject"),
        ({"type": "robot"}, "issuer[0].rule[0].type", "want one of"),
        ({"roles": ["root"]}, "issuer[0].rule[0].roles", "want a role"),
        ({"roles": ["admin "]}, "issuer[0].rule[0].roles", "want a role"),
        ({"identities": ["mailto:{"]}, "issuer[0].rule[0].identities[0]", "want braces only around"),
        ({"regex": "x"}, "issuer[0].rule[0]", "want only known fields, got 'regex'"),
    ],
)
def test_an_unusable_rule_is_refused_by_its_place(change: dict[str, Any], path: str, words: str) -> None:
    """What is wrong with every token is found before the first one comes."""
    error = refused(ruled(**change))

    assert error.path == path
    assert words in error.detail


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ci/release", "ci/{environment}"),
        ("github/{repository_id}", "github/{run_id}"),
        ("github/{repository_id}", "github/{repository_id}/{environment}"),
        ("{sub}", "ci"),
        ("{sub}", "{email}"),
        ("ci-{a}", "{b}-ci"),
        ("ci-{a}-x", "ci-{a}"),
    ],
)
def test_two_texts_that_claims_could_make_equal_are_refused(one: str, other: str) -> None:
    """Whoever meets one rule could choose a claim so that they are the principal of the other."""
    for texts in ((one, other), (other, one)):
        error = refused(issuer_table(rule=[rule_table(principal=text) for text in texts]))

        assert error.path == "issuer[0].rule[1].principal"
        assert "want the text of rule[0]" in error.detail


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ci/release", "ci/release"),
        ("ci/{environment}", "ci/{environment}"),
        ("ci", "ci-{a}"),
        ("ci", "ci-release"),
        ("aa", "a"),
        ("ci/release", "env/{environment}"),
        ("{a}-ci", "{a}-env"),
        ("ci-{a}-main", "ci-{a}-tag"),
        ("cici", "ci{a}ci"),
    ],
)
def test_texts_that_no_claim_makes_equal_are_accepted(one: str, other: str) -> None:
    """One text in two rules is one principal on purpose; two texts begin or end apart, or differ in length."""
    for texts in ((one, other), (other, one)):
        assert len(parse_issuers([issuer_table(rule=[rule_table(principal=text) for text in texts])])) == 1


def test_one_principal_is_not_of_two_types() -> None:
    """Two rules with one text agree on whether it is a person."""
    error = refused(issuer_table(rule=[rule_table(), rule_table(type="user")]))

    assert (error.path, error.detail[:17]) == ("issuer[0].rule[1].type", "want the type of ")


@pytest.mark.parametrize(
    ("kind", "url", "names_alone", "bound"),
    [
        ("github", GITHUB, {"repository": "octo/x", "ref": "refs/heads/main"}, {"repository_id": "1"}),
        ("github", "https://ghes.example/_services/token", {"repository": "o/x"}, {"repository_owner_id": "1"}),
        ("gitlab", "https://gitlab.com", {"project_path": "octo/x"}, {"project_id": "1"}),
        ("gitlab", "https://gitlab.example", {"namespace_path": "octo"}, {"namespace_id": "1"}),
        ("google", "https://accounts.google.com", {"email": "ci@example.com"}, {"sub": "1"}),
        ("buildkite", "https://agent.buildkite.com", {"pipeline_slug": "x"}, {"pipeline_id": "0184"}),
        ("buildkite", "https://agent.buildkite.com", {"organization_slug": "x"}, {"organization_id": "0184"}),
        ("kubernetes", "https://cluster.example", {"sub": "system:serviceaccount:a:b"}, KUBERNETES),
        (
            "kubernetes",
            "https://cluster.example",
            {"kubernetes.io": {"namespace": "a", "serviceaccount": {}}},
            {"kubernetes.io": {"namespace": "a", "serviceaccount": {"uid": "e6a8"}}},
        ),
        (
            "kubernetes",
            "https://cluster.example",
            {"kubernetes.io": {"serviceaccount": {"name": "deployer"}}},
            KUBERNETES,
        ),
    ],
)
def test_names_alone_are_refused(kind: str, url: str, names_alone: dict[str, Any], bound: dict[str, Any]) -> None:
    """Each rule of a known issuer names something that never changes hands; a name can be taken by another."""
    error = refused(ruled(kind, url, claims=names_alone, principal="ci"))

    assert error.path.startswith("issuer[0].rule[0].claims")
    assert len(parse_issuers([ruled(kind, url, claims={**names_alone, **bound}, principal="ci")])) == 1


def test_a_number_where_the_issuer_writes_text_is_refused() -> None:
    """GitHub's ids are strings: a number in a rule would match nothing, ever."""
    error = refused(ruled(claims={"repository_id": 4711}))

    assert error.path == "issuer[0].rule[0].claims"
    assert "in quotes" in error.detail


def test_two_issuers_differ_in_name_and_in_url_or_audience() -> None:
    """A principal belongs to one issuer by its name, and a token to one by its url and audience."""
    second = issuer_table(name="github-b", audience="https://other.example")

    assert len(parse_issuers([issuer_table(), second])) == 2
    assert refused(issuer_table(), {**second, "name": "github"}).path == "issuer[1].name"
    assert refused(issuer_table(), issuer_table(name="github-b")).path == "issuer[1].audience"


def test_there_are_at_most_so_many_issuers() -> None:
    """The number of issuers has an end."""
    tables = [issuer_table(name=f"i{number}", audience=str(number)) for number in range(ISSUERS_MAX + 1)]

    assert len(parse_issuers(tables[:-1])) == ISSUERS_MAX
    assert refused(*tables).path == "issuer"
