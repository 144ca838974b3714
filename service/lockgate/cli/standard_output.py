"""The one place that writes to standard output, and the receipt file beside it."""

import contextlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TextIO

from rich.color import ColorSystem
from rich.console import Console
from rich.style import Style

from lockgate.cli.errors import OutputError, ReaderGoneError
from lockgate.rendering import Output

_STYLES: Final = {"allow": "bold green", "deny": "bold red", "pending": "bold yellow"}


def emit(document: str) -> None:
    """Write an answer, in UTF-8 whatever the locale; a reader that has gone away is no error.

    Raises:
        OutputError: It cannot be written, for example to a full disk.
    """
    with contextlib.suppress(ReaderGoneError):  # then the exit code alone tells the verdict
        deliver(document)


def deliver(document: str) -> None:
    """Write what somebody must have received.

    Raises:
        ReaderGoneError: Nobody reads any more.
        OutputError: It cannot be written, for example to a full disk.
    """
    if sys.stdout is None:  # Python's word for a standard output that was closed before the start
        raise OutputError("cannot write to standard output: it is closed")
    stream = sys.stdout.buffer
    try:
        stream.write(document.encode())
        stream.flush()
    except OSError as exc:
        silence(sys.stdout)
        error = ReaderGoneError if isinstance(exc, BrokenPipeError) else OutputError
        raise error(f"cannot write to standard output: {exc.strerror}") from exc


def silence(stream: TextIO) -> None:
    """Let what is still unwritten go nowhere: Python writes it at exit, and would end with a code of its own."""
    with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or no file of the system's
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def emit_decision(document: str, output: Output, verdict: str) -> None:
    """Write a rendered decision; colour the verdict line of text where rich finds a terminal that wants it.

    Raises:
        OutputError: As `emit`.
    """
    if output is Output.TEXT:
        first, newline, rest = document.partition("\n")
        document = _coloured(first, _STYLES[verdict]) + newline + rest
    emit(document)


def save_receipt(path: Path, receipt: Mapping[str, Any]) -> None:
    """Keep a receipt as JSON (schema `v1/api/receipt`).

    Raises:
        OutputError: It cannot be written.
    """
    try:
        path.write_text(json.dumps(receipt, sort_keys=True) + "\n", encoding="utf-8")
    except OSError as exc:
        raise OutputError(f"cannot write the receipt: {exc.strerror}") from exc


def _coloured(line: str, style: str) -> str:
    # rich only says whether standard output takes colour, and writes nothing: it ends the process with exit code 1,
    # which means deny, when a pipe breaks.
    console = Console()
    if not console.is_terminal or console.no_color or console.color_system is None:
        return line
    return Style.parse(style).render(line, color_system=ColorSystem.STANDARD)
