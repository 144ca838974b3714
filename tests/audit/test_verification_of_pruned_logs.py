"""A log whose oldest records were deleted verifies from where it begins, if it owns up to that."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lockgate.audit import ExportError, Verification
from lockgate.audit.formats.checkpoints import Checkpoint, sign_checkpoint
from lockgate.audit.formats.kind_names import PRUNE
from lockgate.audit.verification.export_folder import ExportFolder
from lockgate.audit.verification.pruned import PRUNED
from lockgate.audit.verification.verifier import Trust, verify_export
from lockgate.canonical_json import canonicalize
from support.written_logs import ORIGIN, SIGNER, WrittenLog, found, only


def _pruned(tmp_path: Path, change: Callable[[dict[str, Any]], dict[str, Any]] = lambda body: body) -> Path:
    log = WrittenLog().fill(520, batch=20)
    log.add(PRUNE, change(log.prune_body(512)))
    log.sign()
    return log.write(tmp_path / "export", before=512)


def _verify(folder: Path, **more: Any) -> Verification:
    return verify_export(ExportFolder(folder), Trust(policy=only(), **more))


def test_pruned_log_verifies_from_where_it_begins(tmp_path: Path) -> None:
    """The rest of a pruned log is valid; it is said from where on it was verified."""
    verification = _verify(_pruned(tmp_path))

    assert found(verification) == ("valid", None, set())
    assert (verification.verified_from_seq, verification.size, verification.checkpoint_size) == (512, 521, 521)
    assert "pruned" in {note.code for note in verification.notes}


@pytest.mark.parametrize(
    "change",
    [
        lambda body: {**body, "root": "sha256:" + "0" * 64},
        lambda body: {**body, "leaf": "sha256:" + "0" * 64},
        lambda body: {**body, "before": 256},
    ],
    ids=["root", "leaf", "before"],
)
def test_pruning_that_the_log_does_not_own_up_to_is_found(
    tmp_path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    """A `log.prune` record with other hashes, or none for this beginning, accuses whoever deleted the records."""
    assert found(_verify(_pruned(tmp_path, change))) == ("tampered", 512, {"prune_mismatch"})


def test_false_edge_is_found_by_the_first_root(tmp_path: Path) -> None:
    """Hashes of the pruned records that are not the true ones do not lead to any signed root."""
    folder = _pruned(tmp_path)
    text = (folder / PRUNED).read_bytes()
    (folder / PRUNED).write_bytes(text.replace(text.partition(b'"edge":["sha256:')[2][:8], b"00000000"))

    assert found(_verify(folder))[:2] == ("tampered", 512)


def test_checkpoint_of_pruned_records_cannot_be_compared(tmp_path: Path) -> None:
    """A held checkpoint over the pruned records alone is compared at their end, and one before it is said not to be."""
    log = WrittenLog().fill(512, batch=256)
    early, end = log.notes
    folder = _pruned(tmp_path)
    at_end = sign_checkpoint(Checkpoint(origin=ORIGIN, size=512, root=log.root(512)), SIGNER)
    other = sign_checkpoint(Checkpoint(origin=ORIGIN, size=512, root=bytes(32)), SIGNER)

    assert end == at_end
    assert "held_not_compared" in {note.code for note in _verify(folder, held=(early,)).notes}
    assert _verify(folder, held=(at_end,)).outside_size == 512
    assert found(_verify(folder, held=(other,)))[::2] == ("tampered", {"root_mismatch"})


@pytest.mark.parametrize(
    "change",
    [
        lambda document: {**document, "before": 511},
        lambda document: {**document, "before": 0},
        lambda document: {**document, "schema_version": 2},
        lambda document: {**document, "edge": []},
        lambda document: {**document, "edge": [7]},
        lambda document: {**document, "leaf": "sha256:abc"},
        lambda document: {**document, "more": 1},
        lambda _: [],
    ],
    ids=["not a multiple", "none", "version", "short edge", "number", "short hash", "unknown field", "no object"],
)
def test_malformed_facts_about_pruned_records_are_refused(tmp_path: Path, change: Callable[[Any], Any]) -> None:
    """A `pruned.json` in any other form is not read."""
    folder = _pruned(tmp_path)
    log = WrittenLog().fill(512)
    (folder / PRUNED).write_bytes(canonicalize(change(log.pruned_document(512))))
    with pytest.raises(ExportError) as caught:
        _verify(folder)

    assert caught.value.code == "audit.export_failed"
