"""`AuditProcessor`: an event of structlog is a record, or an error for whoever logged it; never lost in silence."""

import logging
from collections.abc import Iterator

import pytest
import structlog
from sqlalchemy import event as sqlalchemy_event

from lockgate.audit import Actor, LogBusyError, RecordInvalidError
from lockgate.audit.formats.records import parse_record
from lockgate.audit.structlog_processor import AuditProcessor
from lockgate.audit.writing.group_commit import GroupCommit
from lockgate.storage import StorageError
from support.audit_logs import LogStand


@pytest.fixture
def logger(stand: LogStand) -> Iterator[structlog.stdlib.BoundLogger]:
    """A logger as a module sets it up: the audit log, then standard logging."""
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            AuditProcessor(stand.log, actor=Actor(type="system", id="reviews"), clock=stand.clock),
            structlog.stdlib.render_to_log_kwargs,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    made: structlog.stdlib.BoundLogger = structlog.get_logger("reviews")
    yield made
    structlog.reset_defaults()


def bodies(stand: LogStand) -> list[object]:
    """Return the bodies of what was recorded behind the genesis."""
    return [parse_record(record.body)["body"] for record in stand.log.records(after=0)]


def test_an_event_is_recorded_before_logging_sees_it(
    stand: LogStand, logger: structlog.stdlib.BoundLogger, caplog: pytest.LogCaptureFixture
) -> None:
    """The record holds the event's name, level and facts; logging gets the same event afterwards."""
    with caplog.at_level(logging.INFO):
        logger.info("review_closed", account="ann", kept=True, days=90, note=None, ratio=0.5)

    facts = {"account": "ann", "kept": True, "days": 90, "note": None, "ratio": "0.5"}
    written = [{"name": name, "value": value} for name, value in facts.items()]
    assert bodies(stand) == [{"event": "review_closed", "level": "info", "facts": written}]
    assert [record.message for record in caplog.records] == ["review_closed"]


def test_a_full_queue_is_told_to_whoever_logs(
    stand: LogStand, logger: structlog.stdlib.BoundLogger, caplog: pytest.LogCaptureFixture
) -> None:
    """Too many writers wait: the call raises, and the event does not look logged anywhere else."""
    stand.log._writers = GroupCommit(stand.log._write, waiting_max=0)
    with pytest.raises(LogBusyError):
        logger.warning("review_closed")

    assert caplog.records == []


def test_a_database_that_cannot_be_written_is_told_to_whoever_logs(
    stand: LogStand, logger: structlog.stdlib.BoundLogger
) -> None:
    """A read-only database: the call raises."""
    stand.engine.dispose()
    sqlalchemy_event.listen(stand.engine, "connect", lambda made, _: made.execute("PRAGMA query_only=ON"))
    with pytest.raises(StorageError):
        logger.error("review_closed")


def test_an_event_that_breaks_its_schema_is_told_to_whoever_logs(
    stand: LogStand, logger: structlog.stdlib.BoundLogger
) -> None:
    """A value that is too long raises; nothing is cut off to make it fit."""
    with pytest.raises(RecordInvalidError):
        logger.info("review_closed", note="a" * 100_000)

    assert bodies(stand) == []


def test_what_logging_would_drop_is_recorded(stand: LogStand, logger: structlog.stdlib.BoundLogger) -> None:
    """No handler and no level of `logging` stands between an event and its record."""
    standard = logging.getLogger("reviews")
    standard.setLevel(logging.CRITICAL)
    try:
        logger.info("review_closed")
    finally:
        standard.setLevel(logging.NOTSET)

    assert bodies(stand) == [{"event": "review_closed", "level": "info", "facts": []}]
