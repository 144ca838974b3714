"""Whoever holds records and a public key verifies here: whole logs, exports, single receipts. No database, no server.

Import the files by name. `verifier` is the way in for logs and `receipts` for one record; `stretches` is what one
worker does, `examination` what holds between stretches, `verdicts` what follows from it; `command` is the auditor's
program.
"""
