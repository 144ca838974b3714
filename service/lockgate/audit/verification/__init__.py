"""Whoever holds records and a public key verifies here: whole logs, exports, single receipts. No database, no server.

Import the files by name.
"""
