"""Digests have one spelling."""

import pytest

from lockgate.digests import Digest, DigestError, parse_digest, sha256_of


def test_a_digest_reads_back_as_it_was_written() -> None:
    """A digest's text is its one spelling."""
    digest = sha256_of(b"model")

    assert parse_digest(str(digest)) == digest
    assert str(Digest(algorithm="sha512", hex="ab" * 64)) == "sha512:" + "ab" * 64


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256",
        "sha256:",
        "sha256:" + "a" * 63,
        "sha256:" + "a" * 65,
        "sha256:" + "A" * 64,
        "sha256:" + "g" * 64,
        "SHA256:" + "a" * 64,
        "sha512:" + "a" * 64,
        "sha1:" + "a" * 40,
        " sha256:" + "a" * 64,
        "sha256:" + "a" * 63 + "\n",
        "sha256:" + "٠" * 64,
    ],
)
def test_another_spelling_is_refused(text: str) -> None:
    """Upper case, another length, another algorithm, foreign digits: each is refused by name."""
    with pytest.raises(DigestError) as caught:
        parse_digest(text)

    assert caught.value.code == "digest.malformed"
