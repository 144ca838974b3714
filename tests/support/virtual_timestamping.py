"""Adds what needs ASN.1 to the virtual Sigstore: an RFC 3161 timestamp authority, and a log like Rekor v2."""

import hashlib
import os
from datetime import timedelta
from typing import Any

from asn1crypto import cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lockgate.clock import EpochNs
from lockgate.demo.virtual_ca import VirtualCA, moment_of
from lockgate.demo.virtual_log import VirtualLog, encode_base64, encode_sorted
from lockgate.demo.virtual_sigstore import (
    BUNDLE_MEDIA_TYPE,
    STATEMENT_TYPE,
    VirtualCredential,
    VirtualSigstore,
    pre_authentication_encoding,
)


class VirtualTimestampAuthority:
    """An RFC 3161 authority: root, intermediate and one timestamping certificate."""

    def __init__(self, *, start: EpochNs) -> None:
        self._ca = VirtualCA(name="virtual-tsa", start=start)
        self._key = ec.generate_private_key(ec.SECP256R1())
        public = self._key.public_key()
        issuer_key = self._ca.intermediate.public_key()
        assert isinstance(issuer_key, ec.EllipticCurvePublicKey)
        self._certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "virtual-tsa")]))
            .issuer_name(self._ca.intermediate.subject)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(moment_of(start))
            .not_valid_after(moment_of(start) + timedelta(days=3000))
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
            .sign(self._ca._key, hashes.SHA384())
        )

    def timestamp(self, message: bytes, at: EpochNs) -> bytes:
        """Return a granted TimeStampResp over `message`, in whole seconds."""
        info = tsp.TSTInfo(
            {
                "version": "v1",
                "policy": "1.3.6.1.4.1.57264.2",
                "message_imprint": {
                    "hash_algorithm": {"algorithm": "sha256"},
                    "hashed_message": hashlib.sha256(message).digest(),
                },
                "serial_number": int.from_bytes(os.urandom(8), "big") >> 1,
                "gen_time": moment_of(at),
                "ordering": False,
                "accuracy": {"seconds": 1},
                "nonce": int.from_bytes(os.urandom(8), "big") >> 1,
            }
        ).dump()
        return bytes(self._response(info, at).dump())

    def _response(self, info: bytes, at: EpochNs) -> Any:
        der = self._certificate.public_bytes(Encoding.DER)
        certificate = asn1_x509.Certificate.load(der)
        certificate_id = tsp.ESSCertIDv2(
            {"hash_algorithm": {"algorithm": "sha256"}, "cert_hash": hashlib.sha256(der).digest()}
        )
        attributes = cms.CMSAttributes(
            [
                cms.CMSAttribute({"type": "content_type", "values": ["tst_info"]}),
                cms.CMSAttribute({"type": "message_digest", "values": [hashlib.sha256(info).digest()]}),
                cms.CMSAttribute({"type": "signing_time", "values": [cms.Time({"utc_time": moment_of(at)})]}),
                cms.CMSAttribute(
                    {
                        "type": "signing_certificate_v2",
                        "values": [tsp.SigningCertificateV2({"certs": [certificate_id]})],
                    }
                ),
            ]
        )
        issuer_and_serial = {"issuer": certificate.issuer, "serial_number": certificate.serial_number}
        signer = cms.SignerInfo(
            {
                "version": "v1",
                "sid": cms.SignerIdentifier({"issuer_and_serial_number": cms.IssuerAndSerialNumber(issuer_and_serial)}),
                "digest_algorithm": {"algorithm": "sha256"},
                "signed_attrs": attributes,
                "signature_algorithm": {"algorithm": "sha256_ecdsa"},
                "signature": self._key.sign(attributes.dump(), ec.ECDSA(hashes.SHA256())),
            }
        )
        signed = {
            "version": "v3",
            "digest_algorithms": [{"algorithm": "sha256"}],
            "encap_content_info": {"content_type": "tst_info", "content": core.ParsableOctetString(info)},
            "signer_infos": [signer],
            "certificates": [cms.CertificateChoices("certificate", certificate)],
        }
        return tsp.TimeStampResp(
            {
                "status": {"status": "granted"},
                "time_stamp_token": {"content_type": "signed_data", "content": cms.SignedData(signed)},
            }
        )

    def trusted_root_entry(self, window: dict[str, str]) -> dict[str, Any]:
        """Return the authority as a trusted root lists it."""
        chain = (self._certificate, *self._ca.chain)
        return {
            "subject": {"organization": "virtual", "commonName": "virtual-tsa"},
            "uri": "https://tsa.sigstore.example",
            "certChain": {"certificates": [{"rawBytes": encode_base64(c.public_bytes(Encoding.DER))} for c in chain]},
            "validFor": window,
        }


class VirtualLogV2(VirtualLog):
    """A log in the manner of Rekor v2: Ed25519, no promise, no time of its own."""

    key_details = "PKIX_ED25519"

    def __init__(self, *, host: str) -> None:
        super().__init__(host=host)
        self.origin = host
        self._ed25519 = ed25519.Ed25519PrivateKey.generate()
        public = self._ed25519.public_key()
        self.spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        # C2SP signed-note: SHA-256(name || LF || 0x01 || key); Rekor v2 keeps all 32 bytes of it.
        raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.log_id = hashlib.sha256(host.encode() + b"\n\x01" + raw).digest()

    def sign(self, message: bytes) -> bytes:
        """Sign with the log's key."""
        return self._ed25519.sign(message)


class TimestampedSigstore(VirtualSigstore):
    """A virtual Sigstore that also has a timestamp authority and a second log, as Rekor v2."""

    def __init__(self, *, name: str, clock: Any) -> None:
        super().__init__(name=name, clock=clock)
        self.tsa = VirtualTimestampAuthority(start=self.start)
        self.log_v2 = VirtualLogV2(host=f"log2026.rekor.{self.operator}")

    def trusted_root(self) -> dict[str, Any]:
        """Return the instance's trusted root, with the second log and the authority."""
        root = super().trusted_root()
        window = {"start": moment_of(self.start).strftime("%Y-%m-%dT%H:%M:%SZ")}
        root["tlogs"].append(
            {
                "baseUrl": f"https://{self.log_v2.host}",
                "hashAlgorithm": "SHA2_256",
                "publicKey": {
                    "rawBytes": encode_base64(self.log_v2.spki),
                    "keyDetails": self.log_v2.key_details,
                    "validFor": window,
                },
                "logId": {"keyId": encode_base64(self.log_v2.log_id)},
            }
        )
        root["timestampAuthorities"] = [self.tsa.trusted_root_entry(window)]
        return root

    def message_bundle_v2(self, digest: bytes, credential: VirtualCredential, at: EpochNs) -> dict[str, Any]:
        """Return a bundle with a message signature, logged as `hashedrekord/0.0.2` and timestamped at `at`."""
        signature = credential.key.sign(digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
        return {
            **self._material_v2(digest, signature, credential, at),
            "messageSignature": {
                "messageDigest": {"algorithm": "SHA2_256", "digest": encode_base64(digest)},
                "signature": encode_base64(signature),
            },
        }

    def statement_bundle_v2(self, payload: bytes, credential: VirtualCredential, at: EpochNs) -> dict[str, Any]:
        """Return a bundle with an envelope, logged as `hashedrekord/0.0.2` of its encoding, timestamped at `at`."""
        encoding = pre_authentication_encoding(STATEMENT_TYPE, payload)
        signature = credential.key.sign(encoding, ec.ECDSA(hashes.SHA256()))
        return {
            **self._material_v2(hashlib.sha256(encoding).digest(), signature, credential, at),
            "dsseEnvelope": {
                "payload": encode_base64(payload),
                "payloadType": STATEMENT_TYPE,
                "signatures": [{"sig": encode_base64(signature)}],
            },
        }

    def _material_v2(
        self, digest: bytes, signature: bytes, credential: VirtualCredential, at: EpochNs
    ) -> dict[str, Any]:
        der = encode_base64(credential.certificate.public_bytes(Encoding.DER))
        verifier = {"keyDetails": "PKIX_ECDSA_P256_SHA_256", "x509Certificate": {"rawBytes": der}}
        entry = self.log_v2.append_unpromised(
            "hashedrekord", "0.0.2", hashedrekord_v2_body(digest, signature, verifier)
        )
        token = self.tsa.timestamp(signature, at)
        return {
            "mediaType": BUNDLE_MEDIA_TYPE,
            "verificationMaterial": {
                "certificate": {"rawBytes": der},
                "tlogEntries": [entry],
                "timestampVerificationData": {"rfc3161Timestamps": [{"signedTimestamp": encode_base64(token)}]},
            },
        }


def hashedrekord_v2_body(digest: bytes, signature: bytes, verifier: dict[str, Any]) -> bytes:
    """Return the body of a `hashedrekord/0.0.2` entry, by SHA-256."""
    return encode_sorted(
        {
            "apiVersion": "0.0.2",
            "kind": "hashedrekord",
            "spec": {
                "hashedRekordV002": {
                    "data": {"algorithm": "SHA2_256", "digest": encode_base64(digest)},
                    "signature": {"content": encode_base64(signature), "verifier": verifier},
                }
            },
        }
    )
