"""A Feast registry server on loopback, as far as we ask one: made from Feast's documents and source, not from Feast.

It answers the two routes by name with what protobuf's JSON of a FeatureService and of a FeatureView looks like, and
with Feast's own form of errors.

Source: feast-dev/feast 0.67, sdk/python/feast/api/registry/rest: feature_services, feature_views, rest_registry_server.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from lockgate.lineage.feast import FeastStore
from lockgate.lineage.feature_stores import parse_feature_stores
from support.gate_server import Call, Reply, json_reply, serve_gate

PROJECT: Final = "fraud"
SERVICE: Final = "fraud_v7"
_META: Final = {"createdTimestamp": "2026-06-01T08:00:00Z", "lastUpdatedTimestamp": "2026-06-02T08:00:00Z"}


@dataclass
class FakeFeast:
    """What the registry holds, by name, in one project."""

    url: str = ""
    services: dict[str, dict[str, Any]] = field(default_factory=dict)
    views: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)

    def apply_view(self, name: str, **spec: Any) -> None:
        """Put a feature view there, or change it."""
        fields = {"name": name, "project": PROJECT, "owner": "risk-data@example.com", "ttl": "86400s", "online": True}
        features = [{"name": "amount", "valueType": "FLOAT"}]
        self.views[name] = {"spec": {**fields, "features": features, **spec}, "meta": _META, "type": "featureView"}

    def apply_service(self, name: str, *views: str) -> None:
        """Put a feature service of some views there."""
        features = [{"featureViewName": view, "featureColumns": [{"name": "amount"}]} for view in views]
        self.services[name] = {"spec": {"name": name, "project": PROJECT, "features": features}, "meta": _META}

    def answer(self, call: Call) -> Reply:
        """Answer one request."""
        self.calls.append(call)
        parts = urlsplit(call.path)
        held = {"feature_services": self.services, "feature_views": self.views}
        words = parts.path.split("/")
        if call.method != "GET" or words[:3] != ["", "api", "v1"] or len(words) != 5 or words[3] not in held:
            return _error(404, "Not Found", "HTTPException")
        if "project" not in parse_qs(parts.query):
            return _error(422, "Field required", "RequestValidationError")
        found = held[words[3]].get(unquote(words[4]))
        if found is None or parse_qs(parts.query)["project"] != [PROJECT]:
            return _error(404, f"{words[3]} {unquote(words[4])} does not exist", "FeastObjectNotFoundException")
        return json_reply(found)

    def store(self, **changes: Any) -> FeastStore:
        """Return our adapter to it."""
        table = {"name": "feast", "type": "feast", "url": self.url, "projects": [PROJECT], **changes}
        (settings,) = parse_feature_stores([table])
        return FeastStore(settings)


@contextlib.contextmanager
def running_feast() -> Iterator[FakeFeast]:
    """Serve one with a service of two sound views."""
    feast = FakeFeast()
    feast.apply_view("card_activity")
    feast.apply_view("merchant_risk", tags={"deprecated": "false"})
    feast.apply_service(SERVICE, "card_activity", "merchant_risk")
    with serve_gate(feast.answer) as server:
        feast.url = server.url
        yield feast


def _error(status: int, detail: str, error_type: str) -> Reply:
    return json_reply({"status_code": status, "detail": detail, "error_type": error_type}, status=status)
