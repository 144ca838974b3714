"""What comes after an allow: permits and reports, what is seen to run, rollbacks, holds, and what was live when.

Promises: a permit follows a decision made just now; each edge of a promotion is one record, in one transaction with the
change; what is observed is what is live, whoever brought it there. Stands on `promotion`, which knows nothing of it.

May be imported: everything named here, and the pure files `types`, `intervals` and `errors`.
"""

from lockgate.lifecycle.confirmations import last_confirmation
from lockgate.lifecycle.holds import freeze
from lockgate.lifecycle.lineage_reading import LineageReader
from lockgate.lifecycle.live_store import list_let_in, list_live
from lockgate.lifecycle.pointers import Pointers
from lockgate.lifecycle.rollbacks import Rollbacks
from lockgate.lifecycle.rollouts import ROLLED_BACK
from lockgate.lifecycle.wiring import Lifecycle

__all__ = [
    "ROLLED_BACK",
    "Lifecycle",
    "LineageReader",
    "Pointers",
    "Rollbacks",
    "freeze",
    "last_confirmation",
    "list_let_in",
    "list_live",
]
