"""The client with a token of an issuer: sent as it is, or refused before anything is sent."""

from pathlib import Path

import pytest

from lockgate.cli.connection import TOKEN_BYTES_MAX
from support.clocks import START
from support.commands import Run
from support.gate_server import GateServer
from support.issuers import github_claims, rsa_key

TOKEN = rsa_key().sign(github_claims(START))
REQUEST = ("status", "01a1ee56-5e00-7cf9-af7f-e207b52d6636")


def test_a_token_of_an_issuer_is_sent_as_it_is(run: Run, gate: GateServer, tmp_path: Path) -> None:
    """From a variable, as GitHub Actions gives it, and from a file, as Kubernetes does."""
    (tmp_path / "token").write_text(TOKEN + "\n")
    run(*REQUEST, environment={"LOCKGATE_TOKEN": TOKEN})
    run(*REQUEST, "--token-file", str(tmp_path / "token"))

    assert [call.headers["Authorization"] for call in gate.calls] == [f"Bearer {TOKEN}"] * 2


MALFORMED = {
    "one part": TOKEN.partition(".")[0],
    "two parts": TOKEN.rpartition(".")[0],
    "four parts": TOKEN + ".AA",
    "no signature": TOKEN.rpartition(".")[0] + ".",
    "white space": TOKEN.replace(".", ". ", 1),
    "too long": TOKEN + "A" * TOKEN_BYTES_MAX,
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_no_token_is_not_sent(name: str, run: Run, gate: GateServer, tmp_path: Path) -> None:
    """A mistake in a pipeline is told there; the message shows nothing of what was given."""
    (tmp_path / "token").write_text(MALFORMED[name])
    for ended in (
        run(*REQUEST, environment={"LOCKGATE_TOKEN": MALFORMED[name]}),
        run(*REQUEST, "--token-file", str(tmp_path / "token")),
    ):
        assert ended.code == 2
        assert "want a token of the form" in ended.err
        assert TOKEN[:40] not in ended.err
    assert gate.calls == []
