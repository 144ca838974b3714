"""The vectors' files, and writing them. Pure but for the writing: the same bytes each time."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from interop.vectors.checkpoints import checkpoints
from interop.vectors.disclosures import disclosures
from interop.vectors.keys import keys
from interop.vectors.logs import logs
from interop.vectors.permits import permits
from interop.vectors.receipts import receipts, tlog_proofs
from interop.vectors.records import records
from interop.vectors.tree import tree
from interop.vectors.witnessed import cosigned, policies

FILES: Final[Mapping[str, Callable[[], dict[str, Any]]]] = {
    "checkpoints.json": checkpoints,
    "cosigned.json": cosigned,
    "disclosures.json": disclosures,
    "keys.json": keys,
    "logs.json": logs,
    "permits.json": permits,
    "policies.json": policies,
    "receipts.json": receipts,
    "records.json": records,
    "tlog_proofs.json": tlog_proofs,
    "tree.json": tree,
}


def write_vectors(folder: Path) -> None:
    """Write every file into a folder that exists."""
    for name, make in FILES.items():
        (folder / name).write_text(f"{json.dumps(make(), indent=1)}\n", encoding="ascii")
