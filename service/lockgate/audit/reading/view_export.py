"""Writing records for other tools: OCSF events or comma-separated values, one a line, whole or not at all.

Both are lossy views. They prove nothing by themselves: each line carries the record's position and leaf hash, and the
record lies in the log under these.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import orjson
from sqlalchemy import Connection, Engine

from lockgate.audit.formats.csv_rows import CSV_HEADER, csv_line, csv_record
from lockgate.audit.formats.ocsf import ocsf_event
from lockgate.audit.formats.records import parse_record
from lockgate.audit.reading.export import Advance, new_place, write_file
from lockgate.audit.reading.queries import each_record
from lockgate.audit.types import RecordFilter
from lockgate.storage import read_transaction


def export_view(  # noqa: PLR0913 - each argument is one thing a view can be given
    engine: Engine,
    log: str,
    out: Path,
    *,
    form: Literal["ocsf", "csv"],
    wanted: RecordFilter,
    advance: Advance = lambda _: None,
) -> int:
    """Write some of a log's records to a new file.

    Args:
        engine: The database.
        log: The log's origin.
        out: The file to make; it must not exist, its folder must.
        form: `ocsf`: a JSON object a line (schema `v1/export/ocsf_event`); `csv`: RFC 4180 with a header.
        wanted: Which records.
        advance: Is told how many records more are written.

    Returns:
        How many records were written.

    Raises:
        ExportError: The file exists or cannot be written; nothing is left at `out`.
        RecordInvalidError: The log holds something that is no record.
        LogInconsistentError: A record that is needed to find a time is missing.
        StorageError: The database cannot be read.
    """
    count = 0

    def counted(connection: Connection) -> Iterator[bytes]:
        nonlocal count
        if form == "csv":
            yield csv_line(CSV_HEADER)
        for stored in each_record(connection, log, wanted):
            record = parse_record(stored.body)
            if form == "csv":
                yield csv_line(csv_record(record, stored.body))
            else:
                event = ocsf_event(record, stored.body)
                yield orjson.dumps(event, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)
            count += 1
            advance(1)

    with new_place(out) as draft, read_transaction(engine) as connection:
        write_file(draft, counted(connection))
        draft.chmod(0o600)  # names, as in the log: who else may read it is the operator's to say
    return count
