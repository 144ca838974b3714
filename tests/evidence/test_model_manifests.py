"""The manifest of a model signature must be safe to check and describe its subject."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from lockgate.digests import Digest
from lockgate.evidence.limits import NAME_CHARS_MAX, RESOURCES_MAX
from lockgate.evidence.model_manifests import LEGACY_MODEL_PREDICATE, MODEL_PREDICATE, root_digest
from support.evidence import World, code_of

HEX = ("a" * 64, "b" * 64)
ROOT = root_digest(HEX)
SUBJECT = Digest(algorithm="sha256", hex=ROOT)
STATEMENT: dict[str, Any] = {
    "_type": "https://in-toto.io/Statement/v1",
    "subject": [{"name": "model", "digest": {"sha256": ROOT}}],
    "predicateType": MODEL_PREDICATE,
    "predicate": {
        "serialization": {"method": "files", "hash_type": "sha256", "allow_symlinks": False, "ignore_paths": []},
        "resources": [
            {"name": "config.json", "algorithm": "sha256", "digest": HEX[0]},
            {"name": "sub/weights.bin", "algorithm": "sha256", "digest": HEX[1]},
        ],
    },
}


def _how(statement: dict[str, Any]) -> dict[str, Any]:
    how: dict[str, Any] = statement["predicate"]["serialization"]
    return how


def _resource(statement: dict[str, Any], index: int = 0) -> dict[str, Any]:
    resource: dict[str, Any] = statement["predicate"]["resources"][index]
    return resource


BAD: list[tuple[str, str, Callable[[dict[str, Any]], object]]] = [
    ("unsupported_bundle", "shards", lambda s: _how(s).update(method="shards")),
    ("unsupported_bundle", "blake3", lambda s: _how(s).update(hash_type="blake3")),
    ("unsupported_bundle", "links", lambda s: _how(s).update(allow_symlinks=True)),
    ("unsupported_bundle", "links unsaid", lambda s: _how(s).pop("allow_symlinks")),
    ("unsupported_bundle", "not said", lambda s: s["predicate"].pop("serialization")),
    ("subject_mismatch", "no predicate", lambda s: s.pop("predicate")),
    ("subject_mismatch", "no resources", lambda s: s["predicate"].update(resources=[])),
    ("subject_mismatch", "not a resource", lambda s: s["predicate"].update(resources=["x"])),
    ("subject_mismatch", "other digest", lambda s: _resource(s).update(digest="c" * 64)),
    ("subject_mismatch", "short digest", lambda s: _resource(s).update(digest="aa")),
    ("subject_mismatch", "upper case", lambda s: _resource(s).update(digest="A" * 64)),
    ("subject_mismatch", "algorithm", lambda s: _resource(s).update(algorithm="sha1")),
    ("subject_mismatch", "order", lambda s: s["predicate"]["resources"].reverse()),
    ("subject_mismatch", "same name", lambda s: _resource(s).update(name="sub/weights.bin")),
    ("subject_mismatch", "absolute", lambda s: _resource(s).update(name="/etc/passwd")),
    ("subject_mismatch", "parent", lambda s: _resource(s).update(name="../outside.txt")),
    ("subject_mismatch", "parent inside", lambda s: _resource(s).update(name="a/../../b")),
    ("subject_mismatch", "dot", lambda s: _resource(s).update(name=".")),
    ("subject_mismatch", "dot inside", lambda s: _resource(s).update(name="a/./b")),
    ("subject_mismatch", "empty part", lambda s: _resource(s).update(name="a//b")),
    ("subject_mismatch", "backslash", lambda s: _resource(s).update(name="..\\b")),
    ("subject_mismatch", "empty", lambda s: _resource(s).update(name="")),
    ("subject_mismatch", "no text", lambda s: _resource(s).update(name=1)),
    ("subject_mismatch", "long", lambda s: _resource(s).update(name="x" * (NAME_CHARS_MAX + 1))),
    ("subject_mismatch", "two subjects", lambda s: s["subject"].append({"digest": {"sha256": "c" * 64}})),
    ("too_large", "many", lambda s: s["predicate"].update(resources=[{}] * (RESOURCES_MAX + 1))),
]


def test_good_manifest_is_verified(world: World) -> None:
    """A manifest whose resources hash to its subject is verified."""
    assert code_of(world.check(world.statement(STATEMENT), SUBJECT)) == "verified"


@pytest.mark.parametrize(("code", "what", "change"), BAD, ids=[what for _, what, _ in BAD])
def test_bad_manifest_is_refused(
    world: World, code: str, what: str, change: Callable[[dict[str, Any]], object]
) -> None:
    """A manifest that is unsafe to check, or does not describe its subject, is refused although it is signed."""
    del what
    statement = copy.deepcopy(STATEMENT)
    change(statement)

    assert code_of(world.check(world.statement(statement), SUBJECT)) == code


def _legacy() -> dict[str, Any]:
    def subject(name: str, digest: str) -> dict[str, Any]:
        return {"name": name, "digest": {"sha256": digest}, "annotations": {"actual_hash_algorithm": "file-sha256"}}

    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [subject("weights.bin", HEX[1]), subject("config.json", HEX[0])],
        "predicateType": LEGACY_MODEL_PREDICATE,
        "predicate": {"unused": "x"},
    }


def test_old_model_signature_needs_consent(world: World) -> None:
    """A list of files as model signing 0.2 signed it stands for the folder only where the domain says so."""
    bundle = world.statement(_legacy())
    assert code_of(world.check(bundle, SUBJECT)) == "subject_mismatch"

    world.domain_text = "legacy_model_signatures = true\n"
    assert code_of(world.check(bundle, SUBJECT)) == "verified"


@pytest.mark.parametrize(
    "change",
    [
        {"annotations": {"actual_hash_algorithm": "shard-sha256"}},
        {"annotations": {}},
        {"annotations": None},
        {"annotations": 1},
        {"name": "../config.json"},
        {"digest": {"sha512": "00"}},
    ],
    ids=["shards", "unsaid", "none", "number", "outside", "sha512"],
)
def test_bad_old_model_signature_is_refused(world: World, change: dict[str, Any]) -> None:
    """An old list with anything but files inside the model, by SHA-256, is refused."""
    statement = _legacy()
    statement["subject"][1].update(change)
    world.domain_text = "legacy_model_signatures = true\n"

    assert code_of(world.check(world.statement(statement), SUBJECT)) == "subject_mismatch"
