"""The auditor's program: what `lockgate-verify.pyz` runs. Needs Python, orjson and cryptography, nothing of a server.

    python lockgate-verify.pyz --export FOLDER --policy FILE
    python lockgate-verify.pyz receipt FILE --key KEY

Exit codes: 0 valid, 1 tampered, 2 unverifiable. Whatever else goes wrong is 2 as well: nobody is accused by accident.
"""

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from lockgate.audit.errors import ProofInvalidError, RecordInvalidError, SignatureInvalidError
from lockgate.audit.types import Verification
from lockgate.audit.verification.auditor import (
    Belongings,
    check_same_record,
    read_policy,
    read_receipt,
    read_trust,
)
from lockgate.audit.verification.export_folder import ExportFolder
from lockgate.audit.verification.receipts import ReceiptDemands, verify_receipt_under
from lockgate.audit.verification.reports import EXIT_CODES, as_json, as_text, failure_as_text, receipt_as_text
from lockgate.audit.verification.verdicts import CLOCK_ERROR_S_MAX, DIMENSIONS, Demands
from lockgate.audit.verification.verifier import Trust, verify_export
from lockgate.errors import LockgateError
from lockgate.system_clock import SystemClock

PARALLEL_BYTES_MIN: Final = 32 * 1024 * 1024  # half a second of checking; to start the workers takes as long
_UNVERIFIABLE: Final = EXIT_CODES["unverifiable"]
ACCUSING: Final = (ProofInvalidError, RecordInvalidError, SignatureInvalidError)  # of a receipt: not what it must be


def check_export(
    path: Path, trust: Trust, *, workers: int | None, on_progress: Callable[[int], None] | None = None
) -> Verification:
    """Verify an export with as many processes as are worth it.

    Args:
        path: The export's folder.
        trust: Whom the auditor believes.
        workers: How many processes; None for one on each core.
        on_progress: Called now and then with the number of bytes read.

    Raises:
        ExportError: The export cannot be read.
    """
    folder = ExportFolder(path)
    if workers is None:
        workers = (os.cpu_count() or 1) if folder.size_bytes() >= PARALLEL_BYTES_MIN else 1
    return verify_export(folder, trust, workers=workers, on_progress=on_progress)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if words[:1] == ["receipt"]:
            return _run_receipt(_receipt_parser().parse_args(words[1:]))
        return _run_log(_log_parser().parse_args(words[1:] if words[:1] == ["log"] else words))
    except LockgateError as exc:
        return _fail(failure_as_text("unverifiable", "cannot be decided", str(exc), exc.code))
    except KeyboardInterrupt:
        return _fail("UNVERIFIABLE  interrupted\n")
    except Exception as exc:  # noqa: BLE001 - Python's own exit code would be 1, which accuses
        return _fail(failure_as_text("unverifiable", "the verifier failed", f"{type(exc).__name__}: {exc}", "internal"))


def _run_log(options: argparse.Namespace) -> int:
    demands = Demands(
        required=tuple(options.require),
        now=SystemClock().now_ns(),
        age_s_max=options.max_age,
        clock_error_s_max=options.clock_error,
    )
    trust = read_trust(_belongings(options), demands, every_signature=options.every_signature)
    progress = _progress(ExportFolder(options.export).size_bytes())
    verification = check_export(options.export, trust, workers=options.workers, on_progress=progress)
    if progress is not None:
        sys.stderr.write("\r\x1b[K")
    _write(as_json(verification) if options.output == "json" else as_text(verification))
    return EXIT_CODES[verification.verdict]


def _run_receipt(options: argparse.Namespace) -> int:
    receipt, policy = read_receipt(options.file), read_policy(_belongings(options))
    demands = ReceiptDemands(
        is_witnessed=options.require_witnesses, now=SystemClock().now_ns(), age_s_max=options.max_age
    )
    try:
        record = verify_receipt_under(receipt, policy, demands)
        if options.record is not None:
            check_same_record(receipt, options.record)
    except ACCUSING as exc:
        _write(failure_as_text("tampered", options.file.name, str(exc), exc.code))
        return EXIT_CODES["tampered"]
    _write(receipt_as_text(record))
    return EXIT_CODES["valid"]


def _log_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lockgate-verify",
        description="Check every record of an exported audit log.",
        epilog=f"{_RECEIPT_HELP} {_EXIT_HELP}",
    )
    parser.add_argument("--export", type=Path, required=True, metavar="FOLDER", help="the export")
    _add_trust(parser)
    parser.add_argument("--checkpoint", type=Path, action="append", default=[], metavar="FILE", help=_HELD_HELP)
    parser.add_argument("--tsa-roots", type=Path, metavar="FILE", help=_TSA_HELP)
    parser.add_argument("--require", choices=DIMENSIONS, action="append", default=[], help=_REQUIRE_HELP)
    parser.add_argument("--max-age", type=_count, metavar="SECONDS", help=_AGE_HELP)
    parser.add_argument("--clock-error", type=_count, default=CLOCK_ERROR_S_MAX, metavar="SECONDS", help=_CLOCK_HELP)
    parser.add_argument("--every-signature", action="store_true", help=_EVERY_HELP)
    parser.add_argument("--workers", type=_count, metavar="N", help="processes; one for each core unless given")
    parser.add_argument("--output", choices=["text", "json"], default="text")
    return parser


def _receipt_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lockgate-verify receipt", description="Check one receipt.", epilog=_EXIT_HELP
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="the receipt, as JSON")
    _add_trust(parser)
    parser.add_argument("--record", type=Path, metavar="FILE", help="the record that the receipt must be of")
    parser.add_argument("--require-witnesses", action="store_true", help=_WITNESSES_HELP)
    parser.add_argument("--max-age", type=_count, metavar="SECONDS", help="how old the record may be")
    return parser


def _add_trust(parser: argparse.ArgumentParser) -> None:
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--policy", type=Path, metavar="FILE", help="whom you trust: keys, their sizes, witnesses")
    group.add_argument("--key", action="append", default=[], metavar="VKEY", help="the log's public key; repeatable")


_RECEIPT_HELP: Final = "To check one receipt instead: lockgate-verify receipt --help."
_EXIT_HELP: Final = "Exit codes: 0 valid, 1 tampered, 2 unverifiable or wrong usage."
_HELD_HELP: Final = "a signed checkpoint that you kept: betrays a shortened log; repeatable"
_TSA_HELP: Final = "certificates (PEM) of time-stamping authorities whose anchors count; needs rfc3161-client"
_REQUIRE_HELP: Final = "call the log unverifiable unless this is valid too; repeatable"
_WITNESSES_HELP: Final = "unverifiable unless the policy's quorum of witnesses signed the receipt's checkpoint"
_AGE_HELP: Final = (
    "how old the newest record may be (implies --require freshness); otherwise as the log's heartbeats promise"
)
_CLOCK_HELP: Final = "how far the log's clock may have been from an anchor's or yours (default 300)"
_EVERY_HELP: Final = "verify the signature of every checkpoint, not only of those that the verdict rests on"


def _belongings(options: argparse.Namespace) -> Belongings:
    return Belongings(
        policy=options.policy,
        keys=options.key,
        held=getattr(options, "checkpoint", ()),
        tsa_roots=getattr(options, "tsa_roots", None),
    )


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > len(str(2**31)) or int(text) == 0:
        raise argparse.ArgumentTypeError("want a number from 1")
    return int(text)


def _progress(total: int) -> Callable[[int], None] | None:
    # On standard error, and only where a person looks at it for long enough.
    if total < PARALLEL_BYTES_MIN or not sys.stderr.isatty():
        return None

    def show(done: int) -> None:
        sys.stderr.write(f"\r{100 * done // total:3} %")
        sys.stderr.flush()

    return show


def _fail(text: str) -> int:
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(text)
    return _UNVERIFIABLE


def _write(text: str) -> None:
    try:
        sys.stdout.buffer.write(text.encode())
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        # Nobody reads any more: the exit code alone tells the verdict. Python flushes again at exit, to nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
