"""Loads trust domains from a folder of TOML files: all of them, or none.

The format is described in docs/formats/evidence.md. Every problem is a `TrustDomainError` that names the file and the
key, so that a gate with a broken root does not start, and one that is running keeps what it has.
"""

import base64
import hashlib
import re
import tomllib
from collections.abc import Iterable, Mapping
from datetime import datetime
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from lockgate.clock import EpochNs
from lockgate.digests import sha256_hex
from lockgate.errors import LockgateError
from lockgate.evidence.errors import TrustDomainError
from lockgate.evidence.limits import (
    CERTIFICATES_MAX,
    DOMAIN_FILE_BYTES_MAX,
    DOMAINS_MAX,
    MANAGED_KEYS_MAX,
    TRUST_FILE_BYTES_MAX,
)
from lockgate.evidence.signatures import SigningKey, is_supported
from lockgate.evidence.trust_domains import ManagedKey, TrustDomain, TrustDomains
from lockgate.evidence.trusted_roots import SigstoreRoot, parse_trusted_root
from lockgate.evidence.windows import Window, epoch_ns, window_of

PUBLIC_GOOD: Final = "builtin:public-good"
_PUBLIC_GOOD_OPERATOR: Final = "sigstore.dev"
_PUBLIC_GOOD_FOLDER: Final = "https%3A%2F%2Ftuf-repo-cdn.sigstore.dev"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}", re.ASCII)
_OPERATOR: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII)
_DOMAIN_KEYS: Final = frozenset(
    {"name", "trusted_root", "operator", "legacy_model_signatures", "managed_keys", "certificate_authorities"}
)
_KEY_KEYS: Final = frozenset({"file", "hint", "valid_from", "valid_until", "require_log"})
_AUTHORITY_KEYS: Final = frozenset({"file", "require_log"})

_T = TypeVar("_T")


def load_trust_domains(folder: Path) -> TrustDomains:
    """Load every `*.toml` of a folder.

    Args:
        folder: The configuration folder. Its domain files name other files relative to themselves.

    Returns:
        The domains, at least one.

    Raises:
        TrustDomainError: Any file is missing, unreadable, unknown in a key, or not sound. Nothing is half-loaded.
    """
    paths = sorted(folder.glob("*.toml"))
    if not 1 <= len(paths) <= DOMAINS_MAX:
        raise TrustDomainError(f"{folder}: want 1 to {DOMAINS_MAX} trust domain files (*.toml), got {len(paths)}")
    domains: dict[str, TrustDomain] = {}
    for path in paths:
        domain = _Reader(path).domain()
        if domain.name in domains:
            raise TrustDomainError(f"{path}: name: want a name of its own, {domain.name!r} is taken")
        domains[domain.name] = domain
    listing = "".join(f"{domain.sha256}  {name}\n" for name, domain in sorted(domains.items()))
    return TrustDomains(by_name=MappingProxyType(domains), sha256=sha256_hex(listing.encode()))


class _Reader:
    """Reads one domain file and what it names, and remembers the digests of all of it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._listing: list[str] = []

    def domain(self) -> TrustDomain:
        """Return the domain, or raise `TrustDomainError`."""
        table = self._table()
        name = self._value(table, "name", str, "")
        if not _NAME.fullmatch(name):
            raise self._error("name", "want 1 to 63 of a-z, 0-9 and -, not beginning with -")
        root, root_sha256 = self._root(table)
        keys = tuple(
            self._managed_key(entry, f"managed_keys[{index}]")
            for index, entry in enumerate(self._entries(table, "managed_keys", MANAGED_KEYS_MAX))
        )
        if len({key.spki for key in keys}) != len(keys):
            raise self._error("managed_keys", "want each key once")
        authorities = tuple(
            certificate
            for index, entry in enumerate(self._entries(table, "certificate_authorities", CERTIFICATES_MAX))
            for certificate in self._authorities(entry, f"certificate_authorities[{index}]")
        )
        if root is None and not keys and not authorities:
            raise self._error("trusted_root", "want a trusted root, managed keys or certificate authorities")
        return TrustDomain(
            name=name,
            sha256=sha256_hex("".join(self._listing).encode()),
            trusted_root_sha256=root_sha256,
            root=root,
            managed_keys=keys,
            certificate_authorities=authorities,
            legacy_model_signatures=self._value(table, "legacy_model_signatures", bool, default=False),
            valid_until=_valid_until(root, keys, authorities),
        )

    def _table(self) -> dict[str, Any]:
        data = self._file(self._path, "file", DOMAIN_FILE_BYTES_MAX)
        try:
            table = tomllib.loads(data.decode())
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
            raise self._error("file", "want TOML in UTF-8") from exc
        self._require_known(table, _DOMAIN_KEYS, "")
        return table

    def _root(self, table: dict[str, Any]) -> tuple[SigstoreRoot | None, Any]:
        source = self._value(table, "trusted_root", str, "")
        operator = self._value(table, "operator", str, "")
        if source == "":
            if operator:
                raise self._error("operator", "want it only beside a trusted root")
            return None, None
        if source == PUBLIC_GOOD:
            if operator not in ("", _PUBLIC_GOOD_OPERATOR):
                raise self._error("operator", f"want {_PUBLIC_GOOD_OPERATOR} or nothing beside {PUBLIC_GOOD}")
            operator = _PUBLIC_GOOD_OPERATOR
            data = _public_good()
            self._listing.append(f"{sha256_hex(data)}  trusted_root\n")
        else:
            if not _OPERATOR.fullmatch(operator):
                raise self._error("operator", "want the domain name that every service of the trusted root is under")
            data = self._named_file(source, "trusted_root")
        try:
            return parse_trusted_root(data, operator=operator), sha256_hex(data)
        except (ValueError, TypeError, UnsupportedAlgorithm, LockgateError) as exc:
            raise self._error("trusted_root", _first_line(exc)) from exc

    def _managed_key(self, entry: dict[str, Any], where: str) -> ManagedKey:
        self._require_known(entry, _KEY_KEYS, f"{where}.")
        pem = self._named_file(self._value(entry, "file", str, "", where), f"{where}.file")
        try:
            key = load_pem_public_key(pem)
        except (ValueError, UnsupportedAlgorithm) as exc:
            raise self._error(f"{where}.file", "want one public key in PEM") from exc
        if not is_supported(key):
            raise self._error(f"{where}.file", "want a P-256, P-384, P-521 or Ed25519 key")
        spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        hint = self._value(entry, "hint", str, "", where)
        window = self._window(entry, where)
        return ManagedKey(
            public_key=key,
            spki=spki,
            spki_sha256=sha256_hex(spki),
            hints=_hints(key, spki) | ({hint} if hint else set()),
            window=window,
            require_log=self._value(entry, "require_log", bool, default=True, where=where),
        )

    def _window(self, entry: dict[str, Any], where: str) -> Window:
        ends = []
        for name in ("valid_from", "valid_until"):
            moment = entry.get(name)
            if moment is not None and not (isinstance(moment, datetime) and moment.tzinfo is not None):
                raise self._error(
                    f"{where}.{name}", "want a date and time with an offset, such as 2026-01-31T00:00:00Z"
                )
            ends.append(moment)
        window = window_of(*ends)
        if window.start is not None and window.end is not None and window.start > window.end:
            raise self._error(f"{where}.valid_until", "want it not before valid_from")
        return window

    def _authorities(self, entry: dict[str, Any], where: str) -> list[x509.Certificate]:
        self._require_known(entry, _AUTHORITY_KEYS, f"{where}.")
        # Written out by whoever gives up the log, so that nobody does by leaving something out.
        if entry.get("require_log") is not False:
            raise self._error(f"{where}.require_log", "want false: chains of one's own authority carry no log entry")
        pem = self._named_file(self._value(entry, "file", str, "", where), f"{where}.file")
        try:
            certificates = x509.load_pem_x509_certificates(pem)
        except ValueError as exc:
            raise self._error(f"{where}.file", "want certificates in PEM") from exc
        if len(certificates) > CERTIFICATES_MAX:
            raise self._error(f"{where}.file", f"want at most {CERTIFICATES_MAX} certificates")
        return certificates

    def _entries(self, table: dict[str, Any], key: str, count_max: int) -> list[dict[str, Any]]:
        entries = self._value(table, key, list, [])
        if len(entries) > count_max or not all(isinstance(entry, dict) for entry in entries):
            raise self._error(key, f"want at most {count_max} tables [[{key}]]")
        return entries

    def _value(self, table: Mapping[str, Any], key: str, kind: type[_T], default: _T, where: str = "") -> _T:
        value = table.get(key, default)
        if not isinstance(value, kind):
            raise self._error(f"{where}.{key}" if where else key, f"want a {kind.__name__}")
        return value

    def _require_known(self, table: dict[str, Any], known: Iterable[str], where: str) -> None:
        unknown = sorted(set(table) - set(known))
        if unknown:
            raise self._error(f"{where}{unknown[0][:40]}", "want only known keys")

    def _named_file(self, name: str, key: str) -> bytes:
        if not name:
            raise self._error(key, "want the name of a file")
        parts = Path(name)
        if parts.is_absolute() or ".." in parts.parts:
            # The folder is what is watched for changes: a file elsewhere would change unseen.
            raise self._error(key, "want a file inside the folder of the domain file")
        return self._file(self._path.parent / parts, key, TRUST_FILE_BYTES_MAX)

    def _file(self, path: Path, key: str, bytes_max: int) -> bytes:
        try:
            with path.open("rb") as file:
                data = file.read(bytes_max + 1)
        except (OSError, ValueError) as exc:  # a ValueError for a name with a NUL in it
            raise self._error(key, f"want a readable file at {str(path)!r}") from exc
        if len(data) > bytes_max:
            raise self._error(key, f"want a file of at most {bytes_max} bytes")
        self._listing.append(f"{sha256_hex(data)}  {key}\n")
        return data

    def _error(self, key: str, wanted: str) -> TrustDomainError:
        return TrustDomainError(f"{self._path}: {key}: {wanted}")


def _public_good() -> bytes:
    # The file in the installed package, whose digest the requirements lock pins. Never the library's own cache in the
    # home folder: who can write there would decide whom the gate trusts.
    return resources.files("sigstore._store").joinpath(_PUBLIC_GOOD_FOLDER, "trusted_root.json").read_bytes()


def _hints(key: SigningKey, spki: bytes) -> frozenset[str]:
    # What tools call a key: model signing hashes the PEM as OpenSSL writes it, others the SubjectPublicKeyInfo, in hex
    # or base64.
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    digest = hashlib.sha256(spki).digest()
    return frozenset({sha256_hex(pem), digest.hex(), base64.b64encode(digest).decode()})


def _valid_until(
    root: SigstoreRoot | None, keys: tuple[ManagedKey, ...], authorities: tuple[x509.Certificate, ...]
) -> EpochNs | None:
    ways: list[EpochNs | None] = [key.window.end for key in keys]
    ways.extend(epoch_ns(certificate.not_valid_after_utc) for certificate in authorities)
    if root is not None and root.authorities and root.logs and root.ct_logs:
        issuing = [
            min(epoch_ns(each.certificates[0].not_valid_after_utc), each.window.end or _FOREVER)
            for each in root.authorities
        ]
        logging = [log.window.end for log in root.logs], [log.window.end for log in root.ct_logs]
        ways.append(min(max(issuing), *(max(end or _FOREVER for end in ends) for ends in logging)))
    if not ways:
        return None
    latest = max(end or _FOREVER for end in ways)
    return None if latest == _FOREVER else latest


_FOREVER: Final = EpochNs(2**63 - 1)


def _first_line(exc: Exception) -> str:
    # A library's message may be long and repeat the file; its first line says what was wrong.
    return str(exc).partition("\n")[0][:200] or "want a Sigstore trusted root"
