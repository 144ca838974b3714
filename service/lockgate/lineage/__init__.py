"""What versions were made of: snapshots, asked of registries and feature stores; the graph of them, and OpenLineage.

Promises: a snapshot counts only with its record in the main log; what a registry cannot say now makes no snapshot.
"""
