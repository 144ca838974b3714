"""What comes after an allow, wired: rollouts, observations, rollbacks, holds, and what is live."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from sqlalchemy import Engine

from lockgate.clock import Clock
from lockgate.gate_logs import Logs
from lockgate.lifecycle.holds import Holds
from lockgate.lifecycle.live import LiveReader
from lockgate.lifecycle.observations import Observations
from lockgate.lifecycle.pointers import Pointers
from lockgate.lifecycle.rollbacks import Rollbacks
from lockgate.lifecycle.rollouts import Rollouts
from lockgate.permits import PermitKey
from lockgate.policy import PolicyInForce
from lockgate.promotion.deciding import Decider
from lockgate.promotion.evaluation import Evaluator
from lockgate.promotion.gate import Gate
from lockgate.promotion.register import Register
from lockgate.registry import RegistrySettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifecycle:
    """The parts that carry decisions out and watch what came of them."""

    rollouts: Rollouts
    observations: Observations
    rollbacks: Rollbacks
    holds: Holds
    live: LiveReader
    permit_key: PermitKey | None  # None: no permits and no signed answers

    @classmethod
    def build(  # noqa: PLR0913 - each argument is one part
        cls,
        *,
        database: Engine,
        logs: Logs,
        gate: Gate,
        evaluator: Evaluator,
        policy: PolicyInForce,
        registries: Sequence[RegistrySettings],
        clock: Clock,
        permit_key: PermitKey | None,
    ) -> Self:
        """Wire them."""
        pointers = Pointers(database=database, log=logs.main, registries=registries)
        return cls(
            rollouts=Rollouts(
                database=database,
                logs=logs,
                decider=Decider(database=database, logs=logs, evaluator=evaluator, clock=clock),
                register=Register(database=database, logs=logs, clock=clock),
                pointers=pointers,
                clock=clock,
                key=permit_key,
            ),
            observations=Observations(database=database, logs=logs, policy=policy, clock=clock),
            rollbacks=Rollbacks(database=database, logs=logs, gate=gate),
            holds=Holds(database=database, logs=logs, clock=clock),
            live=LiveReader(database=database, logs=logs, clock=clock),
            permit_key=permit_key,
        )
