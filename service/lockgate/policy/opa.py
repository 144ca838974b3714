"""OPA over HTTP: `opa-python-client`, with what it leaves open closed.

- No proxy, no `.netrc`, no redirect: the decision comes from the configured address or not at all.
- The whole call has one deadline. The client's own time-out starts anew with every byte.
- An answer has a largest size and one reading: no duplicate keys, no NaN.
- A failing built-in is an error (`strict-builtin-errors`), not an empty set.
- The revision is the one that the answer states (`provenance`), never the one that was configured.
- Undefined, failed, too late and nonsense are four different errors.

No policy is ever uploaded from here: OPA gets it as a bundle (`lockgate policy build` writes one).
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, Final, cast

import requests
import urllib3
from opa_client.opa import OpaClient
from requests.adapters import HTTPAdapter

from lockgate.canonical_json import MalformedJSONError, parse_json
from lockgate.policy.authorization import authz_bytes, parse_authz_result
from lockgate.policy.deadlines import DeadlineGuard
from lockgate.policy.documents import input_bytes, parse_result
from lockgate.policy.errors import (
    PolicyEvaluationError,
    PolicyInvalidError,
    PolicyUnavailableError,
    PolicyUndefinedError,
)
from lockgate.policy.types import (
    AUTHZ_DECISION,
    PROMOTION_DECISION,
    AuthzInput,
    AuthzResult,
    CompiledPolicy,
    PolicyCatalogue,
    PolicyInput,
    PolicyResult,
)

ANSWER_BYTES_MAX: Final = 1024 * 1024  # the largest result of the schema's limits, its envelope, and room
CONNECTIONS: Final = 16  # kept alive; a request beyond waits for one
RETRIES: Final = 1  # a decision is pure, so asking again is harmless; more only hides an ailing OPA
BACKOFF_S: Final = 0.05  # between the two
VERSION_CHARS_MAX: Final = 64  # as in the decision's schema
_QUERY: Final = {"strict-builtin-errors": "true", "provenance": "true"}


@dataclass(frozen=True, slots=True, kw_only=True)
class OPAServer:
    """Where OPA listens."""

    host: str
    port: int
    tls: bool = False
    ca_file: Path | None = None  # the only authorities trusted with TLS; None: the system's
    token: str | None = field(default=None, repr=False)


class HardenedSession(requests.Session):
    """A session that leaves its address, its deadline and its size limit to nobody else.

    Every call must be made in a thread that has called `start` before.
    """

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False
        self.max_redirects = 0
        # One encoding: a compressed answer has a second, larger size.
        self.headers["Accept-Encoding"] = "identity"
        self._local = threading.local()

    def start(self, timeout_s: float) -> None:
        """Begin the budget of this thread's next call."""
        self._local.deadline = monotonic() + timeout_s

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # noqa: ANN401 - as inherited
        """Send a request and read its answer within the budget and the size limit.

        Raises:
            PolicyUnavailableError: The time is up, or the connection broke off.
            PolicyInvalidError: The answer is too large, or it is a success that is not strict JSON.
        """
        response = super().send(request, **{**options, "timeout": self._remaining(), "stream": True})
        if response.is_redirect:
            return response  # the caller's loop over redirects ends it
        content = bytearray()
        try:
            # read1 returns after one read of the socket, so that a dripping answer meets the deadline.
            while chunk := response.raw.read1(ANSWER_BYTES_MAX, decode_content=False):
                content += chunk
                if len(content) > ANSWER_BYTES_MAX:
                    raise PolicyInvalidError(f"want at most {ANSWER_BYTES_MAX} bytes from OPA")
                self._remaining()
        except (urllib3.exceptions.HTTPError, OSError) as exc:
            raise PolicyUnavailableError(f"OPA's answer broke off: {type(exc).__name__}") from exc
        finally:
            response.close()
        response._content = bytes(content)  # noqa: SLF001 - where requests keeps a body that was read
        if response.ok:
            try:
                parse_json(response.content, bytes_max=ANSWER_BYTES_MAX)
            except MalformedJSONError as exc:
                raise PolicyInvalidError(f"OPA's answer: {exc}") from exc
        return response

    def _remaining(self) -> float:
        remaining = cast("float", self._local.deadline) - monotonic()
        if remaining <= 0:
            raise PolicyUnavailableError("no policy answer in time")
        return remaining


class HardenedOPAClient(OpaClient):  # type: ignore[misc]  # the library is untyped
    """The library's client over a hardened session. Pinned to 3.0: `_init_session` is its private extension point."""

    def __init__(self, server: OPAServer) -> None:
        self._ca_file = server.ca_file
        super().__init__(host=server.host, port=server.port, ssl=server.tls, token=server.token, retries=RETRIES)

    def start(self, timeout_s: float) -> None:
        """Begin the budget of this thread's next call."""
        self._session.start(timeout_s)

    def _init_session(self) -> HardenedSession:
        session = HardenedSession()
        session.headers.update(self.headers or {})
        session.verify = str(self._ca_file) if self._ca_file else True
        retry = urllib3.Retry(
            total=RETRIES,
            status=0,
            redirect=0,
            allowed_methods=frozenset({"POST"}),
            backoff_factor=BACKOFF_S,
            raise_on_status=False,
        )
        session.adapters.clear()  # no other scheme than the configured one
        session.mount(
            self.schema,
            HTTPAdapter(pool_connections=1, pool_maxsize=CONNECTIONS, pool_block=True, max_retries=retry),
        )
        return session


class OPAEngine:
    """`PolicyEngine` by an OPA server that runs the bundle of the same policy revision."""

    name: Final = "opa-http"

    def __init__(self, compiled: CompiledPolicy, server: OPAServer) -> None:
        self._catalogue = compiled.catalogue
        self._client = HardenedOPAClient(server)
        self._guard = DeadlineGuard()

    def catalogue(self) -> PolicyCatalogue:
        """Return the revision that OPA must run, and its rules; every evaluation makes sure that it does."""
        return self._catalogue

    def evaluate(self, document: PolicyInput, *, timeout_s: float) -> PolicyResult:
        """Evaluate what is decided on a promotion; see `PolicyEngine.evaluate`."""
        input_bytes(document)  # refused before it is sent, by the same limits as in the other engine
        result, version = self._value(PROMOTION_DECISION, document, timeout_s)
        return parse_result(
            result,
            document=document,
            catalogue=self._catalogue,
            engine=self.name,
            engine_version=version,
        )

    def authorize(self, document: AuthzInput, *, timeout_s: float) -> AuthzResult:
        """Evaluate whether a call is permitted; see `PolicyEngine.authorize`."""
        authz_bytes(document)  # as above
        result, _ = self._value(AUTHZ_DECISION, document, timeout_s)
        return parse_authz_result(result, document=document, revision=self._catalogue.revision)

    def close(self) -> None:
        """Close the connections."""
        self._client.close_connection()

    def _value(self, entrypoint: str, document: Mapping[str, Any], timeout_s: float) -> tuple[object, str]:
        """Return an entrypoint's value by the revision that is wanted, unchecked, and OPA's version."""
        answer = self._guard.run(lambda: self._ask(entrypoint, document, timeout_s), timeout_s)
        revisions, version = _provenance(answer)
        # A bundle that is known and another one is a different fault than no policy at all.
        if revisions and self._catalogue.revision not in revisions:
            raise PolicyUnavailableError("OPA runs another policy revision")
        if "result" not in answer:
            raise PolicyUndefinedError("OPA has no value at the entrypoint")
        if not revisions:
            raise PolicyUnavailableError("want OPA to state its policy revision: run it with the built bundle")
        return answer["result"], version

    def _ask(self, entrypoint: str, document: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        *package, rule = entrypoint.split("/")
        self._client.start(timeout_s)
        try:
            answer = self._client.query_rule(dict(document), ".".join(package), rule, query_params=_QUERY)
        except requests.HTTPError as exc:
            raise _failure(exc.response) from exc
        except requests.RequestException as exc:
            raise PolicyUnavailableError(f"OPA cannot be reached: {type(exc).__name__}") from exc
        if not isinstance(answer, dict):
            raise PolicyInvalidError("want a JSON object from OPA")
        return answer


def _failure(response: requests.Response) -> PolicyEvaluationError | PolicyUnavailableError:
    """Tell a policy that failed from a server that did.

    Source: OPA's REST API, "Errors": evaluation errors have the status 500 and codes that begin with `eval_`.
    """
    try:
        said = parse_json(response.content, bytes_max=ANSWER_BYTES_MAX)
        codes = [error["code"] for error in said["errors"]]
    except (MalformedJSONError, KeyError, TypeError):
        codes = []
    if codes and all(isinstance(code, str) and code.startswith("eval_") for code in codes):
        return PolicyEvaluationError(f"OPA failed to evaluate the policy: {codes[0][:64]}")
    return PolicyUnavailableError(f"want the status 200 from OPA, got {response.status_code}")


def _provenance(answer: dict[str, Any]) -> tuple[set[str], str]:
    """Return the revisions of the bundles that OPA runs, and its version."""
    provenance = answer.get("provenance")
    if not isinstance(provenance, dict):
        return set(), ""
    bundles = provenance.get("bundles")
    revisions = {
        bundle["revision"]
        for bundle in (bundles.values() if isinstance(bundles, dict) else ())
        if isinstance(bundle, dict) and isinstance(bundle.get("revision"), str)
    }
    version = provenance.get("version")
    return revisions, version[:VERSION_CHARS_MAX] if isinstance(version, str) else ""
