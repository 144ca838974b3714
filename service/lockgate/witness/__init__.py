"""A witness (C2SP tlog-witness): watches the logs of others, and vouches that each of them only grows.

It keeps one checkpoint for each log. It cosigns a newer one only with a proof that the tree grew from the one it keeps,
and only after the newer one is on the disk; so no two of its cosignatures ever contradict each other, and a log that is
shortened, forked or rewritten gets no more of them. It holds no records and believes no log.

A program of its own with a key, a database and, best, an owner of its own: a witness in the hands of those who run the
log adds nothing. It knows the log's formats and nothing else of Lockgate.
"""

from lockgate.witness.errors import StateForeignError, WitnessError
from lockgate.witness.rules import Refusal
from lockgate.witness.witness import Witness

__all__ = ["Refusal", "StateForeignError", "Witness", "WitnessError"]
