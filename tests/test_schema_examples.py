"""Every schema has examples, and the examples behave.

An example lies at `schemas/examples/<schema's name>/{valid,invalid}/<what-it-shows>.json`.
"""

from pathlib import Path
from typing import Final

import pytest

from lockgate.canonical_json import parse_json
from lockgate.schemas import SchemaError, check_schema, schema_names, schemas_root

_EXAMPLES: Final = schemas_root() / "examples"
_SCHEMAS: Final = list(schema_names())
_VALID_MIN: Final = 1
_INVALID_MIN: Final = 3
_EXAMPLE_BYTES_MAX: Final = 1024 * 1024


def _examples(kind: str) -> list[str]:
    return [path.relative_to(_EXAMPLES).as_posix() for path in sorted(_EXAMPLES.glob(f"**/{kind}/*.json"))]


def _check(example: str) -> None:
    path = _EXAMPLES / example
    check_schema(Path(example).parents[1].as_posix(), parse_json(path.read_bytes(), bytes_max=_EXAMPLE_BYTES_MAX))


@pytest.mark.parametrize("name", _SCHEMAS)
def test_schema_has_examples(name: str) -> None:
    """A schema ships with at least one valid and three invalid examples."""
    folder = _EXAMPLES / name

    assert len(list(folder.glob("valid/*.json"))) >= _VALID_MIN
    assert len(list(folder.glob("invalid/*.json"))) >= _INVALID_MIN


@pytest.mark.parametrize("example", _examples("valid"))
def test_valid_example_is_accepted(example: str) -> None:
    """What is shown as valid is."""
    _check(example)


@pytest.mark.parametrize("example", _examples("invalid"))
def test_invalid_example_is_refused(example: str) -> None:
    """What is shown as invalid is refused by its schema, not by its spelling."""
    with pytest.raises(SchemaError):
        _check(example)


def test_every_example_belongs_to_a_schema() -> None:
    """No example is left behind by a schema that was renamed."""
    folders = {path.relative_to(_EXAMPLES).parents[1].as_posix() for path in _EXAMPLES.glob("**/*") if path.is_file()}

    assert folders <= set(_SCHEMAS)
