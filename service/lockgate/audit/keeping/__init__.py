"""What a log's keepers do beside appending: heartbeats, anchors, cosignatures, key changes, recovery, erasing, pruning.

Each act is itself a record, and so is each read by a person. Outbound calls, to witnesses and timestamp authorities,
are made here and nowhere else. Import the files by name.
"""
