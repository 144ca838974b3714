"""No file and no function is longer than somebody can hold at once; who is, is named here, with the reason."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, TypeAlias

SERVICE: Final = Path(__file__).parents[1] / "service" / "lockgate"
FILE_LINES_MAX: Final = 400
FUNCTION_LINES_MAX: Final = 70
LONG_FILES: Final[Mapping[str, str]] = {}
LONG_FUNCTIONS: Final[Mapping[str, str]] = {
    "audit/writing/appending.py check_ending": "one check; the half of it is the list of its steps",
    "bootstrap.py build_services": "the one place that knows every part, one line for each argument of each",
    "storage/migrations/versions/0001_first_schema.py upgrade": "tables, column by column; a migration never changes",
    "storage/migrations/versions/0004_lifecycle.py upgrade": "tables, column by column; a migration never changes",
    "web/metrics.py __init__": "one statement for each metric",
}
_Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


def test_files_are_short() -> None:
    """At most 400 lines; an exception that is none any more is taken off the list."""
    long = {name for name, path in _files() if len(path.read_text().splitlines()) > FILE_LINES_MAX}

    assert long == set(LONG_FILES)


def test_functions_are_short() -> None:
    """At most 70 lines, without those of functions inside, which count for themselves: a blueprint holds its views."""
    long = {
        f"{name} {function.name}"
        for name, path in _files()
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, _Function) and _own_lines(function) > FUNCTION_LINES_MAX
    }

    assert long == set(LONG_FUNCTIONS)


def _files() -> Iterator[tuple[str, Path]]:
    return ((path.relative_to(SERVICE).as_posix(), path) for path in sorted(SERVICE.rglob("*.py")))


def _own_lines(function: _Function) -> int:
    return _lines(function) - sum(_lines(inner) for inner in _nested(function))


def _nested(node: ast.AST) -> Iterator[_Function]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _Function):
            yield child
        else:
            yield from _nested(child)


def _lines(function: _Function) -> int:
    assert function.end_lineno is not None  # it was parsed from text
    return function.end_lineno - function.lineno + 1
