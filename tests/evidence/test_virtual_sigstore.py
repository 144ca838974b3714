"""The virtual Sigstore is a real one to the library: its bundles pass the stock verifier, and strangers' do not."""

import orjson
import pytest
from sigstore.errors import VerificationError
from sigstore.hashes import Hashed
from sigstore.models import Bundle, TrustedRoot
from sigstore.verify import Verifier
from sigstore.verify.policy import Identity
from sigstore_models.common.v1 import HashAlgorithm

from support.evidence import ISSUER, SIGNER, SUBJECT, World, statement_of

DIGEST = Hashed(algorithm=HashAlgorithm.SHA2_256, digest=bytes.fromhex(SUBJECT.hex))


def _stock(world: World) -> Verifier:
    world.verifier()
    return Verifier(trusted_root=TrustedRoot.from_file(str(world.folder / "test.trusted_root.json")))


@pytest.mark.parametrize("kind", ["message", "message_v2"])
def test_message_passes_the_stock_verifier(world: World, kind: str) -> None:
    """A message bundle passes, for the right identity only."""
    bundle = Bundle.from_json(orjson.dumps(getattr(world, kind)()))
    verifier = _stock(world)
    verifier.verify_artifact(DIGEST, bundle, Identity(identity=SIGNER.identity, issuer=ISSUER))

    with pytest.raises(VerificationError):
        verifier.verify_artifact(DIGEST, bundle, Identity(identity="other@example.com", issuer=ISSUER))


@pytest.mark.parametrize("kind", ["statement", "statement_v2"])
def test_statement_passes_the_stock_verifier(world: World, kind: str) -> None:
    """A statement bundle passes, and its payload comes back."""
    bundle = Bundle.from_json(orjson.dumps(getattr(world, kind)()))
    _, payload = _stock(world).verify_dsse(bundle, Identity(identity=SIGNER.identity, issuer=ISSUER))

    assert payload == orjson.dumps(statement_of())
