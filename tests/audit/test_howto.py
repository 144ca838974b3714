"""The Python of `docs/howto/use-the-audit-log-from-python.md` runs as it stands."""

import re
from pathlib import Path
from typing import Any

import pytest
import structlog

import lockgate.audit
from lockgate.audit import Actor, Event, errors
from lockgate.audit.formats.kind_names import APP_EVENT
from lockgate.audit.formats.records import ATTACHMENT_BYTES_MAX, ATTACHMENTS_MAX, parse_record
from lockgate.audit.kind_schemas import _LIST, _MAP, _ONE, _PLAIN, _TOP
from lockgate.audit.kinds import RESERVED_WORDS
from lockgate.audit.writing.batch import EVENTS_MAX
from lockgate.audit.writing.group_commit import WAITING_MAX
from lockgate.audit.writing.log_kinds import KINDS_MAX
from lockgate.canonical_json import parse_json
from support.audit_logs import LogStand

DOCS = Path(__file__).parents[2] / "docs" / "howto"
PYTHON = (DOCS / "use-the-audit-log-from-python.md").read_text()
MODULES = (DOCS / "record-events-of-another-module.md").read_text()


def test_the_snippets_run_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copied into one file they record three events, in two logs."""
    monkeypatch.chdir(tmp_path)
    snippets = re.findall(r"^```python\n(.*?)^```", PYTHON, flags=re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    try:
        exec("\n".join(snippets), names)  # noqa: S102 - our own documentation
    finally:
        structlog.reset_defaults()

    kinds = [parse_record(record.body)["kind"] for record in names["log"].records(after=1)]
    assert kinds == ["access.review", APP_EVENT]
    assert len(snippets) == 4


def test_every_name_that_the_page_calls_an_error_is_public() -> None:
    """What it tells to catch can be imported from where it says."""
    named = set(re.findall(r"`([A-Za-z]+Error)`", PYTHON)) - {
        "StorageError",
        "StorageBusyError",
        "StorageOutcomeError",
        "LockgateError",
    }

    assert named <= set(lockgate.audit.__all__)
    assert all(issubclass(getattr(errors, name), errors.AuditError) for name in named)


def test_every_public_name_is_there() -> None:
    """Each exported name can be had, those that are loaded later too."""
    for name in lockgate.audit.__all__:
        assert getattr(lockgate.audit, name) is not None


def test_the_limits_are_those_of_the_code() -> None:
    """The page's numbers are the constants."""
    mebibytes = ATTACHMENT_BYTES_MAX // 2**20

    assert f"{ATTACHMENTS_MAX} attachments of {mebibytes} MiB each" in PYTHON
    assert f"room for {KINDS_MAX} kinds" in MODULES
    assert f"{EVENTS_MAX} events in one `transact`, {WAITING_MAX} waiting writers" in PYTHON


def test_the_schema_of_the_page_is_that_of_the_event_that_it_sends(stand: LogStand) -> None:
    """The file of step 2 can be registered, and the body of step 5 satisfies it."""
    (schema,) = re.findall(r"```json\n(.*?)```", MODULES, flags=re.DOTALL)
    (event,) = re.findall(r'\{"schema_version": 1, .*?\}\}', MODULES, flags=re.DOTALL)
    sent = parse_json(event.encode(), bytes_max=1000)
    actor = Actor(type="machine", id="access-reviews")
    stand.log.register_kind(sent["kind"], schema.encode(), actor)
    fields = {name: sent[name] for name in ("kind", "id", "subject", "body")}

    assert parse_record(stand.log.append(Event(**fields, actor=actor)).record)["body"] == sent["body"]


def test_the_keywords_of_a_schema_are_listed() -> None:
    """The page lists each keyword that a registered schema may use, and each word that is reserved."""
    (listed,) = re.findall(r"only these keywords: (.*?)\. `format`", MODULES, flags=re.DOTALL)
    words = set(re.sub(r"\(.*?\)", "", listed).replace("`", " ").replace(",", " ").replace(" and ", " ").split())

    assert words | {"$schema"} == {"$ref", *_TOP, *_PLAIN, *_ONE, *_LIST, *_MAP}
    assert set(re.findall(r"`([a-z]+)\.`", MODULES.split("2. ")[0])) == RESERVED_WORDS
