"""What the service writes on standard error."""

import json
import logging
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
import structlog
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError

from lockgate.logs import configure_logs


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Leave logging as other tests expect it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Read what was written, with another reader than ours."""
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]  # noqa: TID251 - said above


def test_a_line_is_one_json_object_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output is left to answers; a line break in a value breaks no line."""
    configure_logs()
    structlog.get_logger().info("http_request", route="/v1\n{}")
    captured = capsys.readouterr()

    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    assert json.loads(captured.err)["route"] == "/v1\n{}"  # noqa: TID251 - another reader than ours


def test_a_traceback_holds_no_local_variables(capsys: pytest.CaptureFixture[str]) -> None:
    """A token in a local variable does not reach the log."""

    def fail(token: str) -> None:
        raise ValueError(len(token))

    configure_logs()
    try:
        fail("lgt_" + "s3cret")
    except ValueError as exc:
        structlog.get_logger().error("unforeseen_error", exc_info=exc)
    captured = capsys.readouterr()

    assert "ValueError" in captured.err
    assert "lgt_s3cret" not in captured.err


def test_the_text_of_an_exception_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """Of a chain of exceptions the types and places are written: a message may hold a name, or a whole row."""

    def fail() -> None:
        try:
            raise KeyError("canary-subject")  # noqa: TRY301 - the thing under test
        except KeyError as exc:
            raise ValueError("canary-comment") from exc

    configure_logs()
    try:
        fail()
    except ValueError:
        structlog.get_logger().exception("unforeseen_error")
    (line,) = lines(capsys)

    assert [one["type"] for one in line["raised"]] == ["ValueError", "KeyError"]
    assert line["raised"][0]["frames"][-1].endswith(" fail")
    assert "canary" not in json.dumps(line)


def test_a_failed_statement_does_not_show_its_row(capsys: pytest.CaptureFixture[str]) -> None:
    """What a database says of a row that it refused stays out, wherever in the chain it stands."""
    configure_logs()
    engine = create_engine("sqlite://")
    try:
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE person (name TEXT PRIMARY KEY)"))
            for _ in range(2):
                connection.execute(text("INSERT INTO person VALUES (:name)"), {"name": "canary"})
    except IntegrityError as exc:
        structlog.get_logger().error("unforeseen_error", exc_info=exc)
    engine.dispose()
    captured = capsys.readouterr().err

    assert "IntegrityError" in captured
    assert "canary" not in captured


@pytest.mark.parametrize(
    ("logger", "message", "arguments", "written"),
    [
        ("gunicorn.error", "Worker (pid:%s) exited with code %s.", (17, 3), "Worker (pid:17) exited with code 3."),
        ("urllib3", "Retrying after %r: %s", ("canary", "/canary"), "Retrying after '…': …"),
        ("gunicorn.error", "Invalid request from ip=10.0.0.1: canary", (), "Invalid request from ip"),
        ("opentelemetry", "Failed to export: %(reason)s", ({"reason": "canary"},), "Failed to export: …"),
        ("odd", "%d of them", (Decimal(3),), "%d of them"),
    ],
)
def test_a_library_s_line_is_its_template(
    capsys: pytest.CaptureFixture[str], logger: str, message: str, arguments: tuple[object, ...], written: str
) -> None:
    """Numbers are filled in; every other value is left out."""
    configure_logs()
    logging.getLogger(logger).warning(message, *arguments)
    (line,) = lines(capsys)

    assert (line["event"], line["logger"], line["level"], line["message"]) == ("library", logger, "warning", written)


def test_libraries_are_heard_from_warnings_on(capsys: pytest.CaptureFixture[str]) -> None:
    """At no level are the details of a library written: they are its own, and it never promised what is in them."""
    configure_logs("debug")
    logging.getLogger("urllib3").info("connecting to canary")
    structlog.get_logger().debug("ours")

    assert [line["event"] for line in lines(capsys)] == ["ours"]


def test_the_level_holds_for_both(capsys: pytest.CaptureFixture[str]) -> None:
    """Below the level nothing is written, whoever says it; configuring twice writes nothing twice."""
    configure_logs()
    configure_logs("error")
    structlog.get_logger().warning("ours")
    logging.getLogger("urllib3").warning("theirs")
    logging.getLogger("urllib3").error("broken")

    assert [line["message"] for line in lines(capsys)] == ["broken"]


def test_a_person_can_watch(capsys: pytest.CaptureFixture[str]) -> None:
    """The console form holds the same values, and leaves out the same."""
    configure_logs(log_format="console")
    try:
        raise ValueError("canary")  # noqa: TRY301 - the thing under test
    except ValueError as exc:
        structlog.get_logger().error("unforeseen_error", trace="1f", exc_info=exc)
    captured = capsys.readouterr().err

    assert "unforeseen_error" in captured
    assert "trace=1f" in captured
    assert "ValueError" in captured
    assert "canary" not in captured
