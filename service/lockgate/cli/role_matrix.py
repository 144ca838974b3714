"""Who may do what: the policy itself, asked about every role and every route."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, TypeAlias

from lockgate.identity import ROLE_EXAMPLES
from lockgate.policy import PolicyEngine, build_authz_input
from lockgate.web.api.openapi import OPERATIONS

Cell: TypeAlias = Literal["yes", "no", "by role", "by requester", "by kind", "by name", "people"]

TIMEOUT_S: Final = 5.0  # of one answer; a hundredth of a second on a small machine
_SUBJECT: Final = "somebody"
# What an operation may depend on, with facts of an object that is the caller's; `yes`: with those of any object.
_OWN: Final[dict[Cell, dict[str, str]]] = {
    "yes": {"mapping": "other_name"},
    "by name": {"mapping": "own_name"},
    "by role": {"role": "example"},
    "by requester": {"requester": _SUBJECT},
    "by kind": {"kind": "example.event"},
    "people": {"environment": "example", "model": "example", "own": "no"},
}
_INTRODUCTION: Final = """\
# Roles

Who may call what. `lockgate policy roles` writes this page by asking the policy about each role and each route; of a
policy of your own it tells what that one permits. A principal may do what one of its roles may, and nothing else
([howto/change-who-may-do-what.md](howto/change-who-may-do-what.md)).

- **by role**: an approver approves in a role that they hold themselves.
- **by requester**: only who asked for a promotion withdraws it.
- **by name**: a model is registered under its own name in its registry; another name there is the operator's to say.
- **people**: a person, never a machine. A hold is lifted by an approver whom the matrix names for what goes there
  (where it names nobody, by any), and never by who asked for what was rolled back.
- **by kind**: a recorder writes kinds that its role begins, and never Lockgate's own.

Whoever may call may still be refused: whose approval counts, for example, is said by the rules on promotions.
Open to all are health (`/livez`, `/readyz`) and the way in and out (`/v1/login`, `/login`, `/login/callback`,
`/logout`, `/style.css`). Each denial is recorded (`identity.denial`).

"""


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixRow:
    """One route, and what each role may do with it."""

    method: str
    path: str
    operation: str
    cells: dict[str, Cell]  # by the role's heading


def role_matrix(engine: PolicyEngine) -> tuple[MatrixRow, ...]:
    """Ask a policy about every role and every route that is not open to all, in the order of the API's description.

    Raises:
        PolicyFailureError: The policy gives no usable answer.
    """
    return tuple(
        MatrixRow(
            method=route.method.upper(),
            path=route.path,
            operation=route.operation,
            cells={heading: _cell(engine, role, route.operation) for heading, role in ROLE_EXAMPLES.items()},
        )
        for route in OPERATIONS
        if not route.open
    )


def matrix_document(rows: tuple[MatrixRow, ...]) -> dict[str, Any]:
    """Write a matrix as JSON."""
    return {"schema_version": 1, "roles": list(ROLE_EXAMPLES), "routes": [asdict(row) for row in rows]}


def matrix_markdown(rows: tuple[MatrixRow, ...]) -> str:
    """Write a matrix as a page."""
    return _INTRODUCTION + "".join(f"| {' | '.join(line)} |\n" for line in _lines(rows))


def _lines(rows: tuple[MatrixRow, ...]) -> Iterator[list[str]]:
    headings = ["route", "operation", *ROLE_EXAMPLES]
    yield [f"`{heading}`" if heading in ROLE_EXAMPLES else heading for heading in headings]
    yield ["---"] * len(headings)
    for row in rows:
        cells = ["" if cell == "no" else cell for cell in row.cells.values()]
        yield [f"`{row.method} {row.path}`", f"`{row.operation}`", *cells]


def _cell(engine: PolicyEngine, role: str, operation: str) -> Cell:
    if _permits(engine, role, operation, {}):
        return "yes" if _permits(engine, role, operation, {}, type="machine") else "people"
    return next((cell for cell, facts in _OWN.items() if _permits(engine, role, operation, facts)), "no")


def _permits(
    engine: PolicyEngine,
    role: str,
    operation: str,
    facts: dict[str, str],
    type: str = "user",  # noqa: A002 - the field's name
) -> bool:
    document = build_authz_input(
        revision=engine.catalogue().revision,
        subject=_SUBJECT,
        type=type,
        roles=(role,),
        operation=operation,
        facts=facts,
    )
    return engine.authorize(document, timeout_s=TIMEOUT_S).allow
