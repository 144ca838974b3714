"""How a bundle is signed for OPA servers: OPA's own scheme, with one kind of key.

The signature covers every file of the bundle. An OPA that is told the public key and requires a signature loads nothing
else (deploy/opa/config.yaml).

Source: OPA, "Bundles", section "Signing"; RFC 7518, section 3.4 (ES256).
"""

from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from lockgate.policy.errors import PolicyBuildError

BUNDLE_ALGORITHM: Final = "ES256"  # as in deploy/opa/config.yaml; OPA knows no Ed25519
_WANT: Final = "want a P-256 private key in PEM without a passphrase"


def signing_arguments(key_file: Path) -> list[str]:
    """Return what `opa build` is told so that it signs.

    Args:
        key_file: The private key. It is checked here, because OPA would take a key of another curve and write a
            signature that nobody accepts.

    Raises:
        PolicyBuildError: The file cannot be read, or holds no such key.
    """
    try:
        key = load_pem_private_key(key_file.read_bytes(), password=None)
    except OSError as exc:
        raise PolicyBuildError(f"{key_file.name}: cannot read it: {exc.strerror}") from exc
    except (ValueError, TypeError, UnsupportedAlgorithm) as exc:
        raise PolicyBuildError(f"{key_file.name}: {_WANT}") from exc
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise PolicyBuildError(f"{key_file.name}: {_WANT}, got another kind of key")
    return ["--signing-alg", BUNDLE_ALGORITHM, "--signing-key", str(key_file.absolute())]
