"""Real bundles by others get the verdict that any verifier must reach (where the shared data lies beside us)."""

import base64
import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lockgate.digests import Digest, parse_digest, sha256_of
from lockgate.evidence import EvidenceVerifier, Refusal, load_trust_domains
from lockgate.evidence.model_folder import hash_model
from lockgate.system_clock import SystemClock
from support import data_of_others

DATA = data_of_others.DATA / "sigstore"
# Bundles on which verifiers differ, and what this one says: a promise alone is not proof of inclusion, and a log that
# is not in the root is no log of ours. docs/formats/evidence.md gives the reasons.
DECIDED = {
    "sigstore-go/dsse.sigstore.json": "legacy_signature_format",
    "sigstore-go/sigstore.js@2.0.0-provenance.sigstore.json": "pass",
    "sigstore-go/bundle-provenance.json": "legacy_signature_format",
    "sigstore-go/bundle-publish.json": "legacy_signature_format",
    "sigstore-go/othername.sigstore.json": "untrusted_certificate",
}


def _rows() -> Iterator[Any]:
    index = DATA / "index.tsv"
    if not index.is_file():
        return
    with index.open(newline="") as file:
        for number, row in enumerate(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)):
            yield pytest.param(row, id=f"{number}-{row['bundle']}")


@pytest.fixture(scope="module")
def verifier(tmp_path_factory: pytest.TempPathFactory) -> EvidenceVerifier:
    """Return a verifier with the public-good and staging instances, and a domain of the models' keys."""
    folder = tmp_path_factory.mktemp("domains")
    for name in (
        "roots/staging.trusted_root.json",
        "model-transparency/keys/signing-key-pub.pem",
        "model-transparency/keys/ca-cert.pem",
        "sigstore-go/publish_key.pub",
    ):
        (folder / Path(name).name).write_bytes((DATA / name).read_bytes())
    (folder / "public.toml").write_text('name = "public-good"\ntrusted_root = "builtin:public-good"\n')
    (folder / "staging.toml").write_text(
        'name = "staging"\noperator = "sigstage.dev"\ntrusted_root = "staging.trusted_root.json"\n'
    )
    (folder / "keys.toml").write_text(
        'name = "keys"\ntrusted_root = "builtin:public-good"\nlegacy_model_signatures = true\n'
        '[[managed_keys]]\nfile = "signing-key-pub.pem"\nrequire_log = false\n'
        '[[managed_keys]]\nfile = "publish_key.pub"\n'
        'hint = "SHA256:jl3bwswu80PjjokCgh0o2w5c2U4LhQAE57gj9cz1kzA"\n'
        '[[certificate_authorities]]\nfile = "ca-cert.pem"\nrequire_log = false\n'
    )
    return EvidenceVerifier(load_trust_domains(folder), SystemClock())


def _subject(artifact: str, bundle: bytes) -> Digest:
    path, _, ignored = artifact.partition(" (ignoring ")
    if path.startswith("model-transparency/"):
        names = ignored.rstrip(")").split(", ") if ignored else []
        if (DATA / path / "ignore-me").exists() and "ignore-me" not in names:
            names.append("ignore-me")  # the index's README says so
        return hash_model(DATA / path, ignore=names).digest
    if len(artifact) == len("sha256:") + 64:
        return parse_digest(artifact)
    if (DATA / path).is_file():
        return sha256_of((DATA / path).read_bytes())
    return _stated(json.loads(bundle))  # noqa: TID251 - a test's own reading


def _stated(bundle: Any) -> Digest:
    # Only for rows without an artifact: what the bundle itself says it is about.
    if "dsseEnvelope" in bundle:
        payload = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))  # noqa: TID251 - as above
        ((algorithm, digits),) = payload["subject"][0]["digest"].items()
        return Digest(algorithm=algorithm, hex=digits)
    digest = base64.b64decode(bundle["messageSignature"]["messageDigest"]["digest"])
    return Digest(algorithm="sha256", hex=digest.hex())


# One authority of a private instance has a country of three letters, of which the certificate library warns.
@pytest.mark.filterwarnings("ignore:Attribute's length must be:UserWarning")
@pytest.mark.parametrize("row", data_of_others.cases_or_skip("sigstore", _rows()))
def test_real_bundle_gets_its_verdict(verifier: EvidenceVerifier, row: dict[str, str]) -> None:
    """A bundle is verified or refused as the index says; identity and issuer are compared exactly."""
    bundle = (DATA / row["bundle"]).read_bytes()
    root = row["trusted_root"]
    domain = "staging" if "staging" in root else "public-good" if row["key"] == "-" else "keys"
    result = verifier.verify(bundle, _subject(row["artifact"], bundle), domain)
    if isinstance(result, Refusal):
        verdict = result.code.value
    elif row["identity"] != "-" and (result.identity, result.issuer) != (row["identity"], row["issuer"]):
        verdict = "another signer"
    else:
        verdict = "pass"

    assert verdict != "internal"
    if row["expected"] == "policy":
        assert verdict == DECIDED[row["bundle"]]
    else:
        assert (verdict == "pass") == (row["expected"] == "pass"), verdict
