"""What registries say, in one form for all of them. Pure."""

from dataclasses import dataclass
from typing import Final

from lockgate.clock import EpochNs

BUILTIN: Final = "builtin"  # the name of the registry in our own database


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedValue:
    """A tag, a parameter, a metric: whatever a registry holds under a name, as text."""

    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryModel:
    """A model as its registry shows it.

    Attributes:
        name: In that registry; any characters.
        pointers: Aliases, each with the version that it points to, sorted by name.
        stages: The registry's own stages that are set, each with the newest version in it (MLflow, deprecated).
    """

    name: str
    description: str
    tags: tuple[NamedValue, ...]
    pointers: tuple[NamedValue, ...]
    stages: tuple[NamedValue, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryVersion:
    """A version as its registry shows it.

    Attributes:
        digest: If the registry knows one, `sha256:<hex>`; "" where it does not (MLflow).
        source: Where its files are, a URI.
        run: Id of the run that made it; "" where nobody said.
        stage: The registry's own stage (MLflow, deprecated); "" where it has none.
        created: None where nobody said.
    """

    model: str
    version: str
    digest: str
    source: str
    run: str
    stage: str
    tags: tuple[NamedValue, ...]
    created: EpochNs | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """What a run read.

    Attributes:
        digest: As the registry writes it; "" where nobody said.
        context: What for, for example `training` or `eval`.
    """

    name: str
    digest: str
    source: str
    context: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What made a version."""

    id: str
    code_commit: str  # "" where nobody said
    source_name: str  # the program, as the run says
    user: str
    params: tuple[NamedValue, ...]
    metrics: tuple[NamedValue, ...]
    tags: tuple[NamedValue, ...]
    datasets: tuple[Dataset, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactFile:
    """One file of a version's artifact."""

    path: str  # relative, with "/"
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPage:
    """A page of models, in an order that does not change."""

    items: tuple[RegistryModel, ...]
    next_cursor: str  # "" = the end


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionPage:
    """A page of versions, newest first."""

    items: tuple[RegistryVersion, ...]
    next_cursor: str
