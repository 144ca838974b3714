"""One question to a Prometheus: how often was each version used on one day. Never in the path of a decision.

The answer is somebody else's: bounded in size and number, read strictly. A sample that names no version is left out and
counted; an answer that is none is an error.

Source: Prometheus HTTP API, "Instant queries" and "Instant vectors".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

from lockgate.canonical_json import SAFE_INTEGER_MAX, MalformedJSONError, parse_json
from lockgate.clock import NS_PER_S, EpochNs
from lockgate.names import ENVIRONMENT, NAME
from lockgate.outbound import OutboundError, OutboundRequest, exchange, quote_answer
from lockgate.usage.errors import UsageSourceError
from lockgate.usage.settings import WINDOW, UsageSource
from lockgate.usage.types import DAY_NS, UsageKey, UsageRow, last_use

SAMPLES_MAX: Final = 10_000  # versions in use at once; ten times what a large platform serves
ANSWER_BYTES_MAX: Final = 8 * 1024 * 1024  # so many samples with names as long as may be
_ANSWER_DEPTH_MAX: Final = 8  # a sample's label lies five levels deep
_ANSWER_NODES_MAX: Final = 400_000  # forty for each sample: a dozen labels more than we need
_DETAIL_CHARS_MAX: Final = 200  # of Prometheus's own words, of a label


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a source counted.

    Attributes:
        rows: By version and environment.
        skipped: Samples that were left out.
        fault: What was wrong with the first of them; "" where there was none.
    """

    rows: tuple[UsageRow, ...]
    skipped: int
    fault: str


class _SampleError(Exception):
    """One sample cannot be used. Never leaves this file."""


def read_day_of(source: UsageSource, day: int, now: EpochNs) -> Reading:
    """Ask how often each version was used on a day: the whole of it, or so far.

    Args:
        source: Who is asked.
        day: Days since the epoch, begun at least a second before `now`.
        now: The time now.

    Raises:
        UsageSourceError: There is no answer within the limits, or it is not understood.
    """
    until_ns = min(now, (day + 1) * DAY_NS)
    window_s = (until_ns - day * DAY_NS) // NS_PER_S
    asked = {"query": source.query.replace(WINDOW, f"{window_s}s"), "time": str(until_ns // NS_PER_S)}
    samples = _ask(source, asked)
    rows, faults = [], []
    for sample in samples:
        try:
            rows.append(_read_sample(sample, source, day, now))
        except _SampleError as exc:
            faults.append(str(exc))
    return Reading(rows=tuple(rows), skipped=len(faults), fault=faults[0] if faults else "")


def _ask(source: UsageSource, asked: Mapping[str, str]) -> list[Any]:
    token = source.read_token()
    request = OutboundRequest(
        url=f"{source.url}/api/v1/query",
        timeout_s=source.timeout_s,
        answer_bytes_max=ANSWER_BYTES_MAX,
        body=urlencode(asked).encode(),
        authorization=None if token is None else f"Bearer {token}",
        content_type="application/x-www-form-urlencoded",
        ca_file=source.ca_file,
    )
    try:
        answer = exchange(request)
        document = parse_json(
            answer.body, bytes_max=ANSWER_BYTES_MAX, depth_max=_ANSWER_DEPTH_MAX, nodes_max=_ANSWER_NODES_MAX
        )
    except OutboundError as exc:
        raise UsageSourceError(str(exc)) from exc
    except MalformedJSONError as exc:
        raise UsageSourceError(f"want JSON within the limits, got status {answer.status} and something else") from exc
    if answer.status != HTTPStatus.OK or not isinstance(document, dict) or document.get("status") != "success":
        said = document.get("error") if isinstance(document, dict) else None
        words = f": {quote_answer(said, request)}" if isinstance(said, str) else ""
        raise UsageSourceError(f"want the answer of a query, got status {answer.status}{words}")
    data = document.get("data")
    samples = data.get("result") if isinstance(data, dict) and data.get("resultType") == "vector" else None
    if not isinstance(samples, list):
        raise UsageSourceError("want a query whose result is an instant vector, got another")
    if len(samples) > SAMPLES_MAX:
        raise UsageSourceError(f"want at most {SAMPLES_MAX} samples, got {len(samples)}")
    return samples


def _read_sample(sample: object, source: UsageSource, day: int, now: EpochNs) -> UsageRow:
    labels = sample.get("metric") if isinstance(sample, dict) else None
    pair = sample.get("value") if isinstance(sample, dict) else None
    if not isinstance(labels, dict) or not isinstance(pair, list) or len(pair) != 2:  # noqa: PLR2004 - time and value
        raise _SampleError("want a sample with labels and one value")
    count = _read_count(pair[1])
    key = UsageKey(
        model=_read_label(labels, "model", NAME),
        version=_read_label(labels, "version", NAME),
        environment=_read_label(labels, "environment", ENVIRONMENT),
        day=day,
        source=source.key,
    )
    return UsageRow(
        key=key,
        loads=count if source.counts == "loads" else 0,
        predictions=count if source.counts == "predictions" else 0,
        last=last_use(day, count, now),
    )


def _read_label(labels: Mapping[str, Any], name: str, form: re.Pattern[str]) -> str:
    value = labels.get(name)
    if not isinstance(value, str) or not form.fullmatch(value):
        raise _SampleError(f"want the label {name} of the form {form.pattern}, got {_quote(str(value))!r}")
    return value


def _read_count(text: object) -> int:
    # Prometheus writes numbers as text; what it makes of counters that began within the window is no whole number.
    try:
        count = float(text) if isinstance(text, str) else -1.0
    except ValueError:
        count = -1.0
    if not 0 <= count <= SAFE_INTEGER_MAX:  # neither is NaN
        raise _SampleError(f"want a count from 0 to {SAFE_INTEGER_MAX}, got {_quote(str(text))!r}")
    return round(count)


def _quote(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text[:_DETAIL_CHARS_MAX])
