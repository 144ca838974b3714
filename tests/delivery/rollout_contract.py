"""What every executor does alike: the contract of `RolloutPort`, run against each adapter by `test_executors.py`."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from lockgate.delivery.executors.errors import OrderImpossibleError, PointerElsewhereError
from lockgate.delivery.executors.port import Order, RolloutPort
from lockgate.errors import LockgateError


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """An executor, what it moves, and a world in which version 1 is live.

    Attributes:
        first: The order to bring version 1 there, which is done.
        order: The order to bring version 2 there.
        settle: Let whoever has to carry it out do so.
        running: What is told to run.
        moves: How often somebody moved something so far.
        move_away: Let somebody else bring version 3 there, past the gate.
        stop: Let nobody answer any more.
    """

    executor: RolloutPort
    first: Order
    order: Order
    settle: Callable[[], None]
    running: Callable[[], str]
    moves: Callable[[], int]
    move_away: Callable[[], None]
    stop: Callable[[], None]


def check_brings_a_version(bench: Bench) -> None:
    """What an order names runs afterwards, and is seen to; what was there before is known."""
    applied = bench.executor.apply(bench.order)
    bench.settle()
    seen = bench.executor.observe(bench.order)

    assert (applied.former_version, applied.percent) == ("1", 100)
    assert bench.running() == "2"
    assert seen is not None
    assert (seen.is_ours, seen.is_ready, seen.percent) == (True, True, 100)


def check_carries_out_once(bench: Bench) -> None:
    """The same order again, from whoever did not hear of the first, moves nothing more and answers alike."""
    first = bench.executor.apply(bench.order)
    moves = bench.moves()
    bench.settle()
    second = bench.executor.apply(bench.order)

    assert first == second
    assert bench.moves() == moves
    assert bench.running() == "2"


def check_leaves_what_it_does_not_know(bench: Bench) -> None:
    """What somebody else brought there stays there."""
    bench.move_away()
    with pytest.raises(PointerElsewhereError):
        bench.executor.apply(bench.order)

    assert bench.running() == "3"


def check_rolls_back_whatever_is_there(bench: Bench) -> None:
    """A rollback finds its way from where the gate knows to be, and comes back to version 1."""
    bench.executor.apply(bench.order)
    bench.settle()
    back = replace(bench.first, former_version="2", is_rollback=True)
    bench.executor.apply(back)
    bench.settle()

    assert bench.running() == "1"


def check_says_that_nobody_answers(bench: Bench) -> None:
    """Which is worth another try."""
    bench.stop()
    for call in (bench.executor.apply, bench.executor.observe):
        with pytest.raises(LockgateError) as caught:
            call(bench.order)

        assert caught.value.code.endswith(".unavailable")
        assert not isinstance(caught.value, OrderImpossibleError)


def check_takes_back_what_is_not_there(bench: Bench) -> None:
    """Nothing happens, once and again: there is no share of traffic."""
    moves = bench.moves()
    bench.executor.take_back(bench.order)
    bench.executor.take_back(bench.order)

    assert (bench.moves(), bench.running()) == (moves, "1")


CHECKS = (
    check_brings_a_version,
    check_carries_out_once,
    check_leaves_what_it_does_not_know,
    check_rolls_back_whatever_is_there,
    check_says_that_nobody_answers,
    check_takes_back_what_is_not_there,
)
