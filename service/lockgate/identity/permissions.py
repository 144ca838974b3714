"""Which role may do what. Default: nothing.

Object rules (only the requester withdraws, an approver approves in a role that they hold) are the gate's, where the
object is known; this table is about verbs alone.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from lockgate.identity.types import Principal


class Permission(StrEnum):
    """A verb of the API."""

    REQUEST = "request"
    DRY_RUN = "dry_run"
    APPROVE = "approve"
    READ_PROMOTIONS = "read_promotions"
    READ_POLICY = "read_policy"
    READ_AUDIT = "read_audit"
    READ_METRICS = "read_metrics"


_EVERYONE: Final = frozenset({"requester", "approver", "operator", "auditor", "admin"})

# `admin` reads, and neither requests nor approves: whoever can hand out roles must not also use them.
_GRANTS: Final[Mapping[Permission, frozenset[str]]] = {
    Permission.REQUEST: frozenset({"requester"}),
    Permission.DRY_RUN: _EVERYONE,
    Permission.APPROVE: frozenset({"approver"}),
    Permission.READ_PROMOTIONS: _EVERYONE,
    Permission.READ_POLICY: _EVERYONE,
    Permission.READ_AUDIT: frozenset({"auditor", "operator"}),
    Permission.READ_METRICS: frozenset({"auditor", "operator"}),
}


def permits(principal: Principal, permission: Permission) -> bool:
    """Tell whether one of the principal's roles grants the verb."""
    kinds = {role.partition(":")[0] for role in principal.roles}
    return not kinds.isdisjoint(_GRANTS[permission])
