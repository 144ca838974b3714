"""The executor that moves an InferenceService of KServe to another model, by shares of traffic.

It writes two fields of the service's spec and nothing else: where the predictor's files are, and the canary's share. A
source must be an image by the digest that was decided on, from a place that the settings name: whoever registers a
version names its source freely, and nobody but the cluster compares what is loaded, which it does for images alone. In
KServe's raw mode there are no shares: the version gets all traffic at once, and the record of the pointer says so (100
percent).

Source: KServe 0.16, `serving.kserve.io/v1beta1`, canary rollout strategy; Kubernetes API, JSON merge patch (RFC 7386).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, cast

import orjson

from lockgate.canonical_json import MalformedJSONError, parse_json
from lockgate.delivery.executors.errors import (
    ExecutorAnswerError,
    ExecutorRefusedError,
    ExecutorUnavailableError,
    OrderImpossibleError,
    PointerElsewhereError,
    SourceNotPinnedError,
    VersionGoneError,
)
from lockgate.delivery.executors.port import Applied, Order, Seen
from lockgate.delivery.rollout_settings import RolloutSettings
from lockgate.outbound import OutboundError, OutboundRequest, exchange
from lockgate.promotion.types import WHOLE_PERCENT
from lockgate.registry import RegistryAnswerError, RegistryPort
from lockgate.registry.answers import Fields

ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024  # etcd keeps no object above 1.5 MiB; as JSON with all its managed fields
ANSWER_DEPTH_MAX: Final = 64  # managed fields repeat the object's own depth
# What follows a place in the name of an image: the distribution specification's own form, without a tag.
_IMAGE: Final = re.compile(r"[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*", re.ASCII)
_MODE: Final = "serving.kserve.io/deploymentMode"
_RAW: Final = frozenset({"RawDeployment", "Standard"})  # of before and since KServe 0.16


@dataclass(frozen=True, slots=True, kw_only=True)
class _Service:
    """What an InferenceService says.

    Attributes:
        version: The object's, which grows with each change of it.
        source: Where the predictor's files are; "" if nobody said.
        percent: The canary's share as it is ordered; None where there is none, which means all.
        is_raw: Whether it has no shares of traffic.
        is_ready: Whether what is ordered serves, with the share that is ordered.
    """

    version: str
    source: str
    percent: int | None
    is_raw: bool
    is_ready: bool


class KServeExecutor:
    """Moves the InferenceServices that one table of the settings names."""

    def __init__(self, settings: RolloutSettings, registries: Mapping[str, RegistryPort]) -> None:
        self._settings = settings
        self._registries = registries

    def apply(self, order: Order) -> Applied:
        """Let the service load the order's version, with a share of traffic. See `RolloutPort`.

        The steps:
          (1) The version's source is an image by its digest, from a place that the settings name.
          (2) The service stands at what is live as the gate knows, or at the version already, or at something without
              traffic; a rollback takes back whatever is there.
          (3) Write, if nobody changed the service since it was read.
        """
        # (1) The source.
        source = self._pinned_source(order)
        # (2) Where it stands.
        service = self._read(order)
        self._check_stand(order, service, source)
        # (3) Write.
        percent = WHOLE_PERCENT if service.is_raw else order.percent
        share = None if percent == WHOLE_PERCENT else percent
        if (service.source, service.percent) != (source, share):
            self._write(order, service, {"canaryTrafficPercent": share, "model": {"storageUri": source}})
        return Applied(former_version=order.former_version, percent=percent)

    def observe(self, order: Order) -> Seen | None:
        """Return what the service is told to load, and whether it does. See `RolloutPort`."""
        service = self._read(order)
        is_ours = service.source == self._pinned_source(order)
        percent = WHOLE_PERCENT if service.percent is None else service.percent
        return Seen(
            is_ours=is_ours, percent=percent, is_ready=service.is_ready, version=order.version if is_ours else ""
        )

    def take_back(self, order: Order) -> None:
        """Let all traffic go to the revision of before, where it runs still. See `RolloutPort`."""
        service = self._read(order)
        if service.percent and service.source == self._pinned_source(order):
            self._write(order, service, {"canaryTrafficPercent": 0})

    def _pinned_source(self, order: Order) -> str:
        source = self._source(order, order.version)
        if source is None:
            raise VersionGoneError(f"want a version that registry {order.registry} has, got one that is not there")
        place, _, digest = source.rpartition("@")
        prefix = next((prefix for prefix in self._settings.sources if place.startswith(prefix)), None)
        if prefix is None or not _IMAGE.fullmatch(place.removeprefix(prefix)):
            raise SourceNotPinnedError(
                f"want an image by its digest from one of the sources of rollout {self._settings.name}, got another"
            )
        if digest != order.digest or not digest.startswith("sha256:"):
            raise SourceNotPinnedError("want an image by the digest that was decided on, got another or none")
        return source

    def _source(self, order: Order, version: str) -> str | None:
        if order.registry not in self._registries:
            raise OrderImpossibleError(f"want a [[registry]] table {order.registry[:40]!r}, got none")
        found = self._registries[order.registry].find_version(order.registry_model, version)
        return None if found is None else found.source

    def _check_stand(self, order: Order, service: _Service, source: str) -> None:
        if order.is_rollback or not order.former_version or service.source == source or service.percent == 0:
            return
        former = self._source(order, order.former_version)
        if former is not None and service.source != former:
            raise PointerElsewhereError(f"want the service at {order.former_version}, which is live, got another model")

    # --- the Kubernetes API ---------------------------------------------------------------------------------------

    def _read(self, order: Order) -> _Service:
        document = self._ask(order, "GET")
        try:
            return _read_service(Fields("InferenceService", document))
        except RegistryAnswerError as exc:
            raise ExecutorAnswerError(f"rollout {self._settings.name}: {exc}") from exc

    def _write(self, order: Order, service: _Service, predictor: Mapping[str, Any]) -> None:
        # With the object's version: the server refuses it if anybody changed the object since.
        patch = {"metadata": {"resourceVersion": service.version}, "spec": {"predictor": predictor}}
        self._ask(order, "PATCH", orjson.dumps(patch))

    def _ask(self, order: Order, method: str, body: bytes | None = None) -> dict[str, Any]:
        target = self._settings.services[order.model]
        path = f"/apis/serving.kserve.io/v1beta1/namespaces/{target.namespace}/inferenceservices/{target.name}"
        request = OutboundRequest(
            url=self._settings.url.rstrip("/") + path + ("?fieldManager=lockgate" if body is not None else ""),
            timeout_s=self._settings.timeout_s,
            answer_bytes_max=ANSWER_BYTES_MAX,
            body=body,
            method=method,
            authorization=self._settings.read_authorization(),
            content_type="application/merge-patch+json" if body is not None else None,
            ca_file=self._settings.ca_file,
        )
        name = self._settings.name
        try:
            answer = exchange(request)
        except OutboundError as exc:
            raise ExecutorUnavailableError(f"rollout {name}: {exc}") from exc
        match answer.status:
            case HTTPStatus.OK:
                return self._parse(answer.body)
            case HTTPStatus.NOT_FOUND:
                raise OrderImpossibleError(f"rollout {name}: want an InferenceService {target.namespace}/{target.name}")
            case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
                raise ExecutorRefusedError(f"rollout {name}: got the status {answer.status}")
            case HTTPStatus.CONFLICT:  # its controller writes there, too
                raise ExecutorUnavailableError(f"rollout {name}: somebody changed the service at the same moment")
            case status if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS:
                raise ExecutorUnavailableError(f"rollout {name}: got the status {status}")
            case status:
                raise ExecutorAnswerError(f"rollout {name}: got the status {status}")

    def _parse(self, body: bytes) -> dict[str, Any]:
        try:
            document = parse_json(body, bytes_max=ANSWER_BYTES_MAX, depth_max=ANSWER_DEPTH_MAX)
        except MalformedJSONError as exc:
            raise ExecutorAnswerError(f"rollout {self._settings.name}: {exc}") from exc
        if not isinstance(document, dict) or document.get("kind") != "InferenceService":
            raise ExecutorAnswerError(f"rollout {self._settings.name}: want an InferenceService")
        return cast("dict[str, Any]", document)


def _read_service(document: Fields) -> _Service:
    metadata, status = document.object("metadata"), document.object("status")
    predictor = document.object("spec").object("predictor")
    share = predictor.integer("canaryTrafficPercent")
    percent = None if predictor.values.get("canaryTrafficPercent") is None or share >= WHOLE_PERCENT else share
    mode = status.text("deploymentMode") or metadata.object("annotations").text(_MODE)
    is_raw = mode in _RAW
    return _Service(
        version=metadata.name("resourceVersion"),
        source=predictor.object("model").text("storageUri"),
        percent=percent,
        is_raw=is_raw,
        is_ready=_serves(metadata, status) and (is_raw or _has_share(status, percent)),
    )


def _serves(metadata: Fields, status: Fields) -> bool:
    # What is said of an older spec says nothing of this one.
    if status.integer("observedGeneration") != metadata.integer("generation"):
        return False
    loading = status.object("modelStatus").text("transitionStatus")
    ready = {item.text("type"): item.text("status") for item in status.objects("conditions")}
    return ready.get("Ready") == "True" and loading in {"", "UpToDate"}


def _has_share(status: Fields, percent: int | None) -> bool:
    predictor = status.object("components").object("predictor")
    if predictor.text("latestCreatedRevision") != predictor.text("latestReadyRevision"):
        return False
    newest = [item.integer("percent") for item in predictor.objects("traffic") if item.flag("latestRevision")]
    return sum(newest) == (WHOLE_PERCENT if percent is None else percent)
