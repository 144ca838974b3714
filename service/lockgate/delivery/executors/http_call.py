"""The executor that calls a deployer of somebody else: a signed order, and if wanted the question what runs.

The permit is the signature: a JWS that the deployer verifies with the gate's public keys, for exactly this version. The
same `Idempotency-Key` means the same order; a deployer that saw it answers as it did.
"""

from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

from lockgate.canonical_json import MalformedJSONError, canonicalize, parse_json
from lockgate.delivery.executors.errors import (
    ExecutorAnswerError,
    ExecutorRefusedError,
    ExecutorUnavailableError,
    PointerElsewhereError,
)
from lockgate.delivery.executors.port import Applied, Order, Seen
from lockgate.delivery.rollout_settings import RolloutSettings
from lockgate.outbound import Answer, OutboundError, OutboundRequest, exchange
from lockgate.promotion.types import WHOLE_PERCENT
from lockgate.schemas import SchemaError, check_schema

ANSWER_BYTES_MAX: Final = 64 * 1024  # what runs is said in some hundred bytes
_TAKEN: Final = frozenset({HTTPStatus.OK, HTTPStatus.ACCEPTED, HTTPStatus.NO_CONTENT})


class HTTPExecutor:
    """Calls one deployer."""

    def __init__(self, settings: RolloutSettings) -> None:
        self._settings = settings

    def apply(self, order: Order) -> Applied:
        """Post the order. That it is taken does not say that it is carried out. See `RolloutPort`."""
        request = OutboundRequest(
            url=self._settings.url,
            timeout_s=self._settings.timeout_s,
            answer_bytes_max=ANSWER_BYTES_MAX,
            body=canonicalize(_document(order)),
            headers={"Idempotency-Key": order.key},
            authorization=f"Bearer {order.permit}",
            content_type="application/json",
            ca_file=self._settings.ca_file,
        )
        answer = self._exchange(request)
        if answer.status == HTTPStatus.CONFLICT:
            raise PointerElsewhereError(f"rollout {self._settings.name}: the deployer says that something else runs")
        if answer.status not in _TAKEN:
            raise self._unexpected(answer)
        return Applied(former_version=order.former_version, percent=WHOLE_PERCENT)

    def observe(self, order: Order) -> Seen | None:
        """Ask what runs, if the deployer says so. See `RolloutPort`."""
        if not self._settings.observe_url:
            return None
        query = urlencode({"model": order.model, "environment": order.environment})
        request = OutboundRequest(
            url=f"{self._settings.observe_url}?{query}",
            timeout_s=self._settings.timeout_s,
            answer_bytes_max=ANSWER_BYTES_MAX,
            authorization=self._settings.read_authorization(),
            ca_file=self._settings.ca_file,
        )
        answer = self._exchange(request)
        if answer.status == HTTPStatus.NOT_FOUND:
            return Seen(is_ours=True, percent=WHOLE_PERCENT, is_ready=False, version="")
        if answer.status != HTTPStatus.OK:
            raise self._unexpected(answer)
        try:
            document: dict[str, Any] = parse_json(answer.body, bytes_max=ANSWER_BYTES_MAX)
            check_schema("v1/api/observation", document)
        except (MalformedJSONError, SchemaError) as exc:
            raise ExecutorAnswerError(f"rollout {self._settings.name}: want an observation: {exc}") from exc
        # Until the order is carried out something else runs there: that is to be waited for.
        return Seen(
            is_ours=True,
            percent=WHOLE_PERCENT,
            is_ready=document["digest"] == order.digest,
            version=document.get("version", ""),
        )

    def take_back(self, order: Order) -> None:
        """Do nothing: orders are for all traffic. See `RolloutPort`."""

    def _exchange(self, request: OutboundRequest) -> Answer:
        try:
            return exchange(request)
        except OutboundError as exc:
            raise ExecutorUnavailableError(f"rollout {self._settings.name}: {exc}") from exc

    def _unexpected(self, answer: Answer) -> ExecutorAnswerError | ExecutorRefusedError | ExecutorUnavailableError:
        said = f"rollout {self._settings.name}: got the status {answer.status}"
        if answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            return ExecutorRefusedError(said)
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR or answer.status == HTTPStatus.TOO_MANY_REQUESTS:
            return ExecutorUnavailableError(said)
        return ExecutorAnswerError(said)


def _document(order: Order) -> dict[str, Any]:
    """Write an order (schema `v1/api/rollout_order`)."""
    return {
        "schema_version": 1,
        "promotion_id": order.promotion_id,
        "model": order.model,
        "environment": order.environment,
        "version": order.version,
        "digest": order.digest,
        "registry": order.registry,
        "registry_model": order.registry_model,
        "alias": order.alias,
        "former_version": order.former_version,
        "percent": order.percent,
    }
