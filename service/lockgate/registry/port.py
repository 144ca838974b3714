"""What Lockgate asks of every registry; `tests/registry/contract.py` holds each adapter to it."""

from collections.abc import Iterator
from typing import Protocol

from lockgate.registry.types import ArtifactFile, ModelPage, RegistryModel, RegistryVersion, Run, VersionPage


class RegistryPort(Protocol):
    """A registry of models.

    Every call may raise `RegistryUnavailableError`, `RegistryAnswerError` and `RegistryRefusedError`, and none waits
    longer than the adapter's time-out. Names are the registry's own, with any characters.
    """

    @property
    def name(self) -> str:
        """Its name in the settings."""
        ...

    def list_models(self, *, cursor: str = "", limit: int = 100) -> ModelPage:
        """Return a page of models, by name.

        Raises:
            RegistryAnswerError: Also for a cursor that this registry never gave.
        """
        ...

    def find_model(self, model: str) -> RegistryModel | None:
        """Return a model, or None where there is none of this exact name."""
        ...

    def list_versions(self, model: str, *, cursor: str = "", limit: int = 100) -> VersionPage:
        """Return a page of a model's versions, newest first; an empty one where there is no such model."""
        ...

    def find_version(self, model: str, version: str) -> RegistryVersion | None:
        """Return a version, or None."""
        ...

    def find_run(self, model: str, version: str) -> Run | None:
        """Return what made a version; None where the registry does not know.

        Raises:
            RegistryUnsupportedError: This kind of registry keeps no runs.
        """
        ...

    def move_pointer(self, model: str, alias: str, version: str | None, *, expected: str | None, permit: str) -> None:
        """Let an alias point to a version, if it stands where it is expected; read back afterwards.

        Args:
            model: The model.
            alias: The pointer's name, for example `champion`.
            version: Where to; None takes the pointer away.
            expected: Where it stands now; None = there is none.
            permit: The permit (JWT), for a guard in front of the registry; "" where there is none to show.

        Raises:
            PointerMovedError: It stood elsewhere, or stands elsewhere afterwards. There is no second try.
            RegistryUnsupportedError: This kind of registry has no pointers that can be moved.
        """
        ...

    def list_files(self, model: str, version: str) -> tuple[ArtifactFile, ...]:
        """Return the files of a version's artifact, by path.

        Raises:
            RegistryUnsupportedError: The registry does not serve them.
        """
        ...

    def read_file(self, model: str, version: str, path: str, *, timeout_s: float) -> Iterator[bytes]:
        """Return one file's bytes, in pieces; the whole file takes no longer than `timeout_s`, instead of the time-out.

        Raises:
            RegistryUnsupportedError: The registry does not serve them.
        """
        ...
