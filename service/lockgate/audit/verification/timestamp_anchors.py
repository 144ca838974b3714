"""Checking `log.anchor` records of type rfc3161 under the auditor's own roots. Pure.

This file alone of its room needs `rfc3161-client`; whoever has no roots of time-stamping authorities does not load it.
"""

from lockgate.audit.formats.timestamps import Timestamp, TimestampTrust, verify_timestamp
from lockgate.audit.verification.anchors import AnchorCheck, Attestation, check_no_anchor
from lockgate.clock import format_timestamp


def timestamp_check(trust: TimestampTrust) -> AnchorCheck:
    """Return a check of anchors that knows these authorities; it leaves other types unchecked."""

    def check(anchor_type: str, checkpoint: bytes, evidence: bytes) -> Attestation:
        if anchor_type != "rfc3161":
            return check_no_anchor(anchor_type, checkpoint, evidence)
        opened = verify_timestamp(evidence, checkpoint, trust)
        if isinstance(opened, Timestamp):
            detail = f"existed at {format_timestamp(opened.time)} (RFC 3161)"
            return Attestation(status="attested", detail=detail, time=opened.time)
        return Attestation(status="refused", detail=f"{opened.detail} [{opened.code}]")

    return check
