"""What the service writes on standard error."""

import json
from collections.abc import Iterator

import pytest
import structlog

from lockgate.logs import configure_logs


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Leave structlog as other tests expect it."""
    yield
    structlog.reset_defaults()


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
