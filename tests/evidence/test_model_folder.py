"""Models are hashed as OpenSSF model signatures do, and nothing is left out or followed."""

import hashlib
import os
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.evidence import ModelFolderError, VerifiedSignature
from lockgate.evidence.limits import RESOURCES_MAX
from lockgate.evidence.model_folder import hash_model, misnamed_files
from lockgate.evidence.model_manifests import root_digest
from support.evidence import World, code_of


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Return a small model folder."""
    folder = tmp_path / "model"
    (folder / "a").mkdir(parents=True)
    (folder / "a-b").mkdir()
    (folder / ".git").mkdir()
    for name in ("weights.bin", "a/x", "a-b/x", ".git/hook"):
        (folder / name).write_bytes(name.encode())
    return folder


def test_files_are_ordered_part_by_part(model: Path) -> None:
    """Names are ordered part by part, as the reference implementation does, and dot files are part of the model."""
    manifest = hash_model(model)

    assert [file.name for file in manifest.files] == [".git/hook", "a/x", "a-b/x", "weights.bin"]
    digests = b"".join(hashlib.sha256(file.name.encode()).digest() for file in manifest.files)
    assert manifest.digest.hex == hashlib.sha256(digests).hexdigest()
    assert manifest.bytes_total == sum(len(file.name) for file in manifest.files)
    assert manifest.name == "model"


def test_single_file_is_a_model(model: Path) -> None:
    """A model that is one file has one resource, named `.`."""
    manifest = hash_model(model / "weights.bin")

    assert [file.name for file in manifest.files] == ["."]
    assert manifest.digest.hex == hashlib.sha256(hashlib.sha256(b"weights.bin").digest()).hexdigest()


def test_ignored_names_are_left_out(model: Path) -> None:
    """A file or a whole folder is left out if it is named, and only then."""
    manifest = hash_model(model, ignore=["weights.bin", ".git"])

    assert [file.name for file in manifest.files] == ["a/x", "a-b/x"]
    assert manifest.ignored == (".git", "weights.bin")
    assert len(hash_model(model, ignore=["x", "a/missing"]).files) == 4


@pytest.mark.parametrize("name", ["/etc/passwd", "../model.sig", "a/../../b", "", "."])
def test_ignored_names_stay_inside(model: Path, name: str) -> None:
    """A name to ignore that points outside the model, or at all of it, is refused."""
    with pytest.raises(ModelFolderError, match="want ignored names inside the model"):
        hash_model(model, ignore=[name])


@pytest.mark.parametrize("target", ["weights.bin", "a", "missing"])
def test_links_are_refused(model: Path, target: str) -> None:
    """A symbolic link is refused, to a file, a folder or nothing; also the model itself."""
    (model / "link").symlink_to(target)
    with pytest.raises(ModelFolderError, match="no links"):
        hash_model(model)
    (model.parent / "alias").symlink_to(model)
    with pytest.raises(ModelFolderError, match="no links"):
        hash_model(model.parent / "alias")


def test_special_files_are_refused(model: Path) -> None:
    """A named pipe is refused, and not waited for."""
    os.mkfifo(model / "pipe")

    with pytest.raises(ModelFolderError, match="special files"):
        hash_model(model)


@pytest.mark.parametrize("name", [b"\xff", b"a\\b"])
def test_names_are_portable(model: Path, name: bytes) -> None:
    """A name that is not UTF-8, or has a backslash, is refused: readers would not agree on it."""
    (Path(os.fsdecode(os.fsencode(model) + b"/" + name))).write_bytes(b"")

    with pytest.raises(ModelFolderError, match="UTF-8"):
        hash_model(model)


def test_missing_and_empty_models_are_refused(tmp_path: Path) -> None:
    """A model that is not there, or has no file, is refused."""
    with pytest.raises(ModelFolderError, match="want a readable model"):
        hash_model(tmp_path / "missing")
    with pytest.raises(ModelFolderError, match="got 0"):
        hash_model(tmp_path)


def test_number_of_files_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with more files than a manifest may list is refused."""
    monkeypatch.setattr("lockgate.evidence.model_folder.RESOURCES_MAX", 2)
    for name in "abc":
        (tmp_path / name).write_bytes(b"")

    with pytest.raises(ModelFolderError, match="want 1 to 2 files"):
        hash_model(tmp_path)
    assert RESOURCES_MAX > 10_000


def test_growing_file_is_refused(model: Path) -> None:
    """A file that grows while the model is hashed is refused: the digest would be of no state it ever had."""

    def grow(done: int, total: int) -> None:
        del done, total
        with (model / "weights.bin").open("ab") as file:
            file.write(b"more")

    with pytest.raises(ModelFolderError, match="do not change"):
        hash_model(model, on_progress=grow)


def test_progress_reaches_the_total(model: Path) -> None:
    """Progress is told in bytes, rising to the total."""
    (model / "weights.bin").write_bytes(b"x" * (3 * 1024 * 1024 + 1))
    seen: list[tuple[int, int]] = []
    manifest = hash_model(model, on_progress=lambda done, total: seen.append((done, total)))

    assert len(seen) > 4
    assert seen == sorted(seen)
    assert seen[-1] == (manifest.bytes_total, manifest.bytes_total)


def test_signed_model_is_verified(model: Path, world: World) -> None:
    """A model that is hashed here, signed and sent is verified by its digest."""
    manifest = hash_model(model, ignore=["model.sig"])
    result = world.check(world.statement(manifest.statement()), manifest.digest)

    assert isinstance(result, VerifiedSignature)
    assert result.predicate_type == "https://model_signing/signature/v1.0"


def test_changed_model_is_refused(model: Path, world: World) -> None:
    """One byte, one name or one file more, and the model's signature is not of it."""
    manifest = hash_model(model)
    bundle = orjson.dumps(world.statement(manifest.statement()))
    (model / "weights.bin").write_bytes(b"weights.bim")
    changed = hash_model(model)
    (model / "weights.bin").write_bytes(b"weights.bin")
    (model / "loader.py").write_bytes(b"")
    added = hash_model(model)

    assert code_of(world.check(bundle, changed.digest)) == "subject_mismatch"
    assert code_of(world.check(bundle, added.digest)) == "subject_mismatch"


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=8))
def test_root_digest_is_of_the_concatenation(digests: list[bytes]) -> None:
    """The digest of a model is SHA-256 over its files' digests, one after the other."""
    assert root_digest(digest.hex() for digest in digests) == hashlib.sha256(b"".join(digests)).hexdigest()


def test_renamed_files_are_told_from_the_signed_ones(model: Path, world: World) -> None:
    """Same bytes in the same order under other names: the digest is the same, so the names are compared."""
    bundle = orjson.dumps(world.statement(hash_model(model).statement()))
    before = hash_model(model)
    (model / "weights.bin").rename(model / "weights.py")
    after = hash_model(model)

    assert after.digest == before.digest
    assert misnamed_files(before, bundle) == ()
    assert misnamed_files(after, bundle) == ("weights.bin", "weights.py")


@pytest.mark.parametrize(
    "bundle",
    [
        b"",
        b"[]",
        b"{}",
        b'{"dsseEnvelope":{"payload":"e30="}}',
        b'{"dsseEnvelope":{"payload":7}}',
        b'{"dsseEnvelope":1}',
    ],
)
def test_what_is_no_model_signature_says_nothing_about_names(model: Path, bundle: bytes) -> None:
    """Whatever else a bundle holds is the gate's to judge."""
    assert misnamed_files(hash_model(model), bundle) == ()
