"""Salted disclosures: what was committed to opens, and nothing else does."""

import base64
import secrets
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate.audit import DisclosureInvalidError
from lockgate.audit.formats.disclosures import (
    DISCLOSURE_BYTES_MAX,
    SALT_BYTES,
    commit,
    commitment_of,
    open_disclosure,
)
from lockgate.digests import sha256_hex

SALT = base64.urlsafe_b64encode(bytes(range(16))).rstrip(b"=").decode()
# RFC 9901, section 4.2.1 and 4.2.3: a disclosure and its digest.
RFC_DISCLOSURE = b"WyJfMjZiYzRMVC1hYzZxMktJNmNCVzVlcyIsICJmYW1pbHlfbmFtZSIsICJNw7ZiaXVzIl0"
RFC_DIGEST = "X9yH0Ajrdm1Oij4tWso9UzzKJvPoDxwmuEcO3XAdRC0"

_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=50)
_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | _text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.from_regex(r"\A[a-z][a-z0-9_]{0,9}\Z"), inner),
    max_leaves=5,
)


def _encoded(text: str) -> bytes:
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=")


@settings(deadline=None, max_examples=150)
@given(name=st.from_regex(r"\A[a-z][a-z0-9_]{0,20}\Z"), value=_values)
def test_what_was_committed_to_opens(name: str, value: Any) -> None:
    """Name and value come back, and the commitment is the SHA-256 of the kept bytes."""
    made = commit(name, value, secrets.token_bytes)

    assert open_disclosure(made.document, made.commitment) == made
    assert (made.name, made.value) == (name, value)
    assert made.commitment == f"sha256:{sha256_hex(made.document)}"


def test_the_form_is_that_of_the_rfc() -> None:
    """The bytes are base64url of the JSON list of salt, name and value; they are hashed as they are."""
    made = commit("family_name", "Möbius", lambda size: bytes(range(size)))

    assert made.document == _encoded(f'["{SALT}","family_name","Möbius"]')
    assert commitment_of(RFC_DISCLOSURE) == f"sha256:{base64.urlsafe_b64decode(RFC_DIGEST + '=').hex()}"


def test_equal_values_have_different_commitments() -> None:
    """Nobody can tell from two records that they speak of the same person, or guess the person."""
    first, second = (commit("identity", "ann@example.com", secrets.token_bytes) for _ in range(2))

    assert first.commitment != second.commitment


def test_the_salt_has_128_bits() -> None:
    """A source that gives fewer bytes than it was asked for is refused."""
    asked: list[int] = []

    def draw(size: int) -> bytes:
        asked.append(size)
        return bytes(size - 1)

    with pytest.raises(DisclosureInvalidError, match="want 16 bytes of salt, got 15"):
        commit("identity", "ann@example.com", draw)
    assert asked == [SALT_BYTES]


@pytest.mark.parametrize("name", ["", "Identity", "_sd", "...", "a-b", "a" * 65, "ä"])
def test_a_name_outside_its_form_is_not_committed_to(name: str) -> None:
    """A name is lower-case words; RFC 9901's reserved names are none."""
    with pytest.raises(DisclosureInvalidError, match="want a name"):
        commit(name, "x", secrets.token_bytes)


@pytest.mark.parametrize("value", [1.5, {"Upper": 1}, "\0", 2**53, "\ud800", "x" * DISCLOSURE_BYTES_MAX])
def test_a_value_that_no_record_could_hold_is_not_committed_to(value: Any) -> None:
    """A value outside the record profile, or too long, is refused without being repeated."""
    with pytest.raises(DisclosureInvalidError) as caught:
        commit("note", value, secrets.token_bytes)
    assert "xxx" not in str(caught.value)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (_encoded(f'["{SALT}","note","x"]') + b"=", "base64url"),
        (_encoded(f'["{SALT}","note","?"]').replace(b"w", b"+"), "base64url"),
        (_encoded(f'["{SALT}","note","x"]') + b"\n", "base64url"),
        (_encoded(f'["{SALT}","note","xx"]')[:-1] + b"R", "base64url"),  # spare bits
        (b"", "base64url"),
        (b"A", "base64url"),
        (_encoded("nonsense"), "canonical JSON"),
        (RFC_DISCLOSURE, "canonical JSON"),  # its JSON has spaces
        (_encoded(f'["{SALT}","note",1.0]'), "canonical JSON"),
        (_encoded(f'["{SALT}","note"]'), "list of three"),
        (_encoded(f'["{SALT}","note","x","y"]'), "list of three"),
        (_encoded('{"salt":1}'), "list of three"),
        (_encoded(f'["{SALT[:-2]}","note","x"]'), "salt"),
        (_encoded(f'["{SALT}AA","note","x"]'), "salt"),
        (_encoded(f'["{SALT[:-1]}9","note","x"]'), "base64url"),  # spare bits in the salt
        (_encoded('[1,"note","x"]'), "salt"),
        (_encoded('["ä","note","x"]'), "salt"),
        (_encoded(f'["{SALT}","Note","x"]'), "want a name"),
        (_encoded(f'["{SALT}",1,"x"]'), "want a name"),
        (b"A" * (DISCLOSURE_BYTES_MAX + 1), "at most"),
    ],
)
def test_other_spellings_do_not_open(document: bytes, reason: str) -> None:
    """A disclosure has one spelling, even under a commitment that fits it."""
    with pytest.raises(DisclosureInvalidError, match=reason):
        open_disclosure(document, commitment_of(document))


def test_another_commitment_does_not_open() -> None:
    """A disclosure counts only under its own commitment, and the refusal does not tell the value."""
    made = commit("identity", "ann@example.com", secrets.token_bytes)
    with pytest.raises(DisclosureInvalidError, match="does not hash to the commitment") as caught:
        open_disclosure(made.document, f"sha256:{'0' * 64}")
    assert "ann" not in str(caught.value)


@settings(deadline=None, max_examples=300)
@given(
    data=st.binary(max_size=200) | _text.map(_encoded) | st.lists(_values, max_size=4).map(lambda v: _encoded(str(v)))
)
def test_hostile_bytes_are_refused_by_name(data: bytes) -> None:
    """Whatever comes, the answer is a disclosure in its one spelling or a refusal."""
    try:
        opened = open_disclosure(data, commitment_of(data))
    except DisclosureInvalidError:
        return
    salt = base64.urlsafe_b64decode(data + b"=" * (-len(data) % 4)).split(b'"')[1]

    assert commit(opened.name, opened.value, lambda _: base64.urlsafe_b64decode(salt + b"==")).document == data


def test_the_worked_example_of_the_format_is_true() -> None:
    """What `docs/formats/privacy.md` shows is what is made."""
    page = (Path(__file__).parents[2] / "docs" / "formats" / "privacy.md").read_text()
    made = commit("identity", "ann@example.com", lambda size: bytes(range(size)))

    assert f"disclosure  {made.document.decode()}\n" in page
    assert f"commitment  {made.commitment}\n" in page
