"""A small reader of PromQL: enough to tell which metrics, labels and functions an expression names.

It is no parser: it finds brackets that do not match, functions that do not exist and selectors that cannot be read.
What else may be wrong with an expression, Prometheus says when it loads the rules.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_TOKEN: Final = re.compile(
    r"""(?P<space>\s+)
      | (?P<string>"(?:[^"\\]|\\.)*")
      | (?P<duration>\[(?:[0-9]+[smhdw]|\$__rate_interval)\])
      | (?P<number>[0-9]+(?:\.[0-9]+)?)
      | (?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
      | (?P<operator>=~|!~|!=|==|>=|<=|[=<>+*/,-])
      | (?P<bracket>[(){}])""",
    re.VERBOSE | re.ASCII,
)
_FUNCTIONS: Final = frozenset(
    {"absent", "count", "delta", "histogram_quantile", "increase", "label_values", "max", "min", "rate", "sum", "time"}
)
_GROUPINGS: Final = frozenset({"by", "without"})
_SETS: Final = frozenset({"and", "or", "unless", "bool"})
_PAIRS: Final = {")": "(", "}": "{"}


class PromQLError(Exception):
    """An expression cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What an expression names."""

    metrics: Mapping[str, frozenset[str]]  # each with the labels that its selectors match
    groupings: frozenset[str]  # the labels that it groups by


def read(expression: str) -> Named:
    """Read an expression.

    Raises:
        PromQLError: Its brackets do not match, it calls an unknown function, or a selector cannot be read.
    """
    tokens = list(_tokens(expression))
    metrics: dict[str, frozenset[str]] = {}
    groupings: set[str] = set()
    place = 0
    while place < len(tokens):
        kind, word = tokens[place]
        after = tokens[place + 1][1] if place + 1 < len(tokens) else ""
        if kind == "name" and word in _GROUPINGS:
            end = tokens.index(("bracket", ")"), place)
            groupings.update(word for kind, word in tokens[place + 2 : end] if kind == "name")
            place = end
        elif kind == "name" and after == "(":
            if word not in _FUNCTIONS:
                raise PromQLError(f"want a function of PromQL, got {word}")
        elif kind == "name" and word not in _SETS | _FUNCTIONS:
            labels: frozenset[str] = frozenset()
            if after == "{":
                end = tokens.index(("bracket", "}"), place)
                labels = _matched(tokens[place + 2 : end])
                place = end
            metrics[word] = metrics.get(word, frozenset()) | labels
        place += 1
    return Named(metrics=metrics, groupings=frozenset(groupings))


def _tokens(expression: str) -> list[tuple[str, str]]:
    found, open_brackets, place = [], [], 0
    while place < len(expression):
        match = _TOKEN.match(expression, place)
        if match is None:
            raise PromQLError(f"want PromQL, got {expression[place : place + 20]!r}")
        place = match.end()
        kind, word = str(match.lastgroup), match[0]
        if word in "({":
            open_brackets.append(word)
        elif word in _PAIRS and (not open_brackets or open_brackets.pop() != _PAIRS[word]):
            raise PromQLError(f"want brackets that match, got {word!r} at {place}")
        if kind != "space":
            found.append((kind, word))
    if open_brackets:
        raise PromQLError(f"want every bracket closed, got {len(open_brackets)} open")
    return found


def _matched(tokens: list[tuple[str, str]]) -> frozenset[str]:
    labels = set()
    for place in range(0, len(tokens), 4):
        part = tokens[place : place + 4]
        kinds = [kind for kind, _ in part]
        if kinds[:3] != ["name", "operator", "string"] or (len(part) == 4 and part[3][1] != ","):
            raise PromQLError(f"want label, operator and string, got {' '.join(word for _, word in part)!r}")
        labels.add(part[0][1])
    return frozenset(labels)
