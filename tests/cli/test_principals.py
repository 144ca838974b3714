"""Who there is, and what their tokens carry, as an operator sees and changes it."""

from pathlib import Path
from typing import Any, Final

import orjson
import pytest

from lockgate.identity import IdentityStore
from lockgate.storage import open_engine
from lockgate.system_clock import SystemClock
from support.commands import Ended, Run

PERSON: Final = ("--type", "user")
CONFIG: Final = """
[[issuer]]
name = "login"
kind = "other"
url = "https://login.example"
audience = "lockgate"
[[issuer.rule]]
claims = { email_verified = true }
principal = "{email}"
type = "user"
roles = []
"""


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Where the gate lives."""
    return tmp_path / "data"


@pytest.fixture
def local(run: Run, data_dir: Path) -> Run:
    """Run a command beside a service that was initialised, with an issuer."""
    config = data_dir.parent / "lockgate.toml"
    config.write_text(CONFIG)
    settings = {"LOCKGATE_DATA_DIR": str(data_dir), "LOCKGATE_CONFIG": str(config)}

    def local(*arguments: str, environment: dict[str, str | None] | None = None) -> Ended:
        return run(*arguments, environment={**settings, **(environment or {})})

    assert local("init", "--origin", "gate.test/audit").code == 0
    return local


def store(data_dir: Path) -> IdentityStore:
    """Open what the commands wrote."""
    return IdentityStore(open_engine(f"sqlite:///{data_dir / 'lockgate.db'}"), SystemClock())


def shown(local: Run, subject: str) -> dict[str, Any]:
    """Show a principal."""
    ended = local("principal", "show", subject, "--output", "json")
    assert ended.code == 0, ended.err
    document: dict[str, Any] = orjson.loads(ended.out)
    return document


def test_put_and_show(local: Run) -> None:
    """A principal has what it was put with, and after another put exactly that."""
    first = local("principal", "put", "ann", *PERSON, "--role", "approver:risk", "--identity", "a@example.com")
    assert first.code == 0
    second = local("principal", "put", "ann", *PERSON, "--role", "policy-author")
    document = shown(local, "ann")

    assert (second.code, second.out) == (0, "")
    assert (document["roles"], document["identities"], document["type"]) == (["policy-author"], [], "user")
    assert (document["issuer"], document["issued_at"], document["disabled_at"]) == ("", None, None)
    text = local("principal", "show", "ann").out
    assert "roles:         policy-author\n" in text
    assert "disabled_at:   -\n" in text


def test_list(local: Run) -> None:
    """Every principal is listed by subject, with its state and whose it is."""
    for subject in ("zoe", "ann"):
        local("principal", "put", subject, *PERSON, "--role", "requester", "--role", "auditor")
    local("principal", "disable", "zoe")
    text, document = local("principal", "list"), orjson.loads(local("principal", "list", "--output", "json").out)

    assert text.out == (
        "live      user     ann  by command-line  auditor,requester\n"
        "disabled  user     zoe  by command-line  auditor,requester\n"
    )
    assert [one["subject"] for one in document["principals"]] == ["ann", "zoe"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("put", "a b", "--type", "user"), "want a subject"),
        (("put", "ann", "--type", "user", "--role", "boss"), "want a role"),
        (("put", "ann"), "--type"),
        (("put", "ann", "--type", "user", "--issuer", "github"), "want one of login"),
    ],
)
def test_put_refused(arguments: tuple[str, ...], words: str, local: Run) -> None:
    """What cannot be written down, or names an issuer that is none, is a usage error."""
    ended = local("principal", *arguments)

    assert (ended.code, ended.out) == (2, "")
    assert words in ended.err
    assert local("principal", "list").out == ""


def test_an_issuers_principal_is_changed_on_purpose_alone(local: Run) -> None:
    """Whose tokens say who somebody is changes by `--issuer`, and in no other way."""
    assert local("principal", "put", "ann", *PERSON, "--issuer", "login").code == 0
    put = local("principal", "put", "ann", *PERSON, "--role", "admin")
    made = local("token", "create", "--subject", "ann", *PERSON, "--role", "admin", "--expires-in", "1d")
    assert (put.code, made.code, shown(local, "ann")["roles"]) == (3, 3, [])
    assert "[identity.principal_taken]" in put.err
    assert local("principal", "put", "ann", *PERSON, "--role", "admin", "--issuer", "").code == 0

    assert (shown(local, "ann")["issuer"], shown(local, "ann")["roles"]) == ("", ["admin"])


def test_disable_and_enable(local: Run, data_dir: Path) -> None:
    """A disabled principal's tokens are nobody's until it is enabled; both are recorded, and need it to be there."""
    secret = local(
        "token", "create", "--subject", "ann", *PERSON, "--role", "requester", "--expires-in", "1d"
    ).out.strip()
    assert local("principal", "disable", "ann").code == 0
    assert store(data_dir).authenticate(secret) is None
    since = shown(local, "ann")["disabled_at"]
    assert local("principal", "disable", "ann").code == 0
    assert shown(local, "ann")["disabled_at"] == since
    assert local("principal", "enable", "ann").code == 0
    holder = store(data_dir).authenticate(secret)

    assert holder is not None
    assert holder.principal.roles == ("requester",)
    for command in ("disable", "enable", "show"):
        ended = local("principal", command, "nobody")
        assert (ended.code, "[identity.principal_unknown]" in ended.err) == (3, True)
    lines = local("audit", "show", "--last", "9", "--kind", "identity.principal", "--output", "json").out.splitlines()
    assert [orjson.loads(line)["body"]["change"] for line in lines] == ["put", "disabled", "disabled", "enabled"]


def test_a_scope_is_what_a_token_carries(local: Run, data_dir: Path) -> None:
    """A token with a scope has those of its roles that its principal holds now; the list shows it."""
    roles = ("--role", "requester", "--role", "operator")
    made = local(
        *("token", "create", "--subject", "ci", "--type", "machine", *roles),
        *("--scope", "operator", "--scope", "auditor", "--expires-in", "1d"),
    )
    holder = store(data_dir).authenticate(made.out.strip())
    (listed,) = orjson.loads(local("token", "list", "--output", "json").out)["tokens"]

    assert holder is not None
    assert holder.principal.roles == ("operator",)
    assert (listed["scope"], listed["state"]) == (["auditor", "operator"], "live")
    assert local("token", "list").out.endswith("ci  auditor,operator\n")


def test_a_token_is_not_used_by_being_made(local: Run, data_dir: Path) -> None:
    """The last use is the gate's, not the operator's."""
    made = local("token", "create", "--subject", "ci", "--type", "machine", "--role", "requester", "--expires-in", "1d")
    assert "used never" in local("token", "list").out
    store(data_dir).authenticate(made.out.strip())
    (listed,) = orjson.loads(local("token", "list", "--output", "json").out)["tokens"]

    assert listed["used_at"] is not None
    assert listed["revoked_at"] is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--scope", "auditor"), "holds no role of this scope"),
        ((), "has no role"),
    ],
)
def test_a_token_that_permits_nothing_is_warned_of(arguments: tuple[str, ...], words: str, local: Run) -> None:
    """A token whose scope and whose principal's roles have nothing in common is made, and said to be useless."""
    roles = ("--role", "requester") if arguments else ()
    ended = local("token", "create", "--subject", "ci", "--type", "machine", *roles, *arguments, "--expires-in", "1d")

    assert ended.code == 0
    assert f"ci {words}: with this token the gate permits nothing" in ended.err


def test_a_token_for_somebody_disabled_is_warned_of(local: Run) -> None:
    """A token may be made before its principal is enabled."""
    local("principal", "put", "ci", "--type", "machine", "--role", "requester")
    local("principal", "disable", "ci")
    ended = local("token", "create", "--subject", "ci", "--expires-in", "1d")

    assert ended.code == 0
    assert "ci is disabled" in ended.err


def test_a_scope_of_no_role_is_refused(local: Run) -> None:
    """A scope names roles."""
    ended = local("token", "create", "--subject", "ci", "--scope", "boss", "--expires-in", "1d")

    assert (ended.code, ended.out) == (2, "")
    assert "--scope: want a role" in ended.err
