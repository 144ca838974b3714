"""Sending a record of ours to the gate's log over HTTP, and believing the answer by its receipt."""

import time
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

import requests

from access_reviews.decisions import RECEIPT_BYTES_MAX, read_receipt
from access_reviews.reviews import KIND
from lockgate.audit import Receipt, VerifierKey, verify_receipt

ANSWER_S_MAX: Final = 10.0  # for each single attempt
_PAUSE_S: Final = 0.5  # between two attempts
_RECORDED: Final = (HTTPStatus.OK, HTTPStatus.CREATED)  # again, or for the first time


class NotRecordedError(Exception):
    """The gate did not record it, or its answer does not prove that it did."""


def send_record(
    record: dict[str, Any], *, url: str, token: str, gate_keys: Sequence[VerifierKey], patience_s: float
) -> Receipt:
    """Record in the gate's log what a record of our own log says, under the same id.

    Sent twice it is one record, so that whatever is lost on the way can be sent again: a gate that is busy or away is
    asked again until `patience_s` seconds have passed.

    Raises:
        NotRecordedError: The record is no access review; or the gate refuses it, stays away, or answers with something
            else than a receipt for it.
        AuditError: The answer's receipt proves nothing.
    """
    if record["kind"] != KIND:
        raise NotRecordedError(f"want a record of kind {KIND}, got {record['kind']}")
    event = {"schema_version": 1, **{name: record[name] for name in ("kind", "id", "subject", "body")}}
    deadline = time.monotonic() + patience_s
    while True:
        status, answer = _post(f"{url}/v1/audit/records", token, event)
        if status in _RECORDED:
            break
        if status not in {0, HTTPStatus.SERVICE_UNAVAILABLE} or time.monotonic() >= deadline:
            raise NotRecordedError(f"the gate answered {status}: {answer[:500].decode(errors='replace')}")
        time.sleep(_PAUSE_S)
    receipt = read_receipt(answer)
    theirs = verify_receipt(receipt, gate_keys)
    if any(theirs[name] != record[name] for name in ("kind", "id", "subject", "body")):
        raise NotRecordedError("the gate's receipt is for another record than the one that was sent")
    return receipt


def _post(url: str, token: str, event: dict[str, Any]) -> tuple[int, bytes]:
    """Return the status, 0 without an answer, and the answer."""
    with requests.Session() as session:
        session.trust_env = False  # no proxy and no .netrc of the surroundings sees the token
        try:
            answer = session.post(
                url,
                json=event,
                headers={"Authorization": f"Bearer {token}"},
                timeout=ANSWER_S_MAX,
                allow_redirects=False,
                stream=True,
            )
            return answer.status_code, next(answer.iter_content(RECEIPT_BYTES_MAX), b"")
        except requests.RequestException as exc:
            return 0, type(exc).__name__.encode()
