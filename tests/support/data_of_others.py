"""Test data of other projects, which is not ours to commit: used where it lies beside the repository."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import pytest

DATA: Final = Path(__file__).parents[2] / "../shared/data"
# The folder of each below `DATA`, and whose it is.
ORIGINS: Final = {
    "jcs": "cyberphone/json-canonicalization, testdata",
    "merkle": "transparency-dev/merkle, testdata",
    "sigstore": "bundles of sigstore-go, sigstore-python and model-transparency, with an index.tsv",
}


def cases_or_skip(name: str, cases: Iterable[Any]) -> list[Any]:
    """Return the cases of a parametrised test, or in their place one that is skipped and says what is missing."""
    reason = f"test vectors of others are missing, nothing was compared with them: shared/data/{name} ({ORIGINS[name]})"
    return list(cases) or [pytest.param(None, id="missing", marks=pytest.mark.skip(reason=reason))]
