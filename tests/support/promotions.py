"""Small things that the tests of the gate share."""

import threading
from collections.abc import Callable
from typing import Any

from lockgate.canonical_json import canonicalize
from lockgate.policy import (
    AuthzInput,
    AuthzResult,
    PolicyCatalogue,
    PolicyInput,
    PolicyResult,
    PolicyUnavailableError,
)
from lockgate.policy.wasm import WasmEngine


def verdict_of(answer: dict[str, Any]) -> str:
    """Return the word of the decision in an answer."""
    word: str = answer["decision"]["verdict"]
    return word


def violated(answer: dict[str, Any]) -> set[str]:
    """Return the rules that an answer says are violated."""
    return {violation["rule_id"] for violation in answer["decision"]["violations"]}


def in_parallel(*calls: Callable[[], Any]) -> list[Any]:
    """Run calls at the same moment and return what they returned."""
    barrier = threading.Barrier(len(calls))
    results: list[Any] = [None] * len(calls)

    def run(index: int, call: Callable[[], Any]) -> None:
        barrier.wait()
        results[index] = call()

    threads = [threading.Thread(target=run, args=(index, call)) for index, call in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def canonicalize_request(document: dict[str, Any]) -> bytes:
    """Write a request document."""
    return canonicalize(document, bytes_max=10**7)


def freeze(*, from_ns: int, until_ns: int) -> dict[str, Any]:
    """Write a freeze of production."""
    return {
        "id": "year-end",
        "kinds": ["promote"],
        "environments": ["production"],
        "models": ["*"],
        "from_ns": from_ns,
        "until_ns": until_ns,
        "reason": "year end",
    }


class SwitchedEngine:
    """Passes everything to the engine that is switched on; or to none."""

    name = "opa-wasm"

    def __init__(self, now: WasmEngine) -> None:
        self.now = now
        self.broken = False
        self.before_answer: Callable[[], None] = lambda: None

    def catalogue(self) -> PolicyCatalogue:
        """Return the engine's catalogue."""
        return self.now.catalogue()

    def evaluate(self, document: PolicyInput, *, timeout_s: float) -> PolicyResult:
        """Evaluate, unless switched off."""
        if self.broken:
            raise PolicyUnavailableError("switched off")
        result = self.now.evaluate(document, timeout_s=timeout_s)
        self.before_answer()
        return result

    def authorize(self, document: AuthzInput, *, timeout_s: float) -> AuthzResult:
        """Authorise, also when switched off, so that the call reaches what it tests."""
        return self.now.authorize(document, timeout_s=timeout_s)


def json_id(body: str) -> str:
    """Return the id in an approval's bytes."""
    return body.split('"id":"')[1].split('"', maxsplit=1)[0]
