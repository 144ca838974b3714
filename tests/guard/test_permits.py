"""Permits, read by the guard: the vectors of docs/formats/vectors/permits.json, and what no vector says."""

# ruff: noqa: TID251 - the vectors are their own JSON
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lockgate_mlflow_guard.permits import Keys, KeysError, Move, Permit, parse_keys, verify_permit

from lockgate.permits import create_permit_key

_VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "docs" / "formats" / "vectors" / "permits.json").read_bytes()
)
_VALID = _VECTORS["valid"]
_INVALID = _VECTORS["invalid"]


def _keys() -> Keys:
    return parse_keys(json.dumps({"keys": _VECTORS["keys"]}).encode())


def _verify(case: dict[str, Any], token: str | None) -> Permit | str:
    move = Move(**case["move"])
    return verify_permit(token, keys=_keys(), registry=_VECTORS["registry"], now_s=case["now"], move=move)


@pytest.mark.parametrize("case", _VALID, ids=[case["name"] for case in _VALID])
def test_accepted(case: dict[str, Any]) -> None:
    """The permit counts for this move."""
    assert isinstance(_verify(case, case["token"]), Permit)


@pytest.mark.parametrize("case", _INVALID, ids=[case["name"] for case in _INVALID])
def test_refused(case: dict[str, Any]) -> None:
    """The permit is refused, and this is why."""
    assert _verify(case, case["token"]) == case["code"]


def test_none_was_shown() -> None:
    """No permit at all is told apart from one that is no permit."""
    assert _verify(_VALID[0], None) == "permit.missing"


@given(st.data())
@settings(deadline=None, max_examples=200)
def test_no_other_text_is_taken_for_it(data: st.DataObject) -> None:
    """A permit of which one character is another, missing or doubled is none."""
    case = _VALID[0]
    token = case["token"]
    place = data.draw(st.integers(0, len(token) - 1))
    put = data.draw(st.sampled_from(["", token[place] * 2, "A", "_", ".", "=", " ", "\u0661"]))
    changed = token[:place] + put + token[place + 1 :]

    assert isinstance(_verify(case, changed), Permit) == (changed == token)


@given(st.one_of(st.text(max_size=300), st.binary(max_size=300).map(lambda data: data.decode("latin-1"))))
@settings(deadline=None, max_examples=200)
def test_hostile_text_is_malformed(text: str) -> None:
    """Whatever comes in the header, the answer is a code."""
    assert _verify(_VALID[0], text) == "permit.malformed"


def test_keys_of_the_gate(tmp_path: Path) -> None:
    """What the gate publishes as its keys the guard reads."""
    key = create_permit_key(tmp_path / "permit.key")

    assert list(parse_keys(json.dumps(key.jwks()).encode())) == [key.thumbprint]


def _key(**changes: object) -> dict[str, object]:
    return {**_VECTORS["keys"][0], **changes}


@pytest.mark.parametrize(
    "keys",
    [
        [],
        [1],
        [_key()] * 2,
        [_key()] * 17,
        [_key(kty="RSA")],
        [_key(crv="Ed448")],
        [_key(alg="HS256")],
        [_key(use="enc")],
        [_key(kid="other")],
        [_key(x="AAAA")],
        [_key(x=_key()["x"], d=_key()["x"])],
        [{name: value for name, value in _key().items() if name != "kid"}],
        "keys",
    ],
)
def test_no_set_of_keys(keys: object) -> None:
    """A set with one key that cannot be meant so is refused whole."""
    with pytest.raises(KeysError):
        parse_keys(json.dumps({"keys": keys}).encode())


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff", b"{}" + b" " * 16_384, b'{"keys":[],"keys":[]}'])
def test_no_json(data: bytes) -> None:
    """A file that is no JSON object, or too long, is no set of keys."""
    with pytest.raises(KeysError):
        parse_keys(data)
