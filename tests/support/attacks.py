"""Writing the tables behind the gate's back, and how it refuses then."""

from typing import Any

import pytest
from sqlalchemy import select, update

from lockgate.errors import LockgateError
from lockgate.storage.tables import promotion as promotion_table
from support.gates import GateUnderTest

INCONSISTENT = (503, "audit.log_inconsistent")


def row_of(gate: GateUnderTest, promotion_id: str) -> dict[str, Any]:
    """Return a promotion's row."""
    with gate.database.connect() as connection:
        found = connection.execute(select(promotion_table).where(promotion_table.c.id == promotion_id))
        return dict(found.mappings().one())


def forge(gate: GateUnderTest, promotion_id: str, **values: Any) -> None:
    """Write a promotion's row behind the gate's back."""
    with gate.database.begin() as connection:
        connection.execute(update(promotion_table).where(promotion_table.c.id == promotion_id).values(**values))


def refusal(answer: Any) -> tuple[int, str]:
    """Return how the API refused."""
    return answer.status_code, answer.json["code"]


def code_of(call: Any, *args: Any) -> str:
    """Return the code of the error that a call ends with."""
    with pytest.raises(LockgateError) as caught:
        call(*args)
    return caught.value.code
