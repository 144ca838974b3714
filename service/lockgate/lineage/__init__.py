"""What versions were made of: snapshots, asked of registries and feature stores; the graph of them, and OpenLineage.

Promises: a snapshot counts only with its record in the main log; what a registry cannot say now makes no snapshot.

Stands on `registry`, which knows nothing of it. May be imported: `collecting` (asks, keeps, records), `job`, `recorded`
(the snapshot that the log knows), `snapshots` (what one holds), `graph`, `openlineage`, and of feature stores
`feature_stores` (settings and port) and `feast`. Not for others: `store`, which knows the rows.
"""
