"""What the rollouts' job asks of every executor; `tests/delivery/rollout_contract.py` holds each adapter to it."""

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """That a version is to run, or to get a share of traffic.

    Attributes:
        promotion_id: Why.
        model: As promotions name it.
        registry: By its name in the settings.
        registry_model: The model's name there.
        alias: The pointer; "" where the environment has none in that registry.
        former_version: What the gate knows to be live; "" = nothing, or its version is not known.
        is_rollback: Whether it takes back what runs, so that it does not matter what that is.
        percent: Of traffic that the version is to get.
        permit: The signed permit, a secret until it ends; "" for what needs none: a step after the first.
    """

    promotion_id: str
    model: str
    environment: str
    version: str
    digest: str
    registry: str
    registry_model: str
    alias: str
    former_version: str
    is_rollback: bool
    percent: int
    permit: str = field(repr=False)

    @property
    def key(self) -> str:
        """The same in each attempt: whoever saw it carries the order out once."""
        return f"{self.promotion_id}.{self.percent}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What came of an order.

    Attributes:
        former_version: What stood there before; "" = nothing, or nobody knows.
        percent: Of traffic that the version gets now: more than ordered where the executor knows no shares.
    """

    former_version: str
    percent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What runs where an order was carried out.

    Attributes:
        is_ours: Whether it is what the order names, not what somebody else put there.
        percent: Of traffic that goes to it.
        is_ready: Whether it serves.
        version: What it is, for people; "" = nobody knows.
    """

    is_ours: bool
    percent: int
    is_ready: bool
    version: str


class RolloutPort(Protocol):
    """An executor.

    Every call may raise `ExecutorError`, or a `RegistryError` where a registry is asked, and none waits longer than
    its time-out. `OrderImpossibleError` alone says that another try is of no use.
    """

    def apply(self, order: Order) -> Applied:
        """Carry an order out; done again, with the same key, it changes nothing more.

        Raises:
            PointerElsewhereError: What is to be moved does not stand where the gate knows it to be.
        """
        ...

    def observe(self, order: Order) -> Seen | None:
        """Return what runs; None where this executor cannot see it, so that somebody else says it."""
        ...

    def take_back(self, order: Order) -> None:
        """Take a share of traffic back from the order's version, if it has one still; done again it changes nothing.

        Where there are no shares there is nothing to do: bringing the former version back is a rollback, which has a
        permit of its own.
        """
        ...
