"""Whatever is done to an export, both verifiers find the same: Hypothesis changes one, and both are asked."""

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from interop.export_from_spec import ExportVerdict
from interop.vectors.cases import Case, Files
from interop.vectors.logs import all_logs
from interop.witness_from_spec import parse_policy
from lockgate.audit import ExportError
from lockgate.audit.formats.log_policy import parse_log_policy
from lockgate.audit.verification.export_folder import ExportFolder
from lockgate.audit.verification.verifier import Trust, verify_export

CASES = list(all_logs().values())
# Where checkpoints are broken, out of order or beyond the end, Lockgate, which reads them once from the front, compares
# fewer of them with the records: it names other codes then, and other records, but never says "valid".
UNSIGNED = {"checkpoint_malformed", "checkpoint_order", "key_unknown", "signature_invalid", "truncated"}
COMPARED = ("verdict", "integrity", "completeness", "first_bad_seq", "verified_from_seq")


@st.composite
def _changed(draw: st.DrawFn) -> tuple[Case, Files]:
    """Take one of the vectors' exports and change it in up to three places."""
    case = draw(st.sampled_from(CASES))
    files = dict(case.files)
    for _ in range(draw(st.integers(1, 3))):
        # What is known of pruned records is left alone: a reader may refuse another form of it as he likes.
        path = draw(st.sampled_from(sorted(path for path in files if path != "pruned.json")))
        if path.startswith("attachments/") and draw(st.booleans()):
            del files[path]
        else:
            files[path] = draw(_changed_bytes(files[path]))
    return case, files


@st.composite
def _changed_bytes(draw: st.DrawFn, data: bytes) -> bytes:
    if not data:
        return data
    place, lines = draw(st.integers(0, len(data) - 1)), data.splitlines(keepends=True)
    here, there = (draw(st.integers(0, len(lines) - 1)) for _ in range(2))
    match draw(st.sampled_from(["bit", "cut", "delete", "twice", "swap", "number"])):
        case "bit":
            return data[:place] + bytes([data[place] ^ 1 << draw(st.integers(0, 7))]) + data[place + 1 :]
        case "cut":
            return data[:place]
        case "delete":
            del lines[here]
        case "twice":
            lines.insert(here, lines[here])
        case "swap":
            lines[here], lines[there] = lines[there], lines[here]
        case _:
            old, new = (str(draw(st.integers(0, 9))).encode() for _ in range(2))
            lines[here] = lines[here].replace(old, new)
    return b"".join(lines)


@settings(deadline=None, max_examples=250)
@given(_changed())
def test_both_verifiers_agree(changed: tuple[Case, Files]) -> None:
    """Both come to the same verdicts and name the same first record in doubt."""
    case, files = changed
    with tempfile.TemporaryDirectory() as name:
        for path, data in files.items():
            (Path(name) / path).parent.mkdir(exist_ok=True)
            (Path(name) / path).write_bytes(data)
        ours = _ours(Path(name), case, every_signature=True)
        quickly = _ours(Path(name), case, every_signature=False)
        theirs = ExportVerdict(Path(name), parse_policy(case.policy), case.held).as_json()

    # By default Lockgate verifies the signatures that vouch for records, and takes the others on trust.
    assert quickly["verdict"] != "valid" or theirs["codes"] <= {"signature_invalid", "checkpoint_malformed"}
    if theirs["codes"] & UNSIGNED:
        assert ours["verdict"] != "valid"
    else:
        assert {fact: theirs[fact] for fact in ours} == ours


def _ours(folder: Path, case: Case, *, every_signature: bool) -> dict[str, Any]:
    trust = Trust(policy=parse_log_policy(case.policy), held=case.held, every_signature=every_signature)
    try:
        found = verify_export(ExportFolder(folder), trust)
    except ExportError:  # the files are not those of one export
        return {"verdict": "unverifiable"}
    return {fact: getattr(found, fact) for fact in COMPARED}
