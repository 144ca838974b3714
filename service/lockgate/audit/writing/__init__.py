"""Writing a log: jobs in groups, chained, stored, read back and signed in one transaction. Needs the signing key.

Import the files by name; `log.AuditLog` is the way in.
"""
