"""Structured logs: one line an event, on standard error; no secret and no person in any of them.

Our own lines name events and hold stable codes, routes and identifiers of ours. Two things come from elsewhere and are
cut down here: the text of an exception may hold anything, so only its type and where it was raised are written; and a
library's line is its template, with numbers filled in and nothing else.
"""

import logging
import re
import sys
from collections.abc import Mapping
from typing import Any, Final, Literal

import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict, Processor, WrappedLogger

FRAMES_MAX: Final = 20  # of one exception: Flask and SQLAlchemy take half of them
_MESSAGE_CHARS_MAX: Final = 300
_LEFT_OUT: Final = "…"
# Where a library has put its values in already, they stand behind one of these.
_PLAIN: Final = re.compile(r"[A-Za-z0-9 ,.()/_-]*", re.ASCII)


def configure_logs(
    level: Literal["debug", "info", "warning", "error"] = "info", log_format: Literal["json", "console"] = "json"
) -> None:
    """Set logging up for a process. Standard output is left to answers.

    Args:
        level: The lowest level that is written. Of libraries it is never below `warning`.
        log_format: `json` for machines, `console` for a person who watches.
    """
    renderer: Processor = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _write_exception,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _LibraryLines)]:
        root.removeHandler(handler)
    root.addHandler(_LibraryLines(logging.WARNING))
    root.setLevel(logging.WARNING)


# Without local variables: one of them may be a token.
_describe: Final = ExceptionDictTransformer(show_locals=False, max_frames=FRAMES_MAX)


def _write_exception(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    given = event.pop("exc_info", None)
    if isinstance(given, BaseException):
        given = (type(given), given, given.__traceback__)
    elif given and not isinstance(given, tuple):
        given = sys.exc_info()
    if given and given[1] is not None:
        event["raised"] = [
            {
                "type": one["exc_type"],
                "frames": [f"{frame['filename']}:{frame['lineno']} {frame['name']}" for frame in one["frames"]],
            }
            for one in _describe(given)
        ]
    return event


class _LibraryLines(logging.Handler):
    """Writes what libraries log through Python's own logging as lines of ours."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        structlog.get_logger().log(
            record.levelno, "library", logger=record.name, message=_message(record), exc_info=record.exc_info
        )


def _message(record: logging.LogRecord) -> str:
    template = str(record.msg)
    if not record.args:
        plain = _PLAIN.match(template)
        return plain[0][:_MESSAGE_CHARS_MAX] if plain else ""
    try:
        filled: str = template % _numbers(record.args)
    except (TypeError, ValueError, KeyError):  # a template that does not fit what was left of its values
        filled = template
    return filled[:_MESSAGE_CHARS_MAX]


def _numbers(values: tuple[object, ...] | Mapping[str, object]) -> Any:  # noqa: ANN401 - either kind of `%` takes
    if isinstance(values, Mapping):
        return {name: _number(value) for name, value in values.items()}
    return tuple(map(_number, values))


def _number(value: object) -> object:
    return value if isinstance(value, int | float) else _LEFT_OUT
