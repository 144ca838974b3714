"""What the guard refuses. It knows models, aliases and files, and nothing of HTTP."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from lockgate_mlflow_guard.answers import Refusal
from lockgate_mlflow_guard.locations import Location, LocationError, locate, overlap
from lockgate_mlflow_guard.permits import Keys, KeysError, Move, Permit, PermitCode, parse_keys, verify_permit
from lockgate_mlflow_guard.pointers import POINTERS_MAX, Pointer, Pointers, PointersUnavailableError
from lockgate_mlflow_guard.settings import Settings
from lockgate_mlflow_guard.spent import SpentPermits, SpentPermitsError

RESERVED_TAGS: Final = "lockgate."

_ASK: Final = "Ask the gate: lockgate request MODEL VERSION --from ENVIRONMENT --to ENVIRONMENT"
_WHY_NOT: Final[dict[PermitCode, str]] = {
    "permit.missing": "and the call brought none",
    "permit.malformed": "and what the call brought is none",
    "permit.unknown_key": "and this one is signed with a key that the guard does not know",
    "permit.signature": "and this one's signature does not verify",
    "permit.audience": "and this one is for another registry",
    "permit.not_yet_valid": "and this one is not valid yet: look at the clocks",
    "permit.expired": "and this one has expired",
    "permit.mismatch": "and this one is for another move",
    "permit.used": "and this one was used before",
    "permit.superseded": "and one that was signed later moved it meanwhile",
}


class UnavailableError(Exception):
    """The guard could not find out what it must know; the call is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """Judges calls. None means that a call is no business of the guard's.

    Attributes:
        spent: The permits that were used.
        pointers: What is protected.
        destination: Where the server keeps the files of `mlflow-artifacts:`.
        now: Seconds since the epoch.
    """

    settings: Settings
    spent: SpentPermits
    pointers: Pointers
    destination: str
    now: Callable[[], float]

    def judge_move(self, move: Move, token: str | None) -> Permit | Refusal | None:
        """Judge setting an alias, or taking one away (version "").

        Raises:
            UnavailableError: Keys or used permits cannot be read.
        """
        if move.alias.lower() not in self.settings.aliases:
            return None
        outcome = verify_permit(
            token, keys=self._read_keys(), registry=self.settings.registry, now_s=self.now(), move=move
        )
        # Used up before anything is moved: one that is lost costs another request, one that counts twice is no permit.
        if isinstance(outcome, Permit):
            refused = self._spend(outcome, move)
            if refused is None:
                return outcome
            outcome = refused
        return Refusal(
            code=outcome,
            message=f"Lockgate guards the alias '{move.alias}' of '{move.model}': it moves only with a permit, "
            f"{_WHY_NOT[outcome]}. {_ASK}",
        )

    def judge_stage(self) -> Refusal:
        """Refuse a stage: MLflow gave stages up for aliases, and nobody is told when one is set."""
        return Refusal(
            code="guard.stage",
            message=f"Lockgate guards this registry: stages are not set here, protected aliases say what is live. "
            f"{_ASK}",
        )

    def judge_removal(self, model: str, version: str | None) -> Refusal | None:
        """Judge taking away a version, or a model (version None) or its name.

        Raises:
            UnavailableError: What is protected cannot be read.
        """
        held = self._held(model)
        # Read as MLflow reads it: to it, "07" and 7 are one version. What it cannot read is any of them.
        if version is not None and (number := _parse_version(version)) is not None:
            held = [pointer for pointer in held if pointer.version == number]
        if not held:
            return None
        what = "renamed or deleted" if version is None else "deleted"
        return Refusal(
            code="guard.protected_version",
            message=f"Lockgate guards '{model}': the alias '{held[0].alias}' is on version {held[0].version}, and what "
            f"holds a protected alias is not {what}. Let the gate move the alias first",
        )

    def judge_tags(self, keys: list[str]) -> Refusal | None:
        """Judge setting or deleting tags of a model or version."""
        if not any(key.strip().casefold().startswith(RESERVED_TAGS) for key in keys):
            return None
        return Refusal(
            code="guard.tag",
            message=f"Tags that begin with '{RESERVED_TAGS}' are nobody's to set or delete: people would take them for "
            "a decision. What was decided is in the gate: lockgate status PROMOTION",
        )

    def judge_files(self, places: list[Location]) -> Refusal | None:
        """Judge writing or deleting files.

        Raises:
            UnavailableError: What is protected cannot be read.
        """
        try:
            pointers = self.pointers.of_all()
            protected = [(_locate_version(pointer.location, self.destination), pointer) for pointer in pointers]
        except (PointersUnavailableError, LocationError) as exc:
            raise UnavailableError(str(exc)) from exc
        for location, pointer in protected:
            if any(overlap(place, location) for place in places):
                return Refusal(
                    code="guard.protected_files",
                    message=f"Lockgate guards the files of version {pointer.version} of '{pointer.model}', which holds "
                    f"the alias '{pointer.alias}': they are not written or deleted. Register a new version instead",
                )
        return None

    def _held(self, model: str) -> list[Pointer]:
        try:
            return self.pointers.of_model(model)
        except PointersUnavailableError as exc:
            raise UnavailableError(str(exc)) from exc

    def _read_keys(self) -> Keys:
        # Read anew for each permit, a few times a day: a key that was replaced counts without a restart.
        try:
            return read_keys(self.settings)
        except KeysError as exc:
            raise UnavailableError("the gate's public keys cannot be read") from exc

    def _spend(self, permit: Permit, move: Move) -> PermitCode | None:
        try:
            return self.spent.spend(permit, move, now_s=self.now())
        except SpentPermitsError as exc:
            raise UnavailableError("the file of used permits does not answer") from exc


def read_keys(settings: Settings) -> Keys:
    """Read the gate's public keys.

    Raises:
        KeysError: The file cannot be read, or is no set of keys.
    """
    try:
        return parse_keys(settings.keys_file.read_bytes())
    except OSError as exc:
        raise KeysError(exc.strerror or type(exc).__name__) from exc


def unavailable() -> Refusal:
    """What a caller is told where the guard could not find out; what it was stands in the server's log."""
    return Refusal(
        code="guard.unavailable",
        message="Lockgate's guard cannot find out whether this touches a protected alias, so it is not done; "
        "the server's log says why",
        status=HTTPStatus.SERVICE_UNAVAILABLE,
    )


def unknown_route() -> Refusal:
    """A route of models, versions or artifacts that this version of the guard does not know."""
    return Refusal(
        code="guard.unknown_route",
        message="Lockgate's guard does not know this route of MLflow's, and refuses what it cannot judge; "
        "install the guard that fits this MLflow",
    )


# Ten thousand protected versions are looked at for each file that is written; a version's place does not change.
@functools.lru_cache(maxsize=POINTERS_MAX)
def _locate_version(location: str, destination: str) -> Location:
    return locate(location, destination=destination)


def _parse_version(version: str) -> int | None:
    try:
        return int(version)
    except ValueError:
        return None
