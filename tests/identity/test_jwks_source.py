"""Where issuers' keys come from: loopback issuers that answer well, badly, slowly, or not at all; and files."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lockgate.clock import NS_PER_S
from lockgate.identity import Issuer, IssuerUnavailableError, JWKSSource, parse_issuers
from lockgate.identity.errors import JWKSInvalidError
from lockgate.identity.jwks import JWKS_BYTES_MAX
from lockgate.identity.jwks_source import EARLY_REFRESH_S, FETCH_TIMEOUT_S, KEPT_S_MAX, REFRESH_S
from support.clocks import FixedClock
from support.gate_server import Reply, json_reply, serve_gate
from support.issuers import LoopbackIssuer, issuer_table, key_set, rsa_key, rule_table, serve_issuer

KEY, NEXT_KEY = rsa_key(), rsa_key("key-2")
DISCOVERY = "/.well-known/openid-configuration"
REFUSALS = "issuer_keys_not_read"


@pytest.fixture
def clock() -> FixedClock:
    """Give a clock that stands still."""
    return FixedClock()


@pytest.fixture
def issuer() -> Iterator[LoopbackIssuer]:
    """Run an issuer."""
    with serve_issuer(KEY) as running:
        yield running


def one(issuer: LoopbackIssuer, **changes: Any) -> Issuer:
    """Read the settings that trust an issuer."""
    return parse_issuers([issuer.table(**changes)])[0]


def fetched(issuer: LoopbackIssuer, clock: FixedClock, **changes: Any) -> tuple[JWKSSource, Issuer]:
    """Make a source that looked once, without a thread."""
    trusted = one(issuer, **changes)
    source = JWKSSource([trusted], clock)
    source.refresh_due()
    return source, trusted


def unavailable(source: JWKSSource, issuer: Issuer, kid: str = "key-1") -> bool:
    """Tell whether nothing can be said about a key."""
    try:
        source.find(issuer, kid)
    except IssuerUnavailableError:
        return True
    return False


def test_keys_are_where_the_discovery_document_says(issuer: LoopbackIssuer, clock: FixedClock) -> None:
    """An issuer without further settings is asked where its keys are, and then for them."""
    source, trusted = fetched(issuer, clock)

    assert [call.path for call in issuer.calls] == [DISCOVERY, "/jwks"]
    assert source.find(trusted, "key-1") is not None


def test_a_known_address_is_asked_directly(issuer: LoopbackIssuer, clock: FixedClock) -> None:
    """With `jwks_url` there is no discovery."""
    source, trusted = fetched(issuer, clock, jwks_url=f"{issuer.url}/jwks")

    assert [call.path for call in issuer.calls] == ["/jwks"]
    assert source.find(trusted, "key-1") is not None


def test_keys_are_fresh_for_a_while(issuer: LoopbackIssuer, clock: FixedClock) -> None:
    """They are fetched again after five minutes; the new set replaces the old one."""
    source, trusted = fetched(issuer, clock)
    issuer.keys = (NEXT_KEY,)
    clock.advance(REFRESH_S * NS_PER_S - 1)
    source.refresh_due()
    assert source.find(trusted, "key-1") is not None
    clock.advance(1)
    source.refresh_due()

    assert source.find(trusted, "key-2") is not None
    assert source.find(trusted, "key-1") is None


def test_an_unknown_key_is_looked_for_at_once_but_seldom(issuer: LoopbackIssuer, clock: FixedClock) -> None:
    """A token under a new key waits for one look; names that are made up cause one look in half a minute."""
    source, trusted = fetched(issuer, clock)
    source.stop()  # no thread: this test looks by itself
    calls = len(issuer.calls)
    assert source.find(trusted, "key-2") is None  # it was looked a moment ago
    clock.advance(EARLY_REFRESH_S * NS_PER_S)
    issuer.keys = (KEY, NEXT_KEY)
    assert unavailable(source, trusted, "key-2")
    assert unavailable(source, trusted, "made-up")
    source.refresh_due()

    assert source.find(trusted, "key-2") is not None
    assert source.find(trusted, "made-up") is None
    assert len(issuer.calls) == calls + 2


def test_keys_are_kept_for_a_day_while_the_issuer_is_down(issuer: LoopbackIssuer, clock: FixedClock) -> None:
    """An issuer that cannot be reached does not stop its tokens at once; after a day nobody knows any more."""
    source, trusted = fetched(issuer, clock)
    source.stop()
    issuer.replies["/jwks"] = Reply(status=500)
    clock.advance(KEPT_S_MAX * NS_PER_S - 1)
    source.refresh_due()
    assert source.find(trusted, "key-1") is not None
    clock.advance(1)

    assert unavailable(source, trusted)
    assert source.ages_s() == {"github": KEPT_S_MAX}


def test_before_the_first_success_nothing_is_known(issuer: LoopbackIssuer, clock: FixedClock) -> None:
    """A token of an issuer whose keys were never read is not nobody's: it cannot be judged."""
    trusted = one(issuer)
    source = JWKSSource([trusted], clock)
    source.stop()

    assert unavailable(source, trusted)
    assert source.ages_s() == {"github": None}


def test_what_failed_is_tried_again_soon(issuer: LoopbackIssuer, clock: FixedClock) -> None:
    """After a failure it is not five minutes but half a minute."""
    issuer.replies[DISCOVERY] = Reply(status=503)
    source, trusted = fetched(issuer, clock)
    del issuer.replies[DISCOVERY]
    clock.advance(EARLY_REFRESH_S * NS_PER_S)
    source.refresh_due()

    assert source.find(trusted, "key-1") is not None


Reason = tuple[str, Callable[[LoopbackIssuer], Reply], str]
BAD: dict[str, Reason] = {
    "down": (DISCOVERY, lambda _issuer: Reply(status=503), "want the status 200"),
    "redirecting": (
        DISCOVERY,
        lambda issuer: Reply(status=302, headers=(("Location", f"{issuer.url}/other"),)),
        "got 302",
    ),
    "discovery in HTML": (DISCOVERY, lambda _issuer: Reply(body=b"<html>Log in</html>"), "want a discovery document"),
    "discovery of another": (
        DISCOVERY,
        lambda issuer: json_reply({"issuer": f"{issuer.url}/", "jwks_uri": f"{issuer.url}/jwks"}),
        "of this very issuer",
    ),
    "discovery without keys": (DISCOVERY, lambda issuer: json_reply({"issuer": issuer.url}), "own host"),
    "keys on another host": (
        DISCOVERY,
        lambda issuer: json_reply({"issuer": issuer.url, "jwks_uri": "https://evil.example/jwks"}),
        "own host",
    ),
    "keys on another port": (
        DISCOVERY,
        lambda issuer: json_reply({"issuer": issuer.url, "jwks_uri": "http://127.0.0.1:1/jwks"}),
        "own host",
    ),
    "keys in a file": (
        DISCOVERY,
        lambda issuer: json_reply({"issuer": issuer.url, "jwks_uri": "file:///etc/passwd"}),
        "own host",
    ),
    "keys at no address": (
        DISCOVERY,
        lambda issuer: json_reply({"issuer": issuer.url, "jwks_uri": "http://[::1"}),
        "own host",
    ),
    "huge discovery": (DISCOVERY, lambda _issuer: Reply(body=b" " * 70_000), "want an answer of at most"),
    "keys in HTML": ("/jwks", lambda _issuer: Reply(body=b"<html>"), "want a JSON Web Key Set"),
    "huge keys": ("/jwks", lambda _issuer: Reply(body=b" " * (JWKS_BYTES_MAX + 1)), "want an answer of at most"),
    "cut off": ("/jwks", lambda _issuer: Reply(body=b"{", announced=100), "no answer"),
    "no key": ("/jwks", lambda _issuer: json_reply({"keys": []}), "want at least one usable key"),
    "compressed": (
        "/jwks",
        lambda _issuer: Reply(body=b"{}", headers=(("Content-Encoding", "gzip"),)),
        "want an answer without content encoding",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_answer_changes_nothing(
    name: str, issuer: LoopbackIssuer, clock: FixedClock, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever an issuer answers that is not its keys, the keys of before stay, and the log says why."""
    source, trusted = fetched(issuer, clock)
    path, reply, words = BAD[name]
    issuer.replies[path] = reply(issuer)
    clock.advance(REFRESH_S * NS_PER_S)
    source.refresh_due()
    told = capsys.readouterr().out

    assert source.find(trusted, "key-1") is not None
    assert source.ages_s()["github"] == REFRESH_S
    assert REFUSALS in told
    assert words in told
    assert "/other" not in [call.path for call in issuer.calls]


def test_an_issuer_that_trickles_is_left_in_time(
    issuer: LoopbackIssuer, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole exchange has a time, however many bytes come in it."""
    monkeypatch.setattr("lockgate.identity.jwks_source.FETCH_TIMEOUT_S", 0.3)
    issuer.replies["/jwks"] = Reply(body=key_set(KEY), byte_s=0.05)
    began = time.monotonic()
    source, trusted = fetched(issuer, clock)
    source.stop()

    assert unavailable(source, trusted)
    assert time.monotonic() - began < FETCH_TIMEOUT_S


def test_a_private_peer_is_not_asked(
    issuer: LoopbackIssuer, clock: FixedClock, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without `private_network` the peer's own address must be public, whatever its name was resolved to."""
    source, trusted = fetched(issuer, clock, private_network=False)
    source.stop()

    assert unavailable(source, trusted)
    assert issuer.calls == []  # not a byte of a request was sent
    assert "want a peer with a public address" in capsys.readouterr().out


def test_the_environment_gives_no_proxy(
    issuer: LoopbackIssuer, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who may stand between us and an issuer is not for a variable to say."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("all_proxy", "http://127.0.0.1:9")
    source, trusted = fetched(issuer, clock)

    assert source.find(trusted, "key-1") is not None


def test_one_issuer_down_does_not_hold_another(issuer: LoopbackIssuer, clock: FixedClock) -> None:
    """Each issuer's trouble is its own."""
    with serve_gate(lambda _call: Reply(status=500)) as broken:
        tables = [
            issuer_table(name="broken", url=broken.url, private_network=True),
            issuer.table(),
        ]
        first, second = parse_issuers(tables)
        source = JWKSSource([first, second], clock)
        source.refresh_due()
        source.stop()

    assert unavailable(source, first)
    assert source.find(second, "key-1") is not None


def test_keys_in_a_file_need_no_network(tmp_path: Path, clock: FixedClock) -> None:
    """An issuer without a way to it: its keys are read at the start, and again when they change."""
    (tmp_path / "keys.json").write_bytes(key_set(KEY))
    (trusted,) = parse_issuers([issuer_table(jwks_file="keys.json")], tmp_path)
    source = JWKSSource([trusted], clock)
    assert source.find(trusted, "key-1") is not None
    (tmp_path / "keys.json").write_bytes(key_set(NEXT_KEY))
    clock.advance(REFRESH_S * NS_PER_S)
    source.refresh_due()

    assert source.find(trusted, "key-2") is not None


@pytest.mark.parametrize("content", [None, b"", b"{}", b" " * (JWKS_BYTES_MAX + 1)])
def test_an_unusable_file_stops_the_start(tmp_path: Path, clock: FixedClock, content: bytes | None) -> None:
    """A process must not start with issuers whose tokens it can never take."""
    if content is not None:
        (tmp_path / "keys.json").write_bytes(content)
    issuers = parse_issuers([issuer_table(jwks_file="keys.json")], tmp_path)
    with pytest.raises(JWKSInvalidError) as caught:
        JWKSSource(issuers, clock)

    assert caught.value.code == "identity.jwks_invalid"


def wait_for(condition: Callable[[], bool]) -> bool:
    """Wait until something is so, at most ten seconds."""
    deadline = time.monotonic() + 10
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def test_a_thread_fetches_in_the_background(issuer: LoopbackIssuer, clock: FixedClock) -> None:
    """The first token begins the fetching and is not held by it; the thread ends when it is told to."""
    trusted = one(issuer)
    source = JWKSSource([trusted], clock)
    assert unavailable(source, trusted)
    assert wait_for(lambda: source.ages_s()["github"] is not None)
    assert source.find(trusted, "key-1") is not None
    source.stop()

    assert source._thread is not None
    assert not source._thread.is_alive()


def test_an_unknown_key_wakes_the_thread(issuer: LoopbackIssuer, clock: FixedClock) -> None:
    """A token under a key that was just published is good within moments, not minutes."""
    trusted = one(issuer)
    source = JWKSSource([trusted], clock)
    source.start()
    assert wait_for(lambda: source.ages_s()["github"] is not None)
    issuer.keys = (KEY, NEXT_KEY)
    clock.advance(EARLY_REFRESH_S * NS_PER_S)
    assert unavailable(source, trusted, "key-2")

    assert wait_for(lambda: not unavailable(source, trusted, "key-2"))
    assert source.find(trusted, "key-2") is not None
    source.stop()


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({"lifetime_s_max": 60}, True),
        ({"audience": "another"}, True),
        ({"algorithms": ["RS256", "PS256"]}, True),
        ({"rule": [rule_table(roles=["auditor"])]}, True),
        ({"kind": "other"}, True),
        ({"name": "renamed"}, False),
        ({"url": "https://elsewhere.example"}, False),
        ({"jwks_url": "https://elsewhere.example/jwks"}, False),
        ({"ca_file": "another-ca.pem"}, False),
        ({"private_network": False}, False),
    ],
)
def test_a_new_source_takes_over_what_comes_from_the_same_place(
    issuer: LoopbackIssuer,
    clock: FixedClock,
    change: dict[str, Any],
    kept: bool,  # noqa: FBT001 - a test's data
) -> None:
    """After a reload tokens wait for nothing, unless where their keys come from, or who vouches for it, has changed."""
    source, _ = fetched(issuer, clock, ca_file="ca.pem")
    changed = one(issuer, **{"ca_file": "ca.pem", **change})
    new = JWKSSource([changed], clock)
    new.stop()  # no thread: what is not kept stays unknown
    new.take_over(source)

    assert unavailable(new, changed) is not kept
