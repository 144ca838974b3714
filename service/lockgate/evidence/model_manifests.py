"""The manifest in an OpenSSF model signature: which files there are, and the one digest that stands for them. Pure.

The digest of a model is SHA-256 over the SHA-256 digests of its files, in the order of their names. Names are ordered
part by part, so `a/x` comes before `a-b/x`, although `-` sorts before `/` as a character.

Source: ossf/model-signing-spec, version 1.0; sigstore/model-transparency, `docs/model_signing_format.md`.
"""

import hashlib
import re
from collections.abc import Iterable
from typing import Any, Final

from lockgate.evidence.errors import RefusedError
from lockgate.evidence.limits import NAME_CHARS_MAX, RESOURCES_MAX
from lockgate.evidence.types import RefusalCode

MODEL_PREDICATE: Final = "https://model_signing/signature/v1.0"
LEGACY_MODEL_PREDICATE: Final = "https://model_signing/Digests/v0.1"
SINGLE_FILE_NAME: Final = "."  # the one resource of a model that is a file and not a folder
_SHA256_HEX: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


def root_digest(file_digests: Iterable[str]) -> str:
    """Return the digest of a model, in hex, from its files' SHA-256 digests in hex, in the order of their names."""
    root = hashlib.sha256()
    for digest in file_digests:
        root.update(bytes.fromhex(digest))
    return root.hexdigest()


def require_manifest(statement: dict[str, Any]) -> None:
    """Make sure that a model signature's manifest is one that a client can check without danger.

    (1) It was made over whole files, with SHA-256, without following symbolic links.
    (2) Every resource has a SHA-256 digest and a name of its own that stays inside the model.
    (3) The statement has one subject, and it is the digest of these resources, in the order in which they are listed.

    Raises:
        RefusedError: `unsupported_bundle` for (1), `too_large` or `subject_mismatch` for the rest.
    """
    predicate = statement.get("predicate")
    if not isinstance(predicate, dict):
        raise _mismatch("want a model manifest in the predicate")
    # (1) How it was made.
    how = predicate.get("serialization")
    if (
        not isinstance(how, dict)
        or how.get("method") != "files"
        or how.get("hash_type") != "sha256"
        or how.get("allow_symlinks") is not False
    ):
        raise RefusedError(
            RefusalCode.UNSUPPORTED_BUNDLE, "want a model manifest of whole files, by SHA-256, without symbolic links"
        )
    # (2) The resources.
    resources = predicate.get("resources")
    if not isinstance(resources, list) or not resources:
        raise _mismatch("want a model manifest with resources")
    digests = _digests(resources)
    # (3) The subject.
    subjects = statement["subject"]
    if len(subjects) != 1 or subjects[0]["digest"].get("sha256") != root_digest(digests):
        raise _mismatch("want one subject, with the digest of the listed resources")


def legacy_root(statement: dict[str, Any]) -> str:
    """Return the digest of the folder that a model signature of version 0.2 lists as its subjects, one per file.

    Raises:
        RefusedError: `subject_mismatch`: a subject is not a file by SHA-256.
    """
    resources = []
    for each in statement["subject"]:
        annotations = each.get("annotations")
        if not isinstance(annotations, dict) or annotations.get("actual_hash_algorithm") != "file-sha256":
            raise _mismatch("want subjects that are files, by SHA-256")
        resources.append({"name": each.get("name"), "algorithm": "sha256", "digest": each["digest"].get("sha256")})
    _digests(resources)
    resources.sort(key=lambda each: str(each["name"]).split("/"))
    return root_digest(str(each["digest"]) for each in resources)


def _digests(resources: list[Any]) -> list[str]:
    if len(resources) > RESOURCES_MAX:
        raise RefusedError(RefusalCode.TOO_LARGE, f"want at most {RESOURCES_MAX} resources, got {len(resources)}")
    names: set[str] = set()
    digests: list[str] = []
    for each in resources:
        if not isinstance(each, dict) or each.get("algorithm") != "sha256":
            raise _mismatch("want every resource by SHA-256")
        name, digest = each.get("name"), each.get("digest")
        if not isinstance(digest, str) or not _SHA256_HEX.fullmatch(digest):
            raise _mismatch("want 64 lower-case hex digits for every resource")
        if not isinstance(name, str) or name in names or not _is_inside(name, alone=len(resources) == 1):
            raise _mismatch("want a name of its own, inside the model, for every resource")
        names.add(name)
        digests.append(digest)
    return digests


def _is_inside(name: str, *, alone: bool) -> bool:
    # A client joins these names to its own folder. A backslash is a separator to some clients, so none is let through.
    if name == SINGLE_FILE_NAME:
        return alone
    parts = name.split("/")
    return len(name) <= NAME_CHARS_MAX and "\\" not in name and not any(part in ("", ".", "..") for part in parts)


def _mismatch(detail: str) -> RefusedError:
    return RefusedError(RefusalCode.SUBJECT_MISMATCH, detail)
