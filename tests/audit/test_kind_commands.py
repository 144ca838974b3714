"""`lockgate audit kind`: kinds registered and listed on the gate's machine."""

from pathlib import Path

import pytest

from lockgate.audit.formats.kind_names import KIND
from lockgate.audit.formats.notes import format_signer
from lockgate.audit.formats.records import parse_record
from lockgate.cli.main import main
from lockgate.digests import sha256_hex
from support.audit_logs import LogStand

SCHEMA = b'{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object"}'


@pytest.fixture
def schema(stand: LogStand) -> Path:
    """A schema file, beside a log with its key as a gate has it."""
    key = stand.folder / "log.key"
    key.write_text(format_signer(stand.signer) + "\n")
    key.chmod(0o600)
    path = stand.folder / "access_review.schema.json"
    path.write_bytes(SCHEMA)
    return path


def run(stand: LogStand, *arguments: object) -> int:
    """Run `lockgate audit kind`."""
    return main(["audit", "kind", *map(str, arguments), "--data-dir", str(stand.folder)])


def test_a_kind_is_added_and_listed(stand: LogStand, schema: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Adding records who did it and keeps the file's bytes; adding it again says so and records nothing."""
    assert [run(stand, "add", "access.review", schema), run(stand, "add", "access.review", schema)] == [0, 0]
    said = capsys.readouterr()
    assert run(stand, "list") == 0

    assert said.out == ""
    assert "access.review is registered by record 1\n" in said.err
    assert "access.review has this schema already\n" in said.err
    assert capsys.readouterr().out == f"1  {sha256_hex(SCHEMA)}  access.review\n"
    (record,) = [parse_record(each.body) for each in stand.log.records(after=0)]
    assert (record["kind"], record["actor"]["id"]) == (KIND, "command-line")


def test_of_a_kind_registered_twice_the_newer_is_listed(
    stand: LogStand, schema: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The list shows what counts now, by name."""
    run(stand, "add", "vault.opened", schema)
    run(stand, "add", "access.review", schema)
    schema.write_bytes(SCHEMA + b"\n")
    run(stand, "add", "access.review", schema)
    capsys.readouterr()
    run(stand, "list")

    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [(seq, kind) for seq, _, kind in lines] == [("3", "access.review"), ("1", "vault.opened")]


@pytest.mark.parametrize("name", ["gate.decision", "log.kind", "identity.token", "app.event", "Access", "access"])
def test_a_name_of_the_gates_is_a_usage_error(
    stand: LogStand, schema: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A name that is not a module's to take ends with 2, and nothing is recorded."""
    assert run(stand, "add", name, schema) == 2

    assert "want a kind" in capsys.readouterr().err
    assert len(stand.log.records()) == 1


@pytest.mark.parametrize("data", [b"", b"{}", SCHEMA[:-1] + b',"format":"email"}', b" " * 70_000 + SCHEMA])
def test_a_schema_that_cannot_be_used_is_a_usage_error(
    stand: LogStand, schema: Path, data: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    """A schema that is refused ends with 2, and nothing is recorded."""
    schema.write_bytes(data)

    assert run(stand, "add", "access.review", schema) == 2
    assert "want" in capsys.readouterr().err
    assert len(stand.log.records()) == 1
