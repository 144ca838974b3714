"""What carries promotions out, for which models and environments: the `[[rollout]]` tables of the settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, TypeAlias

from lockgate.config.errors import UnusableValueError
from lockgate.config.secret_files import read_secret
from lockgate.config.table_arrays import TableInvalidError, read_tables
from lockgate.delivery.executors.errors import ExecutorUnavailableError
from lockgate.outbound_urls import find_url_fault
from lockgate.promotion.types import WHOLE_PERCENT

RolloutType: TypeAlias = Literal["pull", "mlflow", "kserve", "http"]

ROLLOUTS_MAX: Final = 64  # two for each environment that the policy may have
STEP_INTERVAL_S: Final = 300.0  # if not said; time enough for alerts to go off
TIMEOUT_S: Final = 15.0  # if not said; a deployer takes an order at once and carries it out later


class RolloutInvalidError(TableInvalidError):
    """The settings of a rollout cannot be used."""

    code: ClassVar[str] = "rollout.settings_invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceService:
    """Where KServe serves a model."""

    name: str
    namespace: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutSettings:
    """What carries promotions of some models into some environments.

    Attributes:
        name: What records call it.
        models: By their exact names; empty for all.
        services: Where KServe serves each of them; empty for other types.
        sources: What a version's source begins with where KServe may load it; empty for other types.
        url: Where it is reached, "" where the type needs none.
        observe_url: Where it says what runs, "" where somebody else does.
        token_file: Holds the bearer token that it wants; see `read_authorization`.
        ca_file: Certificate authorities to trust instead of the usual ones.
        timeout_s: For one exchange, in seconds.
        steps: Shares of traffic in percent, growing, the last one 100.
        step_interval_s: Between two steps, in seconds.
    """

    name: str
    type: RolloutType
    environments: frozenset[str]
    models: frozenset[str]
    services: Mapping[str, InferenceService]
    sources: tuple[str, ...]
    url: str
    observe_url: str
    token_file: Path | None
    ca_file: Path | None
    timeout_s: float
    steps: tuple[int, ...]
    step_interval_s: float

    def fits(self, model: str, environment: str) -> bool:
        """Tell whether promotions of a model into an environment are its to carry out."""
        return environment in self.environments and (not self.models or model in self.models)

    def read_authorization(self) -> str | None:
        """Return the header of this name, with what the file holds now; None where none is wanted.

        Raises:
            ExecutorUnavailableError: The file cannot be used at the moment.
        """
        if self.token_file is None:
            return None
        try:
            return f"Bearer {read_secret(self.token_file)}"
        except UnusableValueError as exc:
            raise ExecutorUnavailableError(f"rollout {self.name}: {exc}") from exc


def parse_rollouts(tables: Sequence[Mapping[str, Any]], folder: Path = Path()) -> tuple[RolloutSettings, ...]:
    """Read the `[[rollout]]` tables.

    Args:
        tables: As they stand in the settings.
        folder: What relative paths of files are relative to.

    Raises:
        RolloutInvalidError: One of them cannot be used; it says which part and why.
    """
    rollouts = read_tables(
        tables,
        "rollout",
        at_most=ROLLOUTS_MAX,
        error=RolloutInvalidError,
        read=lambda table, path: _read_rollout(table, path, folder),
    )
    for index, rollout in enumerate(rollouts):
        before = rollouts[:index]
        for environment in sorted(rollout.environments):
            if any(environment in other.environments and not other.models for other in before):
                want = (
                    f"want it before the rollout that takes every model into {environment}: the first that fits counts"
                )
                raise RolloutInvalidError(want, f"rollout[{index}].environments")
    return rollouts


def find_rollout(rollouts: Sequence[RolloutSettings], model: str, environment: str) -> RolloutSettings | None:
    """Return what carries promotions of a model into an environment out; None for whoever asks."""
    found = next((rollout for rollout in rollouts if rollout.fits(model, environment)), None)
    return None if found is None or found.type == "pull" else found


def _read_rollout(table: Mapping[str, Any], path: str, folder: Path) -> RolloutSettings:
    for key in ("url", "observe_url"):
        if key in table and (fault := find_url_fault(table[key])):
            raise RolloutInvalidError(fault, f"{path}.{key}")
    services = {
        row["model"]: InferenceService(name=row["inference_service"], namespace=row["namespace"])
        for row in table.get("services", ())
    }
    if len(services) != len(table.get("services", ())):
        raise RolloutInvalidError("want each model once", f"{path}.services")
    steps = tuple(table.get("steps", (WHOLE_PERCENT,)))
    if list(steps) != sorted(set(steps)) or steps[-1] != WHOLE_PERCENT:
        raise RolloutInvalidError(f"want growing shares of traffic, the last one {WHOLE_PERCENT}", f"{path}.steps")
    return RolloutSettings(
        name=table["name"],
        type=table["type"],
        environments=frozenset(table["environments"]),
        models=frozenset(table.get("models", services)),
        services=services,
        sources=tuple(table.get("sources", ())),
        url=table.get("url", ""),
        observe_url=table.get("observe_url", ""),
        token_file=folder / table["token_file"] if "token_file" in table else None,
        ca_file=folder / table["ca_file"] if "ca_file" in table else None,
        timeout_s=float(table.get("timeout_s", TIMEOUT_S)),
        steps=steps,
        step_interval_s=float(table.get("step_interval_s", STEP_INTERVAL_S)),
    )
