"""The job that carries promotions out, around a gate under test."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from lockgate.background.build import build_executors
from lockgate.clock import NS_PER_S, EpochNs
from lockgate.delivery.executors.port import RolloutPort
from lockgate.delivery.rollout_settings import parse_rollouts
from lockgate.delivery.rollouts import RolloutJob
from lockgate.lifecycle import Pointers
from lockgate.storage.tables import rollout as rollout_table
from support.gates import GateUnderTest
from support.rollouts import Deployer

CHAMPION: Mapping[str, Any] = {"name": "champion", "type": "mlflow", "environments": ["production"]}
BUILTIN: Mapping[str, Any] = {
    "name": "builtin",
    "type": "builtin",
    "aliases": [{"environment": "production", "alias": "champion"}],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutStand:
    """A gate, whoever asks and approves there, and the job."""

    gate: GateUnderTest
    people: Deployer
    job: RolloutJob

    def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        self.gate.clock.now = EpochNs(self.gate.clock.now + int(seconds * NS_PER_S))

    def run(self, *, after_s: float = 0) -> None:
        """Let time pass, and do what is due."""
        self.pass_time(after_s)
        self.job.run()

    def pointer(self, alias: str = "champion", registry: str = "builtin", model: str = "fraud-detector") -> str:
        """Return where an alias leads; "" = nowhere."""
        found = self.gate.services.registries[registry].find_model(model)
        assert found is not None
        return next((pointer.value for pointer in found.pointers if pointer.name == alias), "")

    def code(self, promotion_id: str) -> str:
        """Return why the last attempt to carry a promotion out failed."""
        with self.gate.database.connect() as connection:
            statement = select(rollout_table.c.code).where(rollout_table.c.promotion_id == promotion_id)
            return str(connection.execute(statement).scalar_one())

    def failure(self) -> str:
        """Return the code of the newest rollout that failed."""
        code: str = self.gate.records("gate.rollout_failure")[-1]["body"]["code"]
        return code


def rollout_stand(
    gate: GateUnderTest,
    tables: Sequence[Mapping[str, Any]] = (CHAMPION,),
    executors: Mapping[str, RolloutPort] | None = None,
) -> RolloutStand:
    """Put the job beside a gate.

    Args:
        gate: The gate.
        tables: Of the settings.
        executors: Instead of those that the tables name.
    """
    services = gate.services
    rollouts = parse_rollouts(tables, gate.folder)
    job = RolloutJob(
        rollouts=rollouts,
        executors=build_executors(rollouts, services.registries) if executors is None else executors,
        lifecycle=services.lifecycle,
        register=services.register,
        pointers=Pointers(database=gate.database, log=services.log, registries=services.registry_settings),
        database=gate.database,
        clock=gate.clock,
    )
    return RolloutStand(gate=gate, people=Deployer(gate=gate), job=job)
