"""What is wrong with the settings, all of it at once, each with the place where it stands."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from lockgate.errors import ConfigError

PROBLEMS_MAX: Final = 50  # in one message: a page; whoever made more than that has written another program's file


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a setting stands: a line of a file, or a variable or an option by its name."""

    name: str = ""  # as it is spelt there: `policy_timeout_s`, `LOCKGATE_POLICY_TIMEOUT_S`, `--data-dir`
    file: str = ""
    line: int = 0  # counted from 1, as columns are; 0: none is known
    column: int = 0

    def __str__(self) -> str:
        where = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        return ": ".join(part for part in (where, self.name) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong; never shows a secret."""

    place: Place
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"


class SettingsError(ConfigError):
    """The settings cannot be used.

    Attributes:
        problems: Everything that is wrong, at least one; the message has a line for each, up to `PROBLEMS_MAX`.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        lines = [str(problem) for problem in problems[:PROBLEMS_MAX]]
        if len(problems) > PROBLEMS_MAX:
            lines.append(f"and {len(problems) - PROBLEMS_MAX} more")
        super().__init__("\n".join(lines))
        self.problems = tuple(problems)


class UnusableValueError(ConfigError):
    """One value is of no use; the message says what was wanted and what came, and not where: its reader knows that."""
