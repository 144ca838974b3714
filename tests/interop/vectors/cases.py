"""A vector of a whole log: an export, who looks at it, and what he must find."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from interop.vectors.small_log import SIGNER, SmallLog
from lockgate.audit.formats.notes import SeedSigner

Files = dict[str, bytes]


def policy_of(*signers: SeedSigner) -> str:
    """Return the policy of somebody who knows these keys and no witnesses."""
    return "".join(f"log {signer.verifier_key}\n" for signer in signers) + "quorum none\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Codes are those that must be reported; `integrity` is what `verdict` is, unless said."""

    files: Files
    policy: str = policy_of(SIGNER)
    held: tuple[bytes, ...] = ()  # checkpoints that the auditor got elsewhere
    verdict: str = "valid"
    integrity: str = ""
    completeness: str = "unverifiable"  # nothing from outside the log is at hand
    first_bad_seq: int | None = None
    verified_from_seq: int = 0
    codes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return what the file of vectors says."""
        return {
            "files": {path: lines_of(data) for path, data in self.files.items()},
            "policy": self.policy,
            "held": [note.decode() for note in self.held],
            "verdict": self.verdict,
            "integrity": self.integrity or self.verdict,
            "completeness": self.completeness,
            "first_bad_seq": self.first_bad_seq,
            "verified_from_seq": self.verified_from_seq,
            "codes": sorted(self.codes),
        }


def lines_of(data: bytes) -> list[str]:
    """Cut a file behind each newline."""
    lines = data.decode().split("\n")
    return [f"{line}\n" for line in lines[:-1]] + [lines[-1]] * bool(lines[-1])


def accused(first_bad_seq: int | None, code: str, files: Files, **more: Any) -> Case:
    """Return a case in which somebody is accused."""
    return Case(files=files, verdict="tampered", first_bad_seq=first_bad_seq, codes=(code,), **more)


def undecided(codes: tuple[str, ...], files: Files, policy: str, *, doubted: int | None = None) -> Case:
    """Return a case about which nothing can be said."""
    return Case(files=files, policy=policy, verdict="unverifiable", first_bad_seq=doubted, codes=codes)


def edited(log: SmallLog, path: str, change: Callable[[bytes], bytes]) -> Files:
    """Return a log's files with one changed."""
    files = log.files()
    changed = change(files[path])
    if changed == files[path]:
        raise AssertionError(f"want a change of {path}")
    return files | {path: changed}


def without(log: SmallLog, path: str) -> Files:
    """Return a log's files but one."""
    return {name: data for name, data in log.files().items() if name != path}
