"""Sigstore bundles over checkpoints, by a program of the operator's.

To sign takes an identity, the network and Sigstore's own client; the log has none of these. A program that has them
gets the checkpoint's bytes and writes a bundle over them, and what comes is believed as an auditor would believe it.
"""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from lockgate.audit.errors import ProgramError
from lockgate.audit.programs import ask_program
from lockgate.audit.verification.anchors import AnchorCheck
from lockgate.clock import EpochNs

TIMEOUT_S: Final = 60.0  # a transparency log answers within twenty seconds, and a client may ask it more than once

BundleRefusalCode: TypeAlias = Literal[
    "audit.program_failed",  # it cannot be started, failed, or did not answer in time
    "audit.bundle_refused",  # what it wrote is no bundle over the checkpoint that the trust domain verifies
]


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleProgram:
    """Who is asked for bundles, and what believes them."""

    command: tuple[str, ...]  # the program and its arguments; no shell reads them
    check: AnchorCheck  # of type sigstore
    bundle_bytes_max: int
    timeout_s: float = TIMEOUT_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A bundle that verified."""

    evidence: bytes
    time: EpochNs | None  # when the checkpoint was signed, by the clock of a transparency log or an authority
    detail: str  # by whom


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleRefusal:
    """Why there is no bundle."""

    code: BundleRefusalCode
    detail: str


def ask_for_bundle(note: bytes, program: BundleProgram) -> Bundle | BundleRefusal:
    """Have a checkpoint signed.

    Args:
        note: The checkpoint, exact bytes.
        program: By whom.
    """
    try:
        evidence = ask_program(
            program.command, note, timeout_s=program.timeout_s, answer_bytes_max=program.bundle_bytes_max
        )
    except ProgramError as exc:
        return BundleRefusal(code="audit.program_failed", detail=str(exc))
    attestation = program.check("sigstore", note, evidence)
    if attestation.status != "attested":
        return BundleRefusal(code="audit.bundle_refused", detail=attestation.detail)
    return Bundle(evidence=evidence, time=attestation.time, detail=attestation.detail)
