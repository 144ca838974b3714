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
    RELOAD = "reload"
    READ_AUDIT = "read_audit"
    READ_METRICS = "read_metrics"
    RECORD = "record"


_RECORDER: Final = "recorder:"
_EVERYONE: Final = frozenset({"requester", "approver", "operator", "auditor", "admin"})

# `admin` reads, and neither requests nor approves: whoever can hand out roles must not also use them.
_GRANTS: Final[Mapping[Permission, frozenset[str]]] = {
    Permission.REQUEST: frozenset({"requester"}),
    Permission.DRY_RUN: _EVERYONE,
    Permission.APPROVE: frozenset({"approver"}),
    Permission.READ_PROMOTIONS: _EVERYONE,
    Permission.READ_POLICY: _EVERYONE,
    Permission.RELOAD: frozenset({"operator"}),
    Permission.READ_AUDIT: frozenset({"auditor", "operator"}),
    Permission.READ_METRICS: frozenset({"auditor", "operator"}),
    Permission.RECORD: frozenset({"recorder"}),
}


def permits(principal: Principal, permission: Permission) -> bool:
    """Tell whether one of the principal's roles grants the verb."""
    kinds = {role.partition(":")[0] for role in principal.roles}
    return not kinds.isdisjoint(_GRANTS[permission])


def may_record(principal: Principal, kind: str) -> bool:
    """Tell whether one of the principal's roles covers a kind of record: `recorder:access` covers `access.review`."""
    words = [role.removeprefix(_RECORDER) for role in principal.roles if role.startswith(_RECORDER)]
    return any(f"{kind}.".startswith(f"{word}.") for word in words)
