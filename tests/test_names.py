"""The names of models, versions and environments."""

from pathlib import Path
from typing import Any, Final

from lockgate.canonical_json import parse_json
from lockgate.names import ENVIRONMENT_PATTERN, NAME_PATTERN

REQUEST: Final = Path(__file__).parents[1] / "schemas/v1/api/promotion_request.json"


def test_names_are_those_of_a_request() -> None:
    """What code takes for a name is what the schema of a promotion's request takes for one."""
    fields: dict[str, Any] = parse_json(REQUEST.read_bytes(), bytes_max=100_000)["properties"]

    assert fields["model"]["pattern"] == fields["version"]["pattern"] == f"^{NAME_PATTERN}$"
    assert fields["from"]["pattern"] == fields["to"]["pattern"] == f"^{ENVIRONMENT_PATTERN}$"
