"""Texts with `{claim}` in them, filled with what a token claims. Pure.

A filled text can be read back in one way only, or it is none: two different tokens must not share a principal because
one claim ends where the other begins.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lockgate.identity.errors import IdentityError

PLACEHOLDERS_MAX: Final = 4  # an owner, a repository, an environment, and one to spare
_PLACEHOLDER: Final = re.compile(r"\{([^{}]{1,200})\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A text with placeholders.

    Attributes:
        text: As it was written.
        literals: What stands around the placeholders; one more than there are placeholders.
        paths: The claims to put between them; a dot leads into a nested claim.
    """

    text: str
    literals: tuple[str, ...]
    paths: tuple[str, ...]


def parse_template(text: str) -> Template:
    """Read a template.

    Raises:
        IdentityError: Braces do not pair, two placeholders touch, or there are too many.
    """
    parts = _PLACEHOLDER.split(text)  # literal, path, literal, ..., literal
    literals, paths = tuple(parts[::2]), tuple(parts[1::2])
    if any("{" in literal or "}" in literal for literal in literals):
        raise IdentityError("want braces only around the name of a claim, as in {sub}")
    if len(paths) > PLACEHOLDERS_MAX:
        raise IdentityError(f"want at most {PLACEHOLDERS_MAX} claims in braces, got {len(paths)}")
    if not all(literals[1:-1]):
        raise IdentityError("want text between two claims in braces: without it nobody can tell them apart")
    return Template(text=text, literals=literals, paths=paths)


def fill(template: Template, claims: Mapping[str, Any]) -> str | None:
    """Put claims in; None where one is missing, is neither text nor a whole number, or could be confused.

    A value must not hold the character that follows it in the template, or `a/b` + `c` would be `a` + `b/c`.
    """
    filled = template.literals[0]
    for path, after in zip(template.paths, template.literals[1:], strict=True):
        value = claim_at(path, claims)
        if isinstance(value, bool) or not isinstance(value, str | int):
            return None
        if not str(value) or (after and after[0] in str(value)):
            return None
        filled += str(value) + after
    return filled


def may_fill_alike(one: Template, other: Template) -> bool:
    """Tell whether two templates could give one text, whatever is claimed; a yes may be wrong, a no is not.

    What both give begins with both beginnings and ends with both endings, and is as long as each of them needs.
    """
    begin, end = one.literals[0], one.literals[-1]
    other_begin, other_end = other.literals[0], other.literals[-1]
    return (
        (begin.startswith(other_begin) or other_begin.startswith(begin))
        and (end.endswith(other_end) or other_end.endswith(end))
        and (bool(one.paths) or _chars_min(other) <= len(one.text))
        and (bool(other.paths) or _chars_min(one) <= len(other.text))
    )


def _chars_min(template: Template) -> int:
    return sum(map(len, template.literals)) + len(template.paths)  # a claim that fills it is never empty


def claim_at(path: str, claims: Mapping[str, Any]) -> object | None:
    """Return the claim at a dotted path, or None; also None where the dots can be understood in two ways.

    `kubernetes.io.namespace` leads through a claim whose own name has a dot.
    """
    found = list(_resolutions(path, claims))
    return found[0] if len(found) == 1 else None


def _resolutions(path: str, claims: object) -> Iterator[object]:
    if not isinstance(claims, Mapping):
        return
    if path in claims:
        yield claims[path]
    for dot in (match.start() for match in re.finditer(r"\.", path)):
        if path[:dot] in claims:
            yield from _resolutions(path[dot + 1 :], claims[path[:dot]])
