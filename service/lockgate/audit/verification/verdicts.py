"""From what an examination found to an auditor's verdict. Pure.

integrity     the records are byte for byte those that the log's key signed, and none is missing between them
completeness  they reach as far as somebody outside the log saw it reach
freshness     the newest record is as new as the log promised, or as the auditor demands
"""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from lockgate.audit.types import Verdict, Verification
from lockgate.audit.verification.examination import Examination
from lockgate.audit.verification.findings import COMPLETENESS_CODES, TAMPERED_CODES, Findings
from lockgate.audit.verification.own_checkpoints import GoodCheckpoint
from lockgate.clock import NS_PER_S, EpochNs, parse_timestamp
from lockgate.digests import Sha256Hex

Dimension: TypeAlias = Literal["integrity", "completeness", "freshness"]
DIMENSIONS: Final[tuple[Dimension, ...]] = ("integrity", "completeness", "freshness")
LOGS_TOLD_MAX: Final = 64  # in one note; a gate has no more at once
CLOCK_ERROR_S_MAX: Final = 300  # two clocks that differ by more are not both right


@dataclass(frozen=True, slots=True, kw_only=True)
class Demands:
    """What an auditor wants to be sure of, beside integrity."""

    required: tuple[Dimension, ...] = ()
    now: EpochNs | None = None  # by the auditor's clock; without it freshness cannot be judged
    age_s_max: int | None = None  # of the newest record; without it the log's own promise counts
    clock_error_s_max: int = CLOCK_ERROR_S_MAX  # by which the log's clock, an anchor's and the auditor's may differ

    def all_required(self) -> frozenset[Dimension]:
        """Return what must be valid: integrity always, and freshness where an age is given."""
        implied: frozenset[Dimension] = frozenset(
            {"integrity"} if self.age_s_max is None else {"integrity", "freshness"}
        )
        return implied | frozenset(self.required)


def conclude(  # noqa: PLR0913 - each is one thing that was found or asked
    examination: Examination,
    findings: Findings,
    good: GoodCheckpoint | None,
    demands: Demands,
    *,
    verified_from: int,
    has_quorum: bool,
) -> Verification:
    """Give the verdict. To be called once, when everything is read."""
    freshness = _freshness(examination, demands)
    _add_notes(examination, findings, verified_from=verified_from, has_quorum=has_quorum)
    integrity = _integrity(findings)
    completeness = _completeness(examination, findings)
    not_met = {"integrity": integrity, "completeness": completeness, "freshness": freshness}
    verdict: Verdict = "valid"
    if "tampered" in (integrity, completeness):
        verdict = "tampered"
    elif any(not_met[dimension] != "valid" for dimension in demands.all_required()):
        verdict = "unverifiable"
    problems = findings.problems
    accused = [problem for problem in problems if problem.code in TAMPERED_CODES]
    doubted = [problem.seq for problem in accused or problems if problem.seq is not None]
    return Verification(
        verdict=verdict,
        integrity=integrity,
        completeness=completeness,
        freshness=freshness,
        log=examination.log,
        size=examination.size,
        verified_from_seq=verified_from,
        checkpoint_size=good.size if good else None,
        outside_size=examination.outside_size,
        root_sha256=Sha256Hex(good.root.hex()) if good else None,
        newest_ts=examination.ts or None,
        first_bad_seq=min(doubted, default=None),
        problems=problems,
        notes=findings.notes,
    )


def _integrity(findings: Findings) -> Verdict:
    codes = {problem.code for problem in findings.problems} - COMPLETENESS_CODES
    return "tampered" if codes & TAMPERED_CODES else "unverifiable" if codes else "valid"


def _completeness(examination: Examination, findings: Findings) -> Verdict:
    if any(findings.has(code) for code in COMPLETENESS_CODES):
        return "tampered"
    if examination.is_broken or examination.outside_size is None:
        return "unverifiable"
    return "valid"


def _freshness(examination: Examination, demands: Demands) -> Literal["valid", "stale", "unverifiable"]:
    limit_s = demands.age_s_max if demands.age_s_max is not None else examination.interval_s
    if examination.is_broken or not examination.ts or demands.now is None or limit_s is None:
        return "unverifiable"
    age_ns = demands.now - parse_timestamp(examination.ts)
    if age_ns < -demands.clock_error_s_max * NS_PER_S:
        return "unverifiable"  # by one of the two clocks, and there is no telling which
    return "stale" if age_ns > limit_s * NS_PER_S else "valid"


def _add_notes(examination: Examination, findings: Findings, *, verified_from: int, has_quorum: bool) -> None:
    begin, size = examination.outside_size or verified_from, examination.size
    if begin < size:
        findings.note("unanchored", f"nobody outside the log vouches for the records from {begin} up to {size - 1}")
    if not has_quorum:
        findings.note("not_split_view_resistant", "no quorum of witnesses says that others were shown the same log")
    if verified_from:
        findings.note("pruned", f"records before {verified_from} were deleted; nothing is said of them but their root")
    if examination.erased_count:
        findings.note("erased", f"{examination.erased_count} documents are gone, as later records say")
    for code, unchecked in (
        ("anchors_not_checked", examination.unchecked_anchors),
        ("bodies_not_checked", examination.unchecked_bodies),
    ):
        if unchecked:
            findings.note(code, "; ".join(f"{count}: {why}" for why, count in sorted(unchecked.items())))
    for code, is_named, detail in (
        ("other_logs", True, "its gate has other logs, which it names: {names}; verify them too"),
        ("log_gone", False, "its gate had logs that its newest heartbeat does not name: {names}; ask where they are"),
    ):
        names = sorted(name for name, named in examination.other_logs.items() if named is is_named)
        if names:
            findings.note(code, detail.format(names=", ".join(names[:LOGS_TOLD_MAX])))
    if examination.silences:
        more = examination.silence_count - len(examination.silences)
        findings.note("silence", "; ".join([*examination.silences, *([f"and {more} more"] if more else [])]))
    behind = examination.behind()
    if behind is not None:
        findings.note("held_not_compared", f"a checkpoint over {behind} records covers less than what was deleted")
