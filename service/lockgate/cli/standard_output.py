"""The one place that writes to standard output, and the receipt file beside it."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from lockgate.cli.errors import OutputError
from lockgate.rendering import Output

_STYLES: Final = {"allow": "bold green", "deny": "bold red", "pending": "bold yellow"}


def emit(document: str) -> None:
    """Write an answer, in UTF-8 whatever the locale; a reader that has gone away is no error.

    Raises:
        OutputError: It cannot be written, for example to a full disk.
    """
    stream = sys.stdout.buffer
    try:
        stream.write(document.encode())
        stream.flush()
    except OSError as exc:
        # Python flushes once more at exit, and would end with a code of its own; let that go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if not isinstance(exc, BrokenPipeError):  # then the exit code alone tells the verdict
            raise OutputError(f"cannot write to standard output: {exc.strerror}") from exc


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
    # Ask the real standard output whether it takes colour, but write the bytes ourselves: rich ends the process with
    # exit code 1, which means deny, when a pipe breaks.
    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    with console.capture() as capture:
        console.print(Text(line, style=style), end="")
    return capture.get()
