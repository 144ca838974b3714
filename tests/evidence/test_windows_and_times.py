"""Signing times lie within every validity window, whose ends belong to it, and not in the future."""

import base64
from collections.abc import Callable
from typing import Any

import pytest

from lockgate.clock import NS_PER_S, EpochNs
from lockgate.demo.virtual_ca import moment_of
from lockgate.demo.virtual_sigstore import VirtualCredential
from lockgate.evidence import VerifiedSignature
from lockgate.evidence.limits import FUTURE_SKEW_NS
from support.evidence import NOW, SIGNER, SUBJECT, World, code_of


def _at(seconds: int) -> str:
    return moment_of(EpochNs(NOW + seconds * NS_PER_S)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _key_window(kind: str, index: int = 0) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda root: root[kind][index]["publicKey"]


WINDOWS: list[tuple[str, str, Callable[[dict[str, Any]], dict[str, Any]]]] = [
    ("message", "log", _key_window("tlogs")),
    ("message_v2", "log v2", _key_window("tlogs", 1)),
    ("message", "ct log", _key_window("ctlogs")),
    ("message", "authority", lambda root: root["certificateAuthorities"][0]),
]
IDS = [name for _, name, _ in WINDOWS]


@pytest.mark.parametrize(("kind", "name", "holder"), WINDOWS, ids=IDS)
def test_window_ends_are_within(world: World, kind: str, name: str, holder: Any) -> None:
    """A signature made at the very start or end of a window is valid."""
    del name
    # The certificate timestamp and the signature are of one second here, so a window of a single moment holds both.
    bundle = getattr(world, kind)()
    change = lambda root: holder(root).update(validFor={"start": _at(0), "end": _at(0)})  # noqa: E731 - one line

    assert code_of(world.check(bundle, change_root=change)) == "verified"


@pytest.mark.parametrize(("kind", "name", "holder"), WINDOWS, ids=IDS)
@pytest.mark.parametrize("window", [(-100, -1), (1, 100)], ids=["after", "before"])
def test_signing_outside_a_window_is_refused(
    world: World, kind: str, name: str, holder: Any, window: tuple[int, int]
) -> None:
    """A signature made a second before a window opens or after it closes is refused."""
    del name
    bundle = getattr(world, kind)()
    change = lambda root: holder(root).update(validFor={"start": _at(window[0]), "end": _at(window[1])})  # noqa: E731

    assert code_of(world.check(bundle, change_root=change)) == "outside_validity"


def test_certificate_timestamp_is_within_the_window_too(world: World) -> None:
    """A certificate timestamp from before its log's key was valid is refused, although the signing time is within."""
    early = EpochNs(NOW - 60 * NS_PER_S)
    credential = world.sigstore.certify(SIGNER, early)
    bundle = world.sigstore.message_bundle(bytes.fromhex(SUBJECT.hex), credential, NOW)
    change = lambda root: root["ctlogs"][0]["publicKey"].update(validFor={"start": _at(-30)})  # noqa: E731

    assert code_of(world.check(bundle)) == "verified"
    assert code_of(world.check(bundle, change_root=change)) == "outside_validity"


@pytest.mark.parametrize(("end", "code"), [(0, "verified"), (-1, "no_verified_time")])
def test_timestamp_authority_window_is_closed(world: World, end: int, code: str) -> None:
    """A timestamp at the very end of its authority's window counts, and one a second later does not."""
    bundle = world.message_v2()
    change = lambda root: root["timestampAuthorities"][0].update(  # noqa: E731
        validFor={"start": _at(-100), "end": _at(end)}
    )

    assert code_of(world.check(bundle, change_root=change)) == code


@pytest.mark.parametrize(("seconds", "code"), [(600, "verified"), (601, "outside_validity"), (-2, "outside_validity")])
def test_signing_within_the_certificates_life(world: World, seconds: int, code: str) -> None:
    """A certificate is good for its ten minutes, ends included, by the verified time."""
    credential = world.sigstore.certify(SIGNER, EpochNs(NOW - 3600 * NS_PER_S))
    logged = EpochNs(NOW - 3600 * NS_PER_S + seconds * NS_PER_S)
    bundle = world.sigstore.message_bundle(bytes.fromhex(SUBJECT.hex), credential, logged)

    assert code_of(world.check(bundle)) == code


@pytest.mark.parametrize("kind", ["message", "message_v2"])
@pytest.mark.parametrize(
    ("ahead_ns", "code"), [(FUTURE_SKEW_NS, "verified"), (FUTURE_SKEW_NS + NS_PER_S, "time_in_future")]
)
def test_time_in_the_future_is_refused(world: World, kind: str, ahead_ns: int, code: str) -> None:
    """A signing time may be ahead of the gate's clock by five minutes and no more."""
    bundle = getattr(world, kind)(at=EpochNs(NOW + ahead_ns))

    assert code_of(world.check(bundle)) == code


def test_every_time_counts(world: World) -> None:
    """With a promise and a timestamp, both times are verified and both must fit."""
    bundle = world.message()
    signature = world.message_v2()
    tokens = signature["verificationMaterial"]["timestampVerificationData"]
    good = dict(bundle, verificationMaterial=dict(bundle["verificationMaterial"]))
    raw = bytes(base64.b64decode(bundle["messageSignature"]["signature"]))
    late = world.sigstore.tsa.timestamp(raw, EpochNs(NOW + 3600 * NS_PER_S))
    on_time = world.sigstore.tsa.timestamp(raw, NOW)

    def stamped(token: bytes) -> dict[str, Any]:
        encoded = base64.b64encode(token).decode()
        material = dict(
            good["verificationMaterial"],
            timestampVerificationData=dict(tokens, rfc3161Timestamps=[{"signedTimestamp": encoded}]),
        )
        return dict(good, verificationMaterial=material)

    both = world.check(stamped(on_time))

    assert isinstance(both, VerifiedSignature)
    assert [time.source for time in both.times] == ["timestamp_authority", "log"]
    assert code_of(world.check(stamped(late))) == "outside_validity"


def test_timestamp_over_another_signature_is_ignored(world: World) -> None:
    """A timestamp over other bytes is no time at all."""
    bundle, other = world.message_v2(), world.message_v2()
    bundle["verificationMaterial"]["timestampVerificationData"] = other["verificationMaterial"][
        "timestampVerificationData"
    ]

    assert code_of(world.check(bundle)) == "no_verified_time"


def test_timestamp_without_an_authority_is_refused(world: World) -> None:
    """A timestamp cannot be checked, and the bundle is refused, when the root has no timestamp authority."""
    change = lambda root: root.update(timestampAuthorities=[])  # noqa: E731

    assert code_of(world.check(world.message_v2(), change_root=change)) == "no_verified_time"


def test_expired_certificate_still_proves(world: World) -> None:
    """A signature made in time stays valid for ever: the verified time counts, not the gate's."""
    credential: VirtualCredential = world.sigstore.certify(SIGNER, NOW)
    bundle = world.sigstore.message_bundle(bytes.fromhex(SUBJECT.hex), credential, NOW)
    world.clock.advance(1000 * 24 * 3600 * NS_PER_S)

    assert code_of(world.check(bundle)) == "verified"
