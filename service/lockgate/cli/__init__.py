"""The `lockgate` command: a client of the gate, and what its operator runs beside it.

Promises: standard output holds the answer and nothing else; the exit code alone tells allow from deny from broken
(`exit_codes.py`); an answer whose receipt does not verify is never shown as a decision; no secret is taken as an
argument, printed, or logged, except a new token, once. Nothing may import this room.
"""
