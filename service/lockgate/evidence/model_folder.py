"""Hashes a model where it lies, on the client: a file or a folder becomes the digest that model signatures are over.

The service never calls this: it would have to read gigabytes. The client sends the digest, and a signed manifest names
every file that the digest stands for. Nothing is left out by default, not even `.git`: a file that is not hashed is a
file that anyone can change.
"""

import base64
import hashlib
import os
import stat
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from lockgate.canonical_json import MalformedJSONError, parse_json
from lockgate.digests import Digest, Sha256Hex
from lockgate.evidence.errors import ModelFolderError
from lockgate.evidence.limits import (
    BUNDLE_BYTES_MAX,
    BUNDLE_NODES_MAX,
    RESOURCES_MAX,
    STATEMENT_BYTES_MAX,
    STATEMENT_NODES_MAX,
)
from lockgate.evidence.model_manifests import MODEL_PREDICATE, SINGLE_FILE_NAME, root_digest

_BLOCK_BYTES: Final = 1024 * 1024  # large enough that reading costs little beside hashing


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """One file of a model: its name relative to the model, with `/` between the parts, and its digest."""

    name: str
    sha256: Sha256Hex


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelManifest:
    """What a model consists of.

    Attributes:
        name: The last part of the model's path; not part of the digest.
        digest: The digest that stands for the model.
        files: Every file, in the order in which the digest takes them.
        ignored: What the caller left out, relative to the model.
        bytes_total: The size of all files together.
    """

    name: str
    digest: Digest
    files: tuple[ModelFile, ...]
    ignored: tuple[str, ...]
    bytes_total: int

    def statement(self) -> dict[str, Any]:
        """Return the in-toto statement that an OpenSSF model signature is over."""
        return {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": self.name, "digest": {"sha256": self.digest.hex}}],
            "predicateType": MODEL_PREDICATE,
            "predicate": {
                "serialization": {
                    "method": "files",
                    "hash_type": "sha256",
                    "allow_symlinks": False,
                    "ignore_paths": list(self.ignored),
                },
                "resources": [{"name": file.name, "algorithm": "sha256", "digest": file.sha256} for file in self.files],
            },
        }


def hash_model(
    path: Path,
    *,
    ignore: Collection[str] = (),
    on_progress: Callable[[int, int], None] | None = None,
) -> ModelManifest:
    """Hash a model.

    Args:
        path: A file or a folder. A symbolic link is refused, here and inside.
        ignore: Names relative to the folder, with `/` between the parts, that are not part of the model: as a rule the
            signature's own file. A name stands for itself only, or for the whole folder it names.
        on_progress: Called with the bytes hashed so far and the bytes in all, after each block.

    Returns:
        The manifest.

    Raises:
        ModelFolderError: There is no file, too many, a symbolic link or special file, a name that is not Unicode or has
            a backslash, an ignored name outside the model, or a file that changed while it was read.

    Source: ossf/model-signing-spec, version 1.0, method `files` with SHA-256.
    """
    ignored = frozenset(_inner_name(name) for name in ignore)
    try:
        found = sorted(_files(path, ignored), key=lambda item: item[0].split("/"))
        if not 1 <= len(found) <= RESOURCES_MAX:
            raise ModelFolderError(f"want 1 to {RESOURCES_MAX} files in a model, got {len(found)}")
        sizes = [each.lstat().st_size for _, each in found]
        progress = _Progress(sum(sizes), on_progress)
        files = tuple(
            ModelFile(name=name, sha256=_hash_file(each, size, progress))
            for (name, each), size in zip(found, sizes, strict=True)
        )
        name = path.resolve().name
    except OSError as exc:
        raise ModelFolderError(f"want a readable model, got {exc.strerror} at {str(exc.filename)[:200]!r}") from exc
    return ModelManifest(
        name=name,
        digest=Digest(algorithm="sha256", hex=root_digest(file.sha256 for file in files)),
        files=files,
        ignored=tuple(sorted(ignored)),
        bytes_total=progress.total,
    )


def misnamed_files(manifest: ModelManifest, bundle: bytes) -> tuple[str, ...]:
    """Return the names in which a model and the manifest of a model signature differ; empty where they agree.

    A model's digest covers its files' bytes in the order of their names, not the names: a model whose files were
    renamed can have the digest of the signed one. The names are in the signed manifest, so whoever has the files
    compares.

    Args:
        manifest: What was hashed here.
        bundle: A Sigstore bundle. Nothing in it is verified here: the gate does that with the same bytes.

    Returns:
        Sorted names; also empty for a bundle that is no model signature, which says nothing about names.
    """
    signed = _signed_names(bundle)
    return tuple(sorted(signed ^ {file.name for file in manifest.files})) if signed else ()


def _signed_names(bundle: bytes) -> frozenset[str]:
    try:
        envelope = parse_json(bundle, bytes_max=BUNDLE_BYTES_MAX, nodes_max=BUNDLE_NODES_MAX)["dsseEnvelope"]
        payload = base64.b64decode(envelope["payload"], validate=True)
        statement = parse_json(payload, bytes_max=STATEMENT_BYTES_MAX, nodes_max=STATEMENT_NODES_MAX)
        if statement["predicateType"] != MODEL_PREDICATE:
            return frozenset()
        return frozenset(str(resource["name"]) for resource in statement["predicate"]["resources"])
    except (MalformedJSONError, ValueError, KeyError, TypeError):
        return frozenset()  # whatever it is, it is not a model signature; the gate says what it is


class _Progress:
    def __init__(self, total: int, on_progress: Callable[[int, int], None] | None) -> None:
        self.total = total
        self._done = 0
        self._on_progress = on_progress

    def add(self, count: int) -> None:
        self._done += count
        if self._on_progress is not None:
            self._on_progress(self._done, self.total)


def _files(path: Path, ignored: frozenset[str]) -> Iterator[tuple[str, Path]]:
    if _kind(path) == stat.S_IFREG:
        yield SINGLE_FILE_NAME, path
        return
    folders = [("", path)]
    while folders:
        prefix, folder = folders.pop()
        for entry in folder.iterdir():
            name = prefix + _unicode(entry.name)
            if name in ignored:
                continue
            if _kind(entry) == stat.S_IFDIR:
                folders.append((f"{name}/", entry))
            else:
                yield name, entry


def _kind(path: Path) -> int:
    kind = stat.S_IFMT(path.lstat().st_mode)
    if kind not in (stat.S_IFREG, stat.S_IFDIR):
        raise ModelFolderError(f"want files and folders only, no links or special files, got {path.name[:200]!r}")
    return kind


def _hash_file(path: Path, size: int, progress: _Progress) -> Sha256Hex:
    # Opened without following a link, so that a file swapped for one between listing and reading is refused.
    digest = hashlib.sha256()
    count = 0
    buffer = memoryview(bytearray(_BLOCK_BYTES))
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb", buffering=0) as file:  # noqa: PTH123 - a descriptor
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ModelFolderError(f"want files that stay files while they are hashed, got {path.name[:200]!r}")
        while (read := file.readinto(buffer)) > 0:
            digest.update(buffer[:read])
            count += read
            progress.add(read)
            if count > size:  # a file that grows as fast as it is read would never end
                break
    if count != size:
        raise ModelFolderError(f"want files that do not change while they are hashed, got {path.name[:200]!r}")
    return Sha256Hex(digest.hexdigest())


def _unicode(name: str) -> str:
    # Python shows bytes that are not UTF-8 as lone surrogates; a backslash is a separator to some readers.
    if "\\" in name or any("\ud800" <= character <= "\udfff" for character in name):
        raise ModelFolderError("want file names in UTF-8 without backslashes")
    return name


def _inner_name(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or str(path) in ("", "."):
        raise ModelFolderError(f"want ignored names inside the model, got {name[:200]!r}")
    return str(path)
