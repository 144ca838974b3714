"""The log's formats, each in a file of its own: records, tree, keys and notes, checkpoints, proofs. Pure.

Nothing here knows a database, a clock or a network; a reader accepts byte for byte what the writer writes, and no other
spelling. Import the files by name.
"""
