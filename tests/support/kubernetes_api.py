"""A stand-in for a Kubernetes API server with KServe, made from their documented behaviour; it was never a cluster.

It knows one InferenceService: GET, and JSON merge patch with the object's version compared. What KServe's controller
does (new revisions, their traffic, conditions) happens when a test says `settle`.
"""

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from lockgate.canonical_json import parse_json

PATH: Final = "/apis/serving.kserve.io/v1beta1/namespaces/serving/inferenceservices/fraud"
TOKEN: Final = "a-service-account-token"
_BODY_BYTES_MAX: Final = 65_536


@dataclass
class FakeKubernetes:
    """The service as the server holds it.

    Attributes:
        mode: The deployment mode that the status shows; "" = none.
        fails: Answer with this status instead; 0 = do as asked.
        patches: Those that were taken.
    """

    url: str
    mode: str = ""
    fails: int = 0
    patches: list[dict[str, Any]] = field(default_factory=list)
    document: dict[str, Any] = field(default_factory=dict)
    _rolled_out: int = 0

    def put(self, source: str) -> None:
        """Let it serve a model with all traffic."""
        self.document = {
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            "metadata": {"name": "fraud", "generation": 1, "resourceVersion": "100", "annotations": {}},
            "spec": {"predictor": {"model": {"modelFormat": {"name": "sklearn"}, "storageUri": source}}},
            "status": {},
        }
        self.settle()

    def settle(self, *, ready: bool = True) -> None:
        """Do what KServe's controller does until nothing is left to do; or until the newest revision fails."""
        metadata, predictor = self.document["metadata"], self.document["spec"]["predictor"]
        created = f"fraud-predictor-{metadata['generation']:05}"
        share = predictor.get("canaryTrafficPercent")
        before = f"fraud-predictor-{self._rolled_out or metadata['generation']:05}"
        traffic = [{"latestRevision": True, "percent": 100 if share is None else share, "revisionName": created}]
        if share is not None and share != 100:
            traffic.append({"latestRevision": False, "percent": 100 - share, "revisionName": before, "tag": "prev"})
        elif ready:
            self._rolled_out = metadata["generation"]
        metadata["resourceVersion"] = str(int(metadata["resourceVersion"]) + 1)
        component = {
            "latestCreatedRevision": created,
            "latestReadyRevision": created if ready else before,
            "traffic": traffic,
        }
        self.document["status"] = {
            "observedGeneration": metadata["generation"],
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
            "components": {} if self.mode in {"RawDeployment", "Standard"} else {"predictor": component},
            "modelStatus": {"transitionStatus": "UpToDate" if ready else "BlockedByFailedLoad"},
            **({"deploymentMode": self.mode} if self.mode else {}),
        }

    def patch(self, patch: dict[str, Any]) -> int:
        """Apply a merge patch; return the status."""
        metadata = self.document["metadata"]
        wanted = patch.get("metadata", {}).pop("resourceVersion", metadata["resourceVersion"])
        if wanted != metadata["resourceVersion"]:
            return 409
        before = json.dumps(self.document["spec"])
        _merge(self.document, patch)
        if json.dumps(self.document["spec"]) != before:
            metadata["generation"] += 1
            metadata["resourceVersion"] = str(int(metadata["resourceVersion"]) + 1)
        self.patches.append(patch)
        return 200


def _merge(target: dict[str, Any], patch: dict[str, Any]) -> None:
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict):
            _merge(target.setdefault(key, {}), value)
        else:
            target[key] = value


@contextlib.contextmanager
def running_kubernetes() -> Iterator[FakeKubernetes]:
    """Serve it on a loopback port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(self._check(), fake.document)

        def do_PATCH(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = self._check()
            if self.headers["Content-Type"] != "application/merge-patch+json":
                status = status or 415
            self._answer(status or fake.patch(parse_json(body, bytes_max=_BODY_BYTES_MAX)), fake.document)

        def log_message(self, *_: object) -> None:
            pass

        def _check(self) -> int:
            if self.headers["Authorization"] != f"Bearer {TOKEN}":
                return 401
            return fake.fails or (0 if self.path.partition("?")[0] == PATH and fake.document else 404)

        def _answer(self, status: int, document: dict[str, Any]) -> None:
            good = status in {0, 200}
            body = json.dumps(document if good else {"kind": "Status", "code": status}).encode()
            self.send_response(status or 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        fake = FakeKubernetes(url=f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield fake
        finally:
            server.shutdown()
            thread.join()
