"""Positive verdicts are remembered within limits, and never change what is decided."""

import threading
from typing import Any

import orjson
import pytest

from lockgate.clock import EpochNs
from lockgate.demo.virtual_sigstore import VirtualSigstore
from lockgate.digests import sha256_of
from lockgate.evidence import EvidenceVerifier, VerifiedSignature, load_trust_domains, verification, verifier
from lockgate.evidence.limits import CACHE_TTL_NS
from lockgate.evidence.verdict_cache import CacheKey, VerdictCache
from support.evidence import NOW, SIGNER, SUBJECT, World, code_of
from support.managed_bundles import KeySigner


def _key(name: str) -> CacheKey:
    return CacheKey(("domain", 1, name, "sha256:00"))


@pytest.fixture
def verdict(world: World) -> VerifiedSignature:
    """Return a verdict with a statement."""
    result = world.check(world.statement())
    assert isinstance(result, VerifiedSignature)
    return result


def test_verdict_comes_back_equal(verdict: VerifiedSignature) -> None:
    """What comes out of the cache is what went in."""
    cache = VerdictCache()
    assert cache.get(_key("a"), NOW) is None
    cache.put(_key("a"), verdict, 100, NOW)

    assert cache.get(_key("a"), NOW) == verdict


def test_verdict_is_a_copy(verdict: VerifiedSignature) -> None:
    """A caller who changes a statement changes nobody else's, whether it went in or came out."""
    cache = VerdictCache()
    cache.put(_key("a"), verdict, 100, NOW)
    assert verdict.statement is not None
    verdict.statement["subject"].clear()
    first = cache.get(_key("a"), NOW)
    assert first is not None
    assert first.statement is not None
    assert first.statement["subject"]
    first.statement["subject"].clear()
    second = cache.get(_key("a"), NOW)

    assert second is not None
    assert second.statement is not None
    assert second.statement["subject"]


@pytest.mark.parametrize(("later", "found"), [(CACHE_TTL_NS - 1, True), (CACHE_TTL_NS, False), (-1, False)])
def test_verdict_ages(verdict: VerifiedSignature, later: int, *, found: bool) -> None:
    """A verdict is forgotten after its time to live, and when the clock was set back."""
    cache = VerdictCache()
    cache.put(_key("a"), verdict, 100, NOW)

    assert (cache.get(_key("a"), EpochNs(NOW + later)) is not None) is found


def test_least_recently_used_goes_first(verdict: VerifiedSignature) -> None:
    """Above the number of entries, the one that was not asked for longest goes."""
    cache = VerdictCache(entries_max=2)
    cache.put(_key("a"), verdict, 1, NOW)
    cache.put(_key("b"), verdict, 1, NOW)
    cache.get(_key("a"), NOW)
    cache.put(_key("c"), verdict, 1, NOW)

    assert [cache.get(_key(name), NOW) is not None for name in "abc"] == [True, False, True]


def test_bytes_are_bounded(verdict: VerifiedSignature) -> None:
    """Above the number of bytes, entries go until it fits, and one that never would is not kept."""
    cache = VerdictCache(bundle_bytes_max=100)
    cache.put(_key("a"), verdict, 60, NOW)
    cache.put(_key("a"), verdict, 60, NOW)
    assert len(cache) == 1
    cache.put(_key("b"), verdict, 60, NOW)
    cache.put(_key("c"), verdict, 101, NOW)

    assert [cache.get(_key(name), NOW) is not None for name in "abc"] == [False, True, False]


def _counting(world: World, monkeypatch: pytest.MonkeyPatch) -> tuple[EvidenceVerifier, list[int]]:
    calls: list[int] = []
    real = verification.verify_evidence

    def counted(*arguments: Any) -> VerifiedSignature:
        calls.append(1)
        return real(*arguments)

    monkeypatch.setattr(verifier, "verify_evidence", counted)
    return world.verifier(), calls


def test_second_verification_is_remembered(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same bundle over the same artifact is verified once; over another artifact it is verified anew."""
    gate, calls = _counting(world, monkeypatch)
    data = orjson.dumps(world.message())
    first = gate.verify(data, SUBJECT, "test")

    assert gate.verify(data, SUBJECT, "test") == first
    assert len(calls) == 1
    assert code_of(gate.verify(data, sha256_of(b"other"), "test")) == "digest_mismatch"
    assert len(calls) == 2


def test_refusals_are_not_remembered(world: World) -> None:
    """A bundle that was too early is verified when its time has come."""
    gate = world.verifier()
    data = orjson.dumps(world.message(at=EpochNs(NOW + CACHE_TTL_NS)))
    assert code_of(gate.verify(data, SUBJECT, "test")) == "time_in_future"
    world.clock.advance(CACHE_TTL_NS)

    assert code_of(gate.verify(data, SUBJECT, "test")) == "verified"


def test_verdict_without_time_is_not_remembered(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A verdict that holds for the present only is made anew each time."""
    signer = KeySigner()
    (world.folder / "key.pem").write_bytes(signer.pem)
    world.domain_text = '[[managed_keys]]\nfile = "key.pem"\nrequire_log = false\n'
    gate, calls = _counting(world, monkeypatch)
    data = orjson.dumps(signer.message())
    for _ in range(3):
        assert code_of(gate.verify(data, SUBJECT, "test")) == "verified"

    assert len(calls) == 3


def test_other_domain_is_another_verdict(world: World) -> None:
    """A verdict under one domain is none under another, even one of the same name after a reload."""
    gate = world.verifier()
    data = orjson.dumps(world.message())
    assert code_of(gate.verify(data, SUBJECT, "test")) == "verified"
    VirtualSigstore(name="test", clock=world.clock).write_trust_domain(world.folder)
    gate.replace_domains(load_trust_domains(world.folder))

    assert code_of(gate.verify(data, SUBJECT, "test")) == "log_entry_invalid"


def test_threads_share_a_verifier(world: World) -> None:
    """Eight threads verify good and bad bundles at once, during reloads, and each verdict is right."""
    gate = world.verifier()
    domains = gate.domains
    good = [orjson.dumps(bundle) for bundle in (world.message(), world.message_v2(), world.statement())]
    world.sigstore.log.log_id = world.sigstore.log_v2.log_id
    bad = [orjson.dumps(world.message(signer=SIGNER))]
    wrong: list[str] = []

    def work() -> None:
        for turn in range(12):
            data, want = (good[turn % 3], "verified") if turn % 4 else (bad[0], "log_entry_invalid")
            got = code_of(gate.verify(data, SUBJECT, "test"))
            if got != want:
                wrong.append(got)
            if turn % 6 == 0:
                gate.replace_domains(domains)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []
