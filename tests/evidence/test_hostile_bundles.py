"""Mutated bundles never raise, and what still verifies says the same authenticated facts."""

import base64
import copy
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lockgate.evidence import EvidenceVerifier, Refusal, RefusalCode, VerifiedSignature
from support.evidence import SUBJECT, World
from support.managed_bundles import KeySigner

HOSTILE = settings(deadline=None, max_examples=400, suppress_health_check=list(HealthCheck))


def _prepare() -> tuple[EvidenceVerifier, list[dict[str, Any]], list[VerifiedSignature]]:
    world = World(Path(tempfile.mkdtemp()))
    signer = KeySigner()
    (world.folder / "key.pem").write_bytes(signer.pem)
    world.domain_text = '[[managed_keys]]\nfile = "key.pem"\n'
    bundles = [
        world.message(),
        world.message_v2(),
        world.statement(),
        world.statement_v2(),
        world.intoto(),
        signer.log_as(world.sigstore, "hashedrekord_v2", signer.message()),
    ]
    verifier = world.verifier()
    facts = []
    for bundle in bundles:
        result = verifier.verify(orjson.dumps(bundle), SUBJECT, "test")
        assert isinstance(result, VerifiedSignature)
        facts.append(_facts(result))
    return verifier, bundles, facts


def _facts(result: VerifiedSignature) -> VerifiedSignature:
    # The bundle's own digest names the bytes that came, and other bytes may carry the same facts.
    return replace(result, bundle_sha256=SUBJECT.hex)  # type: ignore[arg-type] # any constant


VERIFIER, BUNDLES, FACTS = _prepare()


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, child in children for place in [(*path, key), *_places(child, (*path, key))]]


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


PLACES = [_places(bundle) for bundle in BUNDLES]
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.binary(max_size=40).map(_encode),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=8), children, max_size=3),
    max_leaves=5,
)


def _judge(data: bytes, index: int) -> None:
    result = VERIFIER.verify(data, SUBJECT, "test")
    if isinstance(result, Refusal):
        assert result.code is not RefusalCode.INTERNAL
    else:
        assert _facts(result) == FACTS[index]


@HOSTILE
@given(st.data())
def test_changed_field_never_raises_or_lies(data: st.DataObject) -> None:
    """One field replaced, dropped or bent: a refusal by name, or the very same facts."""
    index = data.draw(st.integers(0, len(BUNDLES) - 1))
    bundle = copy.deepcopy(BUNDLES[index])
    place = data.draw(st.sampled_from(PLACES[index]))
    holder: Any = bundle
    for key in place[:-1]:
        holder = holder[key]
    old = holder[place[-1]]
    change = data.draw(st.sampled_from(["replace", "drop", "bend"]))
    if change == "bend" and isinstance(old, str) and old:
        try:
            raw = bytearray(base64.b64decode(old, validate=True))
        except ValueError:
            raw = bytearray()
        at = data.draw(st.integers(0, max(len(raw), len(old)) - 1))
        if at < len(raw):
            raw[at] ^= 1 << data.draw(st.integers(0, 7))
            holder[place[-1]] = base64.b64encode(bytes(raw)).decode()
        else:
            at %= len(old)
            holder[place[-1]] = old[:at] + data.draw(st.characters(codec="utf-8")) + old[at + 1 :]
    elif change == "drop":
        del holder[place[-1]]
    else:
        holder[place[-1]] = data.draw(JSON_VALUES)

    if _encodable(bundle):
        _judge(orjson.dumps(bundle), index)


def _encodable(bundle: Any) -> bool:
    try:
        orjson.dumps(bundle)
    except orjson.JSONEncodeError:
        return False
    return True


@HOSTILE
@given(st.data())
def test_changed_bytes_never_raise_or_lie(data: st.DataObject) -> None:
    """Bytes of the text changed, cut off or repeated: a refusal by name, or the very same facts."""
    index = data.draw(st.integers(0, len(BUNDLES) - 1))
    text = orjson.dumps(BUNDLES[index])
    begin = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(begin, min(len(text), begin + 8)))

    _judge(text[:begin] + data.draw(st.binary(max_size=8)) + text[end:], index)


@HOSTILE
@given(st.data())
def test_mixed_bundles_never_lie(data: st.DataObject) -> None:
    """A part of one good bundle in another: a refusal by name, or the very same facts."""
    index, other = data.draw(st.integers(0, len(BUNDLES) - 1)), data.draw(st.integers(0, len(BUNDLES) - 1))
    bundle, donor = copy.deepcopy(BUNDLES[index]), BUNDLES[other]
    part = data.draw(
        st.sampled_from(["verificationMaterial", "tlogEntries", "timestampVerificationData", "certificate"])
    )
    if part == "verificationMaterial":
        bundle[part] = donor[part]
    elif part in donor["verificationMaterial"]:
        bundle["verificationMaterial"][part] = donor["verificationMaterial"][part]

    _judge(orjson.dumps(bundle), index)


@HOSTILE
@given(st.binary(max_size=300))
def test_any_bytes_are_refused(data: bytes) -> None:
    """Bytes that nobody signed are refused by name."""
    result = VERIFIER.verify(data, SUBJECT, "test")

    assert isinstance(result, Refusal)
    assert result.code is not RefusalCode.INTERNAL
