"""What comes after an allow: permits and reports, what is seen to run, rollbacks, holds, and what was live when.

Promises: a permit follows a decision made just now; each edge of a promotion is one record, in one transaction with the
change; what is observed is what is live, whoever brought it there. Stands on `promotion`, which knows nothing of it.
"""

from lockgate.lifecycle.wiring import Lifecycle

__all__ = ["Lifecycle"]
