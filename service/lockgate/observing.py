"""A port for watching one request from the inside: how long its steps take, how somebody's proof of identity ended.

The rooms call it and know nobody who listens. `lockgate.web` listens, for metrics and traces; without a listener, in
the command line say, nothing happens. The listener belongs to the context of one request, not to the process.
"""

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Literal, Protocol, TypeAlias

Step: TypeAlias = Literal["evidence.verify", "policy.evaluate", "policy.authorize", "audit.append"]


class Observer(Protocol):
    """Who listens. What it is told names nobody and no model."""

    def step(self, name: Step) -> AbstractContextManager[None]:
        """Return what goes around one step."""
        ...

    def authentication(self, outcome: str) -> None:
        """Hear how a caller's proof of identity ended: `ok`, or the stable code of why not."""
        ...


_observer: ContextVar[Observer | None] = ContextVar("lockgate_observer", default=None)


def step(name: Step) -> AbstractContextManager[None]:
    """Return what to put around a step, in the thread that the request is served in."""
    observer = _observer.get()
    return contextlib.nullcontext() if observer is None else observer.step(name)


def authentication(outcome: str) -> None:
    """Tell how a caller's proof of identity ended.

    Args:
        outcome: `ok`, or the stable code of why not; never anything that the caller wrote.
    """
    observer = _observer.get()
    if observer is not None:
        observer.authentication(outcome)


@contextlib.contextmanager
def observed_by(observer: Observer) -> Iterator[None]:
    """Let somebody listen to what happens in this context."""
    token = _observer.set(observer)
    try:
        yield
    finally:
        _observer.reset(token)
