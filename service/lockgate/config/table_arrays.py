"""Reading one array of tables of the settings, `[[registry]]` and the like: what is the same for all of them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Protocol, TypeVar

from lockgate.errors import LockgateError
from lockgate.schemas import SchemaError, check_schema


class TableInvalidError(LockgateError):
    """A table of the settings cannot be used; each array has an error of its own.

    Attributes:
        path: Which part, as `registry[0].url`.
        detail: Why.
    """

    code: ClassVar[str] = "config.table_invalid"

    def __init__(self, detail: str, path: str) -> None:
        super().__init__(f"{path}: {detail}")
        self.detail = detail
        self.path = path


class Named(Protocol):
    """What a table is read into."""

    @property
    def name(self) -> str:
        """What the settings call it."""
        ...


N = TypeVar("N", bound=Named)


def read_tables(
    tables: Sequence[Mapping[str, Any]],
    key: str,
    *,
    at_most: int,
    error: type[TableInvalidError],
    read: Callable[[Mapping[str, Any], str], N],
) -> tuple[N, ...]:
    """Read an array of tables.

    The steps:
      (1) There are not too many.
      (2) Each keeps the schema of its key, and can be read.
      (3) Each has a name of its own.

    Args:
        tables: As they stand in the settings.
        key: What they are called there, for example `registry`.
        at_most: How many there may be.
        error: What is raised.
        read: Makes of a table that keeps its schema what it says; is given its path, too.

    Raises:
        TableInvalidError: A step fails; it is of the type `error`.
    """
    # (1) How many.
    if len(tables) > at_most:
        raise error(f"want at most {at_most} [[{key}]] tables, got {len(tables)}", key)
    # (2) Each by itself.
    found: list[N] = []
    for index, table in enumerate(tables):
        path = f"{key}[{index}]"
        try:
            check_schema(f"v1/config/{key}", table)
        except SchemaError as exc:
            raise error(str(exc), path + exc.path) from exc
        one = read(table, path)
        # (3) Its name.
        if one.name in {other.name for other in found}:
            raise error(f"want a name that no other [[{key}]] has", f"{path}.name")
        found.append(one)
    return tuple(found)
