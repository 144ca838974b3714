"""A record as a row of comma-separated values: a lossy view for spreadsheets. Pure."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from lockgate.audit.formats.merkle import leaf_hash
from lockgate.canonical_json import canonicalize

CSV_HEADER: Final = ("seq", "leaf", "ts", "kind", "actor", "subject", "id", "trace", "body")
# A spreadsheet takes a cell that begins so for a formula, also behind blanks; the last four are their wide forms.
_FORMULA: Final = re.compile(r"\s*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")


def csv_record(record: Mapping[str, Any], data: bytes) -> tuple[str, ...]:
    """Write a record as the cells below `CSV_HEADER`.

    Args:
        record: The parsed record.
        data: The bytes that it was parsed from.
    """
    cells = (
        str(record["seq"]),
        leaf_hash(data).hex(),
        record["ts"],
        record["kind"],
        record["actor"]["id"],
        record.get("subject", ""),
        record["id"],
        record.get("trace", ""),
        canonicalize(record["body"]).decode(),
    )
    return tuple(_harmless(cell) for cell in cells)


def csv_line(cells: Sequence[str]) -> bytes:
    """Write cells as one line in UTF-8, each in quotes. Source: RFC 4180, section 2."""
    line = io.StringIO()
    csv.writer(line, quoting=csv.QUOTE_ALL).writerow(cells)
    return line.getvalue().encode()


def _harmless(cell: str) -> str:
    return f"'{cell}" if _FORMULA.match(cell) else cell
