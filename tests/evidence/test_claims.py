"""Fulcio's claims come out by Fulcio's names, and a certificate that contradicts itself is refused."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from lockgate.demo.virtual_ca import Extension, VirtualSigner, claim_extension
from lockgate.demo.virtual_sigstore import VirtualCredential
from lockgate.evidence import Claim, Refusal, VerifiedSignature
from lockgate.evidence.claims import CLAIM_NAMES
from lockgate.evidence.limits import CLAIM_BYTES_MAX
from support.evidence import ISSUER, NOW, SUBJECT, World, code_of


def test_every_claim_comes_out_by_name(world: World) -> None:
    """All numbered claims, raw or in DER, come out by name, sorted, with the issuer among them."""
    texts = {number: f"value of {number} " + "é" * (number * 8) for number in CLAIM_NAMES}
    signer = VirtualSigner(identity="https://ci.example/flow", identity_type="uri", issuer=ISSUER, claims=texts)
    result = world.check(world.message(signer=signer))

    assert isinstance(result, VerifiedSignature)
    want = {name: texts[number] for number, name in CLAIM_NAMES.items()} | {"issuer": ISSUER}
    assert result.claims == tuple(Claim(name=name, value=want[name]) for name in sorted(want))


def test_claim_names_are_fulcios() -> None:
    """The arcs of the OIDs stand for what Fulcio's documentation says."""
    assert CLAIM_NAMES[5] == "github_workflow_repository"
    assert CLAIM_NAMES[9] == "build_signer_uri"
    assert CLAIM_NAMES[12] == "source_repository_uri"
    assert CLAIM_NAMES[15] == "source_repository_identifier"
    assert CLAIM_NAMES[17] == "source_repository_owner_identifier"
    assert CLAIM_NAMES[21] == "run_invocation_uri"
    assert sorted(CLAIM_NAMES) == [*range(2, 7), *range(9, 23)]


def _check_with(world: World, extensions: list[Extension]) -> VerifiedSignature | Refusal:
    # The certificate's claims are replaced by the given ones.
    key = ec.generate_private_key(ec.SECP256R1())
    signer = VirtualSigner(identity="a@example.com", issuer=ISSUER)
    kept = [
        each
        for each in world.sigstore.ca.leaf_extensions(signer, key.public_key())
        if not isinstance(each[0], x509.UnrecognizedExtension)
    ]
    certificate = world.sigstore.ca.issue(key.public_key(), [*kept, *extensions], NOW, world.sigstore.ct_log)
    credential = VirtualCredential(key=key, certificate=certificate)
    return world.check(world.sigstore.message_bundle(bytes.fromhex(SUBJECT.hex), credential, NOW))


def _raw(number: int, value: bytes) -> Extension:
    return x509.UnrecognizedExtension(x509.ObjectIdentifier(f"1.3.6.1.4.1.57264.1.{number}"), value), False


@pytest.mark.parametrize("number", [1, 8])
def test_either_issuer_extension_is_enough(world: World, number: int) -> None:
    """An authority may write the issuer in the old extension or the new one."""
    result = _check_with(world, [(claim_extension(number, ISSUER), False)])

    assert isinstance(result, VerifiedSignature)
    assert result.issuer == ISSUER


@pytest.mark.parametrize(
    "extensions",
    [
        [],
        [(claim_extension(1, ISSUER), False), (claim_extension(8, "https://other.example"), False)],
        [_raw(1, b"\xff")],
        [_raw(8, b"")],
        [_raw(8, b"\x0c")],
        [_raw(8, b"\x0c\x05abc")],
        [_raw(8, b"\x0c\x03abcd")],
        [_raw(8, b"\x0c\x81\x03abc")],
        [_raw(8, b"\x0c\x80abc")],
        [_raw(8, b"\x13\x03abc")],
        [_raw(1, b"x" * (CLAIM_BYTES_MAX + 1))],
    ],
    ids=["none", "two", "utf8", "empty", "tag", "short", "long", "length form", "indefinite", "other tag", "size"],
)
def test_issuer_that_is_not_clear_is_refused(world: World, extensions: list[Extension]) -> None:
    """A certificate without an issuer, with two, or with one that has another spelling, is refused."""
    assert code_of(_check_with(world, extensions)) == "untrusted_certificate"


def test_unknown_claims_are_left_out(world: World) -> None:
    """A claim that Fulcio may add later has no name here yet, and does not come out."""
    result = _check_with(world, [(claim_extension(1, ISSUER), False), _raw(999, b"later")])

    assert isinstance(result, VerifiedSignature)
    assert [claim.name for claim in result.claims] == ["issuer"]
