"""Trust domains load whole or not at all, and each problem names the file and the key."""

import hashlib
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from lockgate.clock import NS_PER_S, EpochNs
from lockgate.demo.virtual_ca import moment_of
from lockgate.demo.virtual_sigstore import VirtualSigstore
from lockgate.errors import ConfigError
from lockgate.evidence import EvidenceVerifier, TrustDomainError, load_trust_domains
from lockgate.evidence.limits import DOMAIN_FILE_BYTES_MAX, DOMAINS_MAX, MANAGED_KEYS_MAX, TRUST_FILE_BYTES_MAX
from support.clocks import FixedClock
from support.evidence import NOW, SUBJECT, World, code_of
from support.managed_bundles import KeySigner


@pytest.fixture
def folder(world: World) -> Path:
    """Return a folder with one good domain and a key beside it."""
    world.verifier()
    (world.folder / "key.pem").write_bytes(KeySigner().pem)
    return world.folder


def _error(folder: Path) -> str:
    with pytest.raises(TrustDomainError) as caught:
        load_trust_domains(folder)
    assert caught.value.code == "evidence.trust_domain"
    assert isinstance(caught.value, ConfigError)
    return str(caught.value)


def test_public_good_needs_no_file(tmp_path: Path) -> None:
    """The public-good instance is built in: its root comes with the sigstore package."""
    (tmp_path / "public.toml").write_text('name = "public-good"\ntrusted_root = "builtin:public-good"\n')
    domain = load_trust_domains(tmp_path).by_name["public-good"]

    assert domain.root is not None
    assert len(domain.root.logs) == 2
    assert domain.valid_until is not None  # the end of the issuing certificate
    assert domain.managed_keys == ()


def test_domain_digest_is_over_everything(folder: Path) -> None:
    """The domain's digest is the one that docs/formats/evidence.md says how to compute."""
    domain = load_trust_domains(folder).by_name["test"]
    root = hashlib.sha256((folder / "test.trusted_root.json").read_bytes()).hexdigest()
    toml = hashlib.sha256((folder / "test.toml").read_bytes()).hexdigest()

    assert domain.trusted_root_sha256 == root
    assert domain.sha256 == hashlib.sha256(f"{toml}  file\n{root}  trusted_root\n".encode()).hexdigest()


def test_digest_changes_with_any_file(folder: Path) -> None:
    """Another key, root or setting gives another digest, of the domain and of all of them."""
    before = load_trust_domains(folder)
    path = folder / "test.toml"
    path.write_text(path.read_text() + '[[managed_keys]]\nfile = "key.pem"\n')
    with_key = load_trust_domains(folder)
    (folder / "key.pem").write_bytes(KeySigner().pem)
    other_key = load_trust_domains(folder)

    assert len({before.sha256, with_key.sha256, other_key.sha256}) == 3
    assert len({each.by_name["test"].sha256 for each in (before, with_key, other_key)}) == 3


BAD_DOMAINS: list[tuple[str, str]] = [
    ("file: want TOML", "name = "),
    ("surprise: want only known keys", 'name = "a"\nsurprise = 1'),
    ("name: want 1 to 63", 'trusted_root = "builtin:public-good"'),
    ("name: want 1 to 63", 'name = "Prod"\ntrusted_root = "builtin:public-good"'),
    ("name: want a str", 'name = 1\ntrusted_root = "builtin:public-good"'),
    ("trusted_root: want a trusted root, managed keys", 'name = "a"'),
    ("trusted_root: want a readable file", 'name = "a"\noperator = "x.example"\ntrusted_root = "missing.json"'),
    ("trusted_root: want a readable file", 'name = "a"\noperator = "x.example"\ntrusted_root = "a\\u0000b"'),
    ("trusted_root: want a file inside", 'name = "a"\noperator = "x.example"\ntrusted_root = "../root.json"'),
    ("trusted_root: want a file inside", 'name = "a"\noperator = "x.example"\ntrusted_root = "/etc/root.json"'),
    ("operator: want the domain name", 'name = "a"\ntrusted_root = "test.trusted_root.json"'),
    ("operator: want the domain name", 'name = "a"\noperator = "*"\ntrusted_root = "test.trusted_root.json"'),
    ("operator: want it only beside", 'name = "a"\noperator = "x.example"'),
    ("operator: want sigstore.dev", 'name = "a"\noperator = "x.example"\ntrusted_root = "builtin:public-good"'),
    (
        "trusted_root: want every certificate authority under 'x.example'",
        'name = "a"\noperator = "x.example"\ntrusted_root = "test.trusted_root.json"',
    ),
    (
        "trusted_root: want every certificate authority under 'store.example'",
        'name = "a"\noperator = "store.example"\ntrusted_root = "test.trusted_root.json"',
    ),
    (
        "legacy_model_signatures: want a bool",
        'name = "a"\nlegacy_model_signatures = "yes"\ntrusted_root = "builtin:public-good"',
    ),
    ("managed_keys: want a list", 'name = "a"\nmanaged_keys = 1'),
    ("managed_keys: want at most", 'name = "a"\nmanaged_keys = [1]'),
    ("managed_keys: want at most", 'name = "a"\n' + '[[managed_keys]]\nfile = "key.pem"\n' * (MANAGED_KEYS_MAX + 1)),
    ("managed_keys: want each key once", 'name = "a"\n' + '[[managed_keys]]\nfile = "key.pem"\n' * 2),
    ("managed_keys[0].file: want the name", 'name = "a"\n[[managed_keys]]'),
    ("managed_keys[0].file: want one public key", 'name = "a"\n[[managed_keys]]\nfile = "a.toml"'),
    ("managed_keys[0].colour: want only known", 'name = "a"\n[[managed_keys]]\nfile = "key.pem"\ncolour = 1'),
    ("managed_keys[0].valid_from: want a date", 'name = "a"\n[[managed_keys]]\nfile = "key.pem"\nvalid_from = 1'),
    (
        "managed_keys[0].valid_from: want a date",
        'name = "a"\n[[managed_keys]]\nfile = "key.pem"\nvalid_from = 2026-01-01T00:00:00',
    ),
    (
        "managed_keys[0].valid_until: want it not before",
        'name="a"\n[[managed_keys]]\nfile="key.pem"\nvalid_from=2026-01-02T00:00:00Z\nvalid_until=2026-01-01T00:00:00Z',
    ),
    ("managed_keys[0].require_log: want a bool", 'name = "a"\n[[managed_keys]]\nfile = "key.pem"\nrequire_log = 0'),
    ("certificate_authorities[0].require_log: want false", 'name = "a"\n[[certificate_authorities]]\nfile = "key.pem"'),
    (
        "certificate_authorities[0].require_log: want false",
        'name = "a"\n[[certificate_authorities]]\nfile = "key.pem"\nrequire_log = true',
    ),
    (
        "certificate_authorities[0].file: want certificates",
        'name = "a"\n[[certificate_authorities]]\nfile = "key.pem"\nrequire_log = false',
    ),
]


@pytest.mark.parametrize(("wanted", "text"), BAD_DOMAINS)
def test_bad_domain_file_is_refused(folder: Path, wanted: str, text: str) -> None:
    """A domain file with a mistake is refused, and the message names the file, the key and what was wanted."""
    (folder / "a.toml").write_text(text)
    message = _error(folder)

    assert message.startswith(f"{folder / 'a.toml'}: ")
    assert wanted in message


def test_unreadable_text_is_refused(folder: Path) -> None:
    """A domain file that is not UTF-8 is refused."""
    (folder / "a.toml").write_bytes(b"\xff")

    assert "file: want TOML in UTF-8" in _error(folder)


def test_unsupported_key_is_refused(folder: Path) -> None:
    """A key of a kind that cannot be checked is refused at the start, not at the first signature."""
    key = rsa.generate_private_key(65537, 2048).public_key()
    (folder / "rsa.pem").write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    (folder / "a.toml").write_text('name = "a"\n[[managed_keys]]\nfile = "rsa.pem"')

    assert "managed_keys[0].file: want a P-256, P-384, P-521 or Ed25519 key" in _error(folder)


@pytest.mark.parametrize("name", ["test.toml", "test.trusted_root.json"])
def test_oversized_file_is_refused(folder: Path, name: str) -> None:
    """A file above its limit is refused."""
    limit = DOMAIN_FILE_BYTES_MAX if name.endswith(".toml") else TRUST_FILE_BYTES_MAX
    (folder / name).write_bytes(b"#" * (limit + 1))

    assert f"want a file of at most {limit} bytes" in _error(folder)


def test_number_of_domains_is_bounded(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A folder without a domain file, or with too many, is refused."""
    assert "want 1 to" in _error(tmp_path_factory.mktemp("empty"))
    for number in range(DOMAINS_MAX):
        (folder / f"d{number}.toml").write_text(f'name = "d{number}"\ntrusted_root = "builtin:public-good"\n')

    assert "want 1 to" in _error(folder)


def test_name_is_taken_once(folder: Path) -> None:
    """Two files cannot be the same domain."""
    (folder / "zzz.toml").write_text('name = "test"\ntrusted_root = "builtin:public-good"\n')

    assert "name: want a name of its own" in _error(folder)


def _other_host(root: dict[str, Any], kind: str) -> None:
    key = "uri" if kind == "certificateAuthorities" else "baseUrl"
    root[kind][0][key] = "https://service.other.example"


@pytest.mark.parametrize("kind", ["tlogs", "ctlogs", "certificateAuthorities"])
def test_root_of_two_operators_is_refused(world: World, kind: str) -> None:
    """A root whose authority and logs have different operators is refused: they could be mixed."""
    with pytest.raises(TrustDomainError, match=r"under 'test\.sigstore\.example', got 'service\.other\.example'"):
        world.verifier(lambda root: _other_host(root, kind))


@pytest.mark.parametrize(
    "change",
    [
        lambda root: root.update(mediaType="bad-media-type"),
        lambda root: root.update(mediaType="application/vnd.dev.sigstore.trustedroot.v0.2+json"),
        lambda root: root.pop("tlogs"),
        lambda root: root.update(surprise=1),
        lambda root: root["certificateAuthorities"][0]["certChain"].update(certificates=[]),
        lambda root: root["certificateAuthorities"][0]["certChain"]["certificates"][0].update(rawBytes="AAAA"),
        lambda root: root["certificateAuthorities"][0].pop("uri"),
        lambda root: root["tlogs"][0]["publicKey"].pop("rawBytes"),
        lambda root: root["tlogs"][0]["publicKey"].update(validFor={"start": "2026-01-01T00:00:00"}),
    ],
    ids=["type", "v0.2", "no logs", "unknown", "empty chain", "no DER", "no uri", "no key", "no offset"],
)
def test_bad_root_is_refused(world: World, change: Any) -> None:
    """A trusted root that cannot be read in full is refused."""
    with pytest.raises(TrustDomainError, match="trusted_root: "):
        world.verifier(change)


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b'{"mediaType":1,"mediaType":2}', b"\xff\xfe"])
def test_root_that_is_no_json_object_is_refused(folder: Path, data: bytes) -> None:
    """A trusted root that is not one unambiguous JSON object is refused."""
    (folder / "test.trusted_root.json").write_bytes(data)

    assert "trusted_root: " in _error(folder)


def test_reload_swaps_all_or_nothing(folder: Path, world: World) -> None:
    """New domains take effect at once; domains that cannot be loaded leave the old ones in force."""
    verifier = EvidenceVerifier(load_trust_domains(folder), world.clock)
    ours = orjson.dumps(world.message())
    assert code_of(verifier.verify(ours, SUBJECT, "test")) == "verified"

    (folder / "test.trusted_root.json").write_bytes(b"{")
    with pytest.raises(TrustDomainError):
        verifier.replace_domains(load_trust_domains(folder))
    assert code_of(verifier.verify(ours, SUBJECT, "test")) == "verified"

    other = VirtualSigstore(name="test", clock=FixedClock(NOW))
    other.write_trust_domain(folder)
    verifier.replace_domains(load_trust_domains(folder))

    assert code_of(verifier.verify(ours, SUBJECT, "test")) != "verified"


def _end(root: dict[str, Any], kind: str, days: int) -> None:
    moment = moment_of(EpochNs(NOW + days * 86_400 * NS_PER_S)).strftime("%Y-%m-%dT%H:%M:%SZ")
    for service in root[kind]:
        holder = service.get("publicKey", service)
        holder["validFor"]["end"] = moment


@pytest.mark.parametrize("kind", ["tlogs", "ctlogs", "certificateAuthorities"])
def test_health_knows_the_end_of_a_root(world: World, kind: str) -> None:
    """A root is good until the first of its kinds of service has no key left."""
    verifier = world.verifier(lambda root: _end(root, kind, 5))

    assert verifier.domains.by_name["test"].valid_until == NOW + 5 * 86_400 * NS_PER_S


def test_health_knows_the_end_of_keys(folder: Path) -> None:
    """A domain of keys only is good until its last key ends, and for ever if one has no end."""
    text = 'name = "a"\n[[managed_keys]]\nfile = "key.pem"\nvalid_until = 2030-01-01T00:00:00Z\n'
    (folder / "a.toml").write_text(text)
    assert load_trust_domains(folder).by_name["a"].valid_until == 1_893_456_000 * NS_PER_S

    (folder / "other.pem").write_bytes(KeySigner().pem)
    (folder / "a.toml").write_text(text + '[[managed_keys]]\nfile = "other.pem"\n')
    assert load_trust_domains(folder).by_name["a"].valid_until is None


def test_domain_of_keys_refuses_keyless_signatures(folder: Path, world: World) -> None:
    """A domain without a Sigstore root trusts no certificate, and has no log for keys that need one."""
    signer = KeySigner()
    (folder / "only.pem").write_bytes(signer.pem)
    (folder / "a.toml").write_text('name = "a"\n[[managed_keys]]\nfile = "only.pem"\n')
    verifier = EvidenceVerifier(load_trust_domains(folder), world.clock)
    logged = signer.log_as(world.sigstore, "hashedrekord", signer.message())

    assert code_of(verifier.verify(orjson.dumps(world.message()), SUBJECT, "a")) == "untrusted_certificate"
    assert code_of(verifier.verify(orjson.dumps(logged), SUBJECT, "a")) == "log_entry_invalid"
