"""Reading a log: records, receipts, proofs, tiles, exports and views. Needs no signing key and changes nothing.

Import the files by name.
"""
