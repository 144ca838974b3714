"""Policies and inputs for tests: the shipped policy, and a promotion that it allows, taken apart by keyword."""

from copy import deepcopy
from functools import cache
from typing import Any

from lockgate.policy import CompiledPolicy, PolicyInput
from lockgate.policy.compiled import load_policy
from lockgate.policy.probes import fitting_inputs
from lockgate.shipped import shipped_folder

PRODUCTION_HIGH = 3  # the row of the shipped matrix that asks for most: two roles, duties separated


@cache
def shipped_policy() -> CompiledPolicy:
    """Return the shipped policy, as compiled."""
    return load_policy(shipped_folder("policies"), None)


@cache
def _fitting() -> tuple[PolicyInput, ...]:
    policy = shipped_policy()
    return tuple(fitting_inputs(policy.data, policy.catalogue.revision))


def allowed_input(row: int = PRODUCTION_HIGH) -> dict[str, Any]:
    """Return an input that the shipped policy allows, one for each row of its matrix; the test's own copy."""
    return deepcopy(dict(_fitting()[row]))


def changed_input(*path: str | int, value: object) -> PolicyInput:
    """Return the allowed input with one value changed."""
    document = allowed_input()
    place: Any = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return PolicyInput(document)


def input_without(*path: str | int) -> PolicyInput:
    """Return the allowed input without one field."""
    document = allowed_input()
    place: Any = document
    for step in path[:-1]:
        place = place[step]
    del place[path[-1]]
    return PolicyInput(document)
