"""Vectors of the tree: roots, inclusion and consistency."""

from typing import Any

from interop.vectors.small_log import SmallLog
from lockgate.audit.formats.merkle import EMPTY_ROOT, consistency_spans, inclusion_spans, leaf_hash

_SIZE_MAX = 9  # every shape of a tree of up to four levels, and the first of five


def tree() -> dict[str, Any]:
    """Return the file."""
    log = SmallLog(records=[b"record %d" % seq for seq in range(_SIZE_MAX)])
    sizes = range(1, _SIZE_MAX + 1)
    return {
        "description": "Section 2, and RFC 9162 sections 2.1.3 and 2.1.4. Leaf n is the ASCII text 'record n'. "
        "`roots` begins with that of size 0; hashes are hex.",
        "leaves": [leaf_hash(record).hex() for record in log.records],
        "roots": [EMPTY_ROOT.hex(), *(log.root(0, size).hex() for size in sizes)],
        "inclusion": [
            {"index": index, "size": size, "path": [log.root(*span).hex() for span in inclusion_spans(index, size)]}
            for size in sizes
            for index in range(size)
        ],
        "consistency": [
            {"old": old, "new": new, "path": [log.root(*span).hex() for span in consistency_spans(old, new)]}
            for new in sizes
            for old in range(1, new + 1)
        ],
    }
