"""What the API's description says of one operation; `operations_*.py` hold them by part."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    summary: str
    answers: dict[int, str]  # HTTP status -> schema name, or a media type where there is no schema
    operation: str = ""  # as the policy knows it; none where the resource is open to all
    problems: tuple[int, ...] = ()
    body: str = ""  # schema name
    query: dict[str, str] = field(default_factory=dict)  # parameter -> description
    required_query: tuple[str, ...] = ()
    idempotent: bool = False
    conditional: bool = False  # it wants If-Match
    open: bool = False
    page: bool = False  # for people: what goes wrong is HTML too
