"""Finding attachments: what a record names, and what holds a text that somebody wants erased."""

from dataclasses import dataclass, replace

from sqlalchemy import Connection

from lockgate.audit import retention_store, store
from lockgate.audit.errors import DisclosureInvalidError
from lockgate.audit.formats.disclosures import Disclosure, open_disclosure
from lockgate.audit.formats.records import attachments_of, parse_record
from lockgate.canonical_json import canonicalize
from lockgate.digests import Sha256Hex


@dataclass(frozen=True, slots=True, kw_only=True)
class NamingRecord:
    """A record that names an attachment."""

    seq: int
    kind: str
    subject: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundAttachment:
    """An attachment, or what is left of one."""

    sha256: Sha256Hex
    size: int | None  # in bytes; None if it is not there
    erased: bool  # on purpose, now or before it came back
    disclosure: Disclosure | None  # if it is one
    newest: NamingRecord | None = None  # of the records that name it; None where it was found through one


def attachments_of_record(connection: Connection, log: str, seq: int) -> tuple[FoundAttachment, ...] | None:
    """Return what became of each attachment that a record names, or None if there is no such record."""
    entry = store.read_entry(connection, log, seq)
    if entry is None:
        return None
    names = [Sha256Hex(name) for name in attachments_of(parse_record(entry.body))]
    erased = retention_store.read_erased(connection, log, names)
    return tuple(_found(name, store.read_attachment(connection, log, name), erased=name in erased) for name in names)


def attachments_containing(connection: Connection, log: str, text: str) -> tuple[FoundAttachment, ...]:
    """Return each attachment that holds a text, in clear or in a disclosure; it reads all of them, one at a time.

    With each comes the newest record that names it, so that a person can tell what it is before erasing it.

    It does not look into base64, certificates or archives: a bundle's signer is found through the record that names
    the bundle.
    """
    wanted = text.encode()
    matches: list[FoundAttachment] = []
    for sha256, body in store.stream_attachments(connection, log):
        found = _found(Sha256Hex(sha256), body, erased=False)
        value = canonicalize(found.disclosure.value) if found.disclosure else b""
        if wanted in body or wanted in value:
            matches.append(found)
    return tuple(replace(found, newest=_newest_naming(connection, log, found.sha256)) for found in matches)


def _newest_naming(connection: Connection, log: str, sha256: Sha256Hex) -> NamingRecord | None:
    seq = retention_store.read_kept(connection, log, [sha256])[sha256]
    entry = store.read_entry(connection, log, seq)
    if entry is None:
        return None
    record = parse_record(entry.body)
    return NamingRecord(seq=seq, kind=record["kind"], subject=record.get("subject"))


def _found(sha256: Sha256Hex, body: bytes | None, *, erased: bool) -> FoundAttachment:
    disclosure = None
    if body is not None:
        try:
            disclosure = open_disclosure(body, f"sha256:{sha256}")
        except DisclosureInvalidError:
            disclosure = None  # any other document
    return FoundAttachment(
        sha256=sha256, size=None if body is None else len(body), erased=erased, disclosure=disclosure
    )
