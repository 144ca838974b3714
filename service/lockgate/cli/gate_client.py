"""The HTTP API seen from outside: one exchange, bounded in time and size, its answer checked against its schema."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import requests

from lockgate.canonical_json import MalformedJSONError, parse_json
from lockgate.cli.errors import AnswerInvalidError, GateUnreachableError, ProblemError
from lockgate.errors import ConfigError
from lockgate.outbound_urls import is_loopback
from lockgate.schemas import SchemaError, check_schema

ANSWER_BYTES_MAX: Final = 512 * 1024  # a decision, its record twice over as a JSON string, two receipts; with room
_READ_BYTES: Final = 16 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class GateClient:
    """One gate, as one principal may speak to it.

    Attributes:
        url: `https://host[:port][/path]`, or `http://` to this machine alone: the token must not cross a network bare.
        token: The bearer token; None to be nobody.
        ca_file: Certificates to trust instead of the usual ones; None for the usual ones.
        timeout_s: For one whole exchange, in seconds, however the answer trickles.
    """

    url: str
    token: str | None = field(repr=False)
    ca_file: Path | None
    timeout_s: float

    def __post_init__(self) -> None:
        """Refuse an address that the token must not be sent to.

        Raises:
            ConfigError: `url` is not an address of the forms above.
        """
        try:
            parts = urlsplit(self.url)
            host, _ = parts.hostname or "", parts.port
        except ValueError as exc:
            raise ConfigError("want --url as https://host[:port], got something else") from exc
        if parts.username is not None or parts.query or parts.fragment or not host:
            raise ConfigError("want --url as https://host[:port], without user, query and fragment")
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
            raise ConfigError("want --url with https; http only to this machine (localhost, 127.0.0.1, ::1)")

    def request_promotion(self, document: Mapping[str, Any], idempotency_key: str) -> dict[str, Any]:
        """Ask for a promotion; return a `promotion_answer`.

        Raises:
            GateUnreachableError: No whole answer came in time. The request may have been decided: send the same key.
            ProblemError: The gate made no decision.
            AnswerInvalidError: The answer is not one of a gate.
        """
        return self.call(
            "POST",
            "/v1/promotions",
            document,
            answers={HTTPStatus.CREATED: "promotion_answer", HTTPStatus.ACCEPTED: "promotion_answer"},
            headers={"Idempotency-Key": idempotency_key},
        )

    def forecast(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Ask what would be decided; return a `dry_run_answer`. Raises as `request_promotion`."""
        return self.call("POST", "/v1/decisions:dry-run", document, answers={HTTPStatus.OK: "dry_run_answer"})

    def read_promotion(self, promotion_id: str) -> dict[str, Any]:
        """Return the `promotion_answer` of one promotion. Raises as `request_promotion`."""
        return self.call("GET", f"/v1/promotions/{promotion_id}", None, answers={HTTPStatus.OK: "promotion_answer"})

    def approve(self, promotion_id: str, document: Mapping[str, Any]) -> dict[str, Any]:
        """Approve or reject; return an `approval_answer`. Raises as `request_promotion`."""
        path = f"/v1/promotions/{promotion_id}/approvals"
        return self.call("POST", path, document, answers={HTTPStatus.CREATED: "approval_answer"})

    def withdraw(self, promotion_id: str, document: Mapping[str, Any]) -> dict[str, Any]:
        """Take a request back; return a `withdrawal_answer`. Raises as `request_promotion`."""
        path = f"/v1/promotions/{promotion_id}/withdraw"
        return self.call("POST", path, document, answers={HTTPStatus.OK: "withdrawal_answer"})

    def read_me(self) -> dict[str, Any]:
        """Return who the token stands for, a `me`. Raises as `request_promotion`."""
        return self.call("GET", "/v1/me", None, answers={HTTPStatus.OK: "me"})

    def read_login(self) -> dict[str, Any]:
        """Return whom people log in with, a `login`. Raises as `request_promotion`."""
        return self.call("GET", "/v1/login", None, answers={HTTPStatus.OK: "login"})

    def record_usage(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Tell how often versions were used; return a `usage_answer`. Raises as `request_promotion`."""
        return self.call("POST", "/v1/usage", document, answers={HTTPStatus.OK: "usage_answer"})

    def list_usage(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Return a page of counts, a `usage_list`. Raises as `request_promotion`."""
        return self.call("GET", f"/v1/usage?{urlencode(query)}", None, answers={HTTPStatus.OK: "usage_list"})

    def list_idle(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Return a page of versions that nobody seems to use, an `idle_list`. Raises as `request_promotion`."""
        return self.call("GET", f"/v1/usage/idle?{urlencode(query)}", None, answers={HTTPStatus.OK: "idle_list"})

    def call(
        self,
        method: str,
        path: str,
        document: Mapping[str, Any] | None,
        *,
        answers: Mapping[int, str],
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Make one exchange.

        Args:
            method: Of HTTP.
            path: Of the resource, with its query.
            document: What is sent; None: nothing.
            answers: By status, the schema of the answer, below `v1/api/`.
            headers: Further ones.

        Raises:
            GateUnreachableError: No whole answer came in time.
            ProblemError: The gate says what is wrong.
            AnswerInvalidError: The answer is not one of a gate.
        """
        response = _within(self.timeout_s, self.url, _Exchange(self, method, path, document, headers or {}))
        schema = answers.get(response.status)
        if schema is not None and response.content_type == "application/json":
            return _parse(response.body, schema)
        if response.status >= HTTPStatus.BAD_REQUEST and response.content_type == "application/problem+json":
            problem = _parse(response.body, "problem")
            if problem["status"] != response.status:
                raise AnswerInvalidError(f"want a problem of status {response.status}, got {problem['status']}")
            raise ProblemError(problem)
        raise AnswerInvalidError(
            f"want a gate's answer to {method} {path}, got status {response.status}; is --url a Lockgate gate?"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Response:
    status: int
    content_type: str
    body: bytes


class _Exchange:
    """One request and its whole answer, run by a thread of its own."""

    def __init__(
        self,
        client: GateClient,
        method: str,
        path: str,
        document: Mapping[str, Any] | None,
        headers: Mapping[str, str],
    ) -> None:
        self._client, self._method, self._path = client, method, path
        self._document, self._headers = document, headers
        self.response: _Response | None = None
        self.error: Exception | None = None

    def __call__(self) -> None:
        try:
            self.response = self._run()
        except Exception as exc:  # noqa: BLE001 - carried over to the thread that waits, and raised there
            self.error = exc

    def _run(self) -> _Response:
        client = self._client
        with requests.Session() as session:
            session.trust_env = False  # no proxy, no .netrc: the token goes to --url and nowhere else
            with session.request(
                self._method,
                client.url.rstrip("/") + self._path,
                json=self._document,
                headers={
                    **({} if client.token is None else {"Authorization": f"Bearer {client.token}"}),
                    "Accept": "application/json, application/problem+json",
                    "Accept-Encoding": "identity",  # the size limit below counts bytes as they come
                    **self._headers,
                },
                timeout=client.timeout_s,
                allow_redirects=False,
                verify=str(client.ca_file) if client.ca_file else True,
                stream=True,
            ) as response:
                return _Response(
                    status=response.status_code,
                    content_type=response.headers.get("Content-Type", "").partition(";")[0].strip().lower(),
                    body=_read(response),
                )


def _within(timeout_s: float, url: str, exchange: _Exchange) -> _Response:
    # requests' time-out restarts with each byte that comes. A daemon thread can be left behind; the command ends soon.
    thread = threading.Thread(target=exchange, name="lockgate-exchange", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if exchange.response is not None:
        return exchange.response
    if isinstance(exchange.error, requests.RequestException | OSError):
        reason = type(exchange.error).__name__  # its text repeats addresses and header values
        raise GateUnreachableError(f"{url} gave no answer ({reason}); nothing is known to be decided") from (
            exchange.error
        )
    if exchange.error is not None:
        raise exchange.error
    raise GateUnreachableError(f"{url} gave no whole answer within {timeout_s:g} s; nothing is known to be decided")


def _read(response: requests.Response) -> bytes:
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise AnswerInvalidError("want an answer without content encoding")
    body = b""
    for chunk in response.iter_content(_READ_BYTES):
        body += chunk
        if len(body) > ANSWER_BYTES_MAX:
            raise AnswerInvalidError(f"want an answer of at most {ANSWER_BYTES_MAX} bytes, got more")
    return body


def _parse(body: bytes, schema: str) -> dict[str, Any]:
    try:
        document = parse_json(body, bytes_max=ANSWER_BYTES_MAX)
        check_schema(f"v1/api/{schema}", document)
    except MalformedJSONError as exc:
        raise AnswerInvalidError(f"want a JSON document from the gate: {exc}") from exc
    except SchemaError as exc:
        raise AnswerInvalidError(f"want a valid {schema} from the gate: {exc} at {exc.pointer or '/'}") from exc
    return dict(document)
