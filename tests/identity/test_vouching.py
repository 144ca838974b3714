"""From claims to a principal: exact comparison, one principal, texts that cannot be confused."""

import itertools
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lockgate.identity import Issuer, IssuerInvalidError, TokenRefusal, parse_issuers
from lockgate.identity.templates import claim_at, fill, parse_template
from lockgate.identity.vouching import Vouched, carrying, vouch
from support.clocks import START
from support.issuers import github_claims, issuer_table, rule_table

CLAIMS = github_claims(START)


def issuer_of(*rules: dict[str, Any]) -> Issuer:
    """Make an issuer with rules for claims of every shape."""
    return parse_issuers([issuer_table(kind="other", url="https://issuer.example", rule=list(rules))])[0]


def vouched(issuer: Issuer, **claims: Any) -> Vouched:
    """Vouch for claims that are believed."""
    got = vouch(issuer, {**CLAIMS, **claims})
    assert isinstance(got, Vouched), got
    return got


def refusal(issuer: Issuer, **claims: Any) -> str:
    """Return the code for claims that are not."""
    got = vouch(issuer, {name: value for name, value in {**CLAIMS, **claims}.items() if value is not None})
    assert isinstance(got, TokenRefusal), got
    return got.code


def test_a_rule_gives_its_principal() -> None:
    """Claims that match become the principal that the rule writes, with claims filled in."""
    rule = rule_table(identities=["https://github.com/{job_workflow_ref}"])
    principal = vouched(issuer_of(rule)).principal

    assert (principal.subject, principal.type, principal.roles) == ("github/4711", "machine", ("requester",))
    assert principal.identities == (f"https://github.com/{CLAIMS['job_workflow_ref']}",)


@pytest.mark.parametrize(
    ("wanted", "claimed", "matches"),
    [
        ({"ref": "a"}, {"ref": "a"}, True),
        ({"ref": "a"}, {"ref": "A"}, False),
        ({"ref": "a"}, {"ref": "a "}, False),
        ({"ref": "refs/heads/*"}, {"ref": "refs/heads/main"}, False),
        ({"ref": ".*"}, {"ref": "main"}, False),
        ({"count": 1}, {"count": 1}, True),
        ({"count": 1}, {"count": "1"}, False),
        ({"count": 1}, {"count": True}, False),
        ({"count": 1}, {"count": 1.0}, False),
        ({"count": True}, {"count": 1}, False),
        ({"flag": True}, {"flag": True}, True),
        ({"flag": False}, {}, False),
        ({"groups": "a"}, {"groups": ["b", "a"]}, True),
        ({"groups": "a"}, {"groups": [["a"]]}, False),
        ({"groups": "a"}, {"groups": "ab"}, False),
        ({"groups": "a"}, {"groups": {"a": True}}, False),
        ({"in": {"a": "1", "b": {"c": True}}}, {"in": {"a": "1", "b": {"c": True, "d": 1}, "e": 2}}, True),
        ({"in": {"a": "1"}}, {"in": {"a": "2"}}, False),
        ({"in": {"a": "1"}}, {"in": "1"}, False),
        ({"in": {"a": "1"}}, {"in": [{"a": "1"}]}, False),
        ({"in.a": "1"}, {"in": {"a": "1"}}, False),
        ({"kubernetes.io": {"namespace": "a"}}, {"kubernetes.io": {"namespace": "a", "pod": {}}}, True),
        ({"a": "1", "b": "2"}, {"a": "1"}, False),
    ],
)
def test_claims_are_compared_exactly(wanted: dict[str, Any], claimed: dict[str, Any], matches: bool) -> None:  # noqa: FBT001 - a test's data
    """A rule matches if each of its claims is there with exactly its value; there are no patterns."""
    issuer = issuer_of(rule_table(claims=wanted, principal="ci"))
    got = vouch(issuer, {"sub": "x", **claimed})

    assert isinstance(got, Vouched) is matches
    if isinstance(got, TokenRefusal):
        assert got.code == "identity.token_unmatched"


def test_rules_that_match_together_add_up() -> None:
    """One principal by two rules has the roles and identities of both."""
    issuer = issuer_of(
        rule_table(identities=["a"]),
        rule_table(claims={"event_name": "push"}, roles=["recorder:ci"], identities=["b"]),
    )
    got = vouched(issuer)

    assert got.principal.roles == got.roles == ("recorder:ci", "requester")
    assert got.principal.identities == ("a", "b")


@pytest.mark.parametrize("other", [{"principal": "somebody-else"}, {"principal": "run/{run_id}"}])
def test_two_principals_are_none(other: dict[str, Any]) -> None:
    """Rules that match together and do not agree on who it is refuse the token, rather than choose."""
    issuer = issuer_of(rule_table(), rule_table(claims={"event_name": "push"}, **other))

    assert refusal(issuer) == "identity.principal_ambiguous"


def test_a_machine_keeps_what_its_other_jobs_may() -> None:
    """The principal holds the roles of all rules with its text; a token carries those of the rules that it matches."""
    issuer = issuer_of(
        rule_table(),
        rule_table(claims={"environment": "audit"}, roles=["auditor"], identities=["{environment}-signer"]),
    )
    main, audit = vouched(issuer), vouched(issuer, ref="other", environment="audit")

    assert main.principal.roles == audit.principal.roles == ("auditor", "requester")
    assert (main.roles, audit.roles) == (("requester",), ("auditor",))
    assert (main.principal.identities, audit.principal.identities) == ((), ("audit-signer",))
    assert carrying(main.principal, main.roles).roles == ("requester",)


def test_a_person_has_the_roles_of_now() -> None:
    """A person's roles follow their groups: a group left is a role lost."""
    rules = [
        {"claims": {"groups": group}, "principal": "{email}", "type": "user", "roles": [role]}
        for group, role in [("leads", "approver:ml-lead"), ("risk", "approver:risk")]
    ]
    issuer = issuer_of(*rules)
    both = vouched(issuer, email="ann@example.com", groups=["risk", "leads"])
    one = vouched(issuer, email="ann@example.com", groups=["risk"])

    assert both.principal.roles == ("approver:ml-lead", "approver:risk")
    assert one.principal.roles == one.roles == ("approver:risk",)


@pytest.mark.parametrize(
    "value",
    [None, "", True, 1.5, ["a"], {"a": 1}, "a b", "a\n", "ä", "x" * 300, "../x\0", "{ref}"],
)
def test_a_claim_that_makes_no_name_is_refused(value: object) -> None:
    """What fills a template must be text or a whole number, and make a subject; nothing is repaired."""
    issuer = issuer_of(rule_table(claims={"event_name": "push"}, principal="ci-{who}"))

    assert refusal(issuer, who=value) == "identity.principal_form"


def test_an_identity_that_cannot_be_filled_refuses_the_token() -> None:
    """A principal without the name that it signs as would be told apart from its own signatures."""
    issuer = issuer_of(rule_table(identities=["https://ci.example/{workflow_sha}"]))

    assert refusal(issuer) == "identity.principal_form"


def test_more_roles_than_one_may_hold_are_refused() -> None:
    """Rules add up to no more roles than a principal may hold."""
    rules = [rule_table(roles=[f"approver:r{number}" for number in range(start, start + 20)]) for start in (0, 20)]

    assert refusal(issuer_of(*rules)) == "identity.principal_form"


@pytest.mark.parametrize("text", ["x/{owner}/{environment}", "{owner}:{environment}", "{owner}/:{environment}-"])
def test_two_tokens_never_fill_a_template_alike(text: str) -> None:
    """If two pairs of claims give one text, they are one pair: `a/b` + `c` is not `a` + `b/c`."""
    names = ["".join(letters) for length in (1, 2, 3) for letters in itertools.product("a/:", repeat=length)]
    template = parse_template(text)
    pairs = [{"owner": owner, "environment": environment} for owner in names for environment in names]
    filled = [made for made in (fill(template, pair) for pair in pairs) if made is not None]

    assert len(filled) > len(names)
    assert len(set(filled)) == len(filled)


TEXTS = st.lists(st.sampled_from(["a", "b", "ab", "/", "{x}", "{y}"]), min_size=1, max_size=5).map("".join)
VALUES = st.fixed_dictionaries({name: st.text("ab/", min_size=1, max_size=4) | st.integers(0, 9) for name in "xy"})


@settings(deadline=None, max_examples=300)
@example(texts=["ab/a", "ab/{x}"], claims=[{"x": "b"}, {"x": "a"}])
@example(texts=["a{x}", "{y}b"], claims=[{"x": "b"}, {"y": "a"}])
@example(texts=["a/{x}", "a/b/{x}"], claims=[{"x": "b/a"}, {"x": "a"}])
@given(texts=st.lists(TEXTS, min_size=2, max_size=4, unique=True), claims=st.lists(VALUES, min_size=2, max_size=6))
def test_rules_of_two_texts_never_give_one_principal(texts: list[str], claims: list[dict[str, Any]]) -> None:
    """Whatever set of rules is accepted, no token of one rule is the principal of another with another text."""
    rules = [rule_table(claims={"rule": str(number)}, principal=text) for number, text in enumerate(texts)]
    try:
        issuer = issuer_of(*rules)
    except IssuerInvalidError:
        return
    subjects: dict[str, set[int]] = {}
    for number in range(len(texts)):
        for values in claims:
            got = vouch(issuer, {"rule": str(number), **values})
            if isinstance(got, Vouched):
                subjects.setdefault(got.principal.subject, set()).add(number)

    assert all(len(numbers) == 1 for numbers in subjects.values()), (texts, subjects)


def test_dots_lead_into_nested_claims() -> None:
    """A path goes through claims, also through one that has a dot in its own name; two ways are none."""
    claims = {"kubernetes.io": {"serviceaccount": {"name": "deployer"}}, "a": {"b": 1}, "a.b": 2}

    assert claim_at("kubernetes.io.serviceaccount.name", claims) == "deployer"
    assert claim_at("kubernetes.io.pod.name", claims) is None
    assert claim_at("a.b", claims) is None
    assert claim_at("a", claims) == {"b": 1}
