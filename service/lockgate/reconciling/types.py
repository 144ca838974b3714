"""What is found, and what the gate wanted instead. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal, TypeAlias

from lockgate.clock import EpochNs
from lockgate.lifecycle.intervals import LiveInterval
from lockgate.registry.settings import Response

FINDING: Final = "gate.finding"
FINDING_KINDS: Final[Mapping[str, str]] = {FINDING: "v1/api/finding_change"}


class FindingKind(StrEnum):
    """What changed out of band."""

    ALIAS_MOVED = "alias_moved_out_of_band"
    ALIAS_VANISHED = "alias_vanished"
    STAGE_SET = "stage_set"
    VERSION_DELETED = "version_deleted"
    ARTIFACT_DRIFTED = "artifact_drifted"
    UNKNOWN_IN_PRODUCTION = "unknown_in_production"


FindingState: TypeAlias = Literal["open", "closed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the gate wants of one model in one environment.

    Attributes:
        version: What it let in last; "" = nothing yet.
        digest: Of that version.
        promotion_id: What let it in.
        allowed: The versions at which the pointer may stand now: that one, and what is being carried out.
        observed: What runs there although nobody let it in; None where that is not known.
    """

    version: str = ""
    digest: str = ""
    promotion_id: str = ""
    allowed: frozenset[str] = frozenset()
    observed: LiveInterval | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A model that the gate knows, with what it wants by environment."""

    model: str
    registry_model: str
    environments: Mapping[str, Wanted] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is not as the gate wants it, as it stands now.

    Attributes:
        model: As promotions name it; of a model that nobody registered, a name made for it (`unregistered_name`).
        environment: "" where a stage stands for none.
        alias: The pointer; "" where it is not about one.
        promotion_id: What let the wanted version in; "" = nothing was let in.
        stage: The registry's own stage that was set; "" where it is not about one.
    """

    kind: FindingKind
    model: str
    environment: str
    registry: str
    registry_model: str
    alias: str = ""
    wanted_version: str = ""
    wanted_digest: str = ""
    promotion_id: str = ""
    found_version: str = ""
    found_digest: str = ""
    stage: str = ""

    @property
    def key(self) -> tuple[FindingKind, str, str]:
        """Of which there is one open finding at a time."""
        return (self.kind, self.model, self.environment)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A difference that somebody has to close.

    Attributes:
        number: Its place in the list.
        difference: As it was seen last.
        response: What was done when it opened.
        standing: Whether it was still so at the last look; a look that could not see changes nothing.
    """

    number: int
    id: str
    difference: Difference
    response: Response
    standing: bool
    opened: EpochNs
    closed: EpochNs | None

    @property
    def state(self) -> FindingState:
        """Open until somebody closes it."""
        return "open" if self.closed is None else "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingFilter:
    """Which findings to list, newest first. Empty strings match everything."""

    state: str = ""
    kind: str = ""
    model: str = ""
    before_number: int | None = None
    limit: int
