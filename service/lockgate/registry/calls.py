"""Calls to a registry over HTTP: its token, one time limit, limits on what comes back, and errors by name."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlencode

import orjson
import structlog

from lockgate.canonical_json import MalformedJSONError, parse_json
from lockgate.outbound import OutboundError, OutboundRequest, download, exchange, quote_answer
from lockgate.registry.answers import Fields
from lockgate.registry.errors import RegistryAnswerError, RegistryRefusedError, RegistryUnavailableError

PERMIT_HEADER: Final = "Lockgate-Permit"
ANSWER_BYTES_MAX: Final = 8 * 1024 * 1024  # a page of a hundred models with all their tags; usually some kilobytes
ANSWER_DEPTH_MAX: Final = 16  # an MLflow run has seven levels
ANSWER_NODES_MAX: Final = 400_000  # a run of 10,000 metrics has a tenth
FILE_BYTES_MAX: Final = 64 * 1024**3  # one file of a large model's weights
_ERROR_BYTES_MAX: Final = 65_536  # of an answer that is no file
_GOOD: Final = frozenset({HTTPStatus.OK, HTTPStatus.CREATED})
_REFUSED: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer with a JSON object; of an error, what it says, or nothing where it is no JSON."""

    status: int
    fields: Fields

    @property
    def is_good(self) -> bool:
        """Whether the registry did what it was asked."""
        return self.status in _GOOD


class Server(Protocol):
    """How a server is reached: what the settings of a registry and of a feature store have in common."""

    @property
    def name(self) -> str:
        """What errors call it."""
        ...

    @property
    def url(self) -> str:
        """Without a slash at the end."""
        ...

    @property
    def ca_file(self) -> Path | None:
        """Certificate authorities to trust instead of the usual ones."""
        ...

    @property
    def timeout_s(self) -> float:
        """For all exchanges of one call."""
        ...

    def read_authorization(self) -> str | None:
        """Return the header of this name; None where none is wanted."""
        ...


class Conversation:
    """The exchanges behind one call of the port; together they take no longer than the registry's time-out."""

    def __init__(self, settings: Server) -> None:
        self._settings = settings
        self._deadline_s = time.monotonic() + settings.timeout_s

    def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] = {},
        document: Mapping[str, Any] | None = None,
        permit: str = "",
    ) -> Reply:
        """Send one request.

        Args:
            method: The HTTP method.
            path: Below the registry's URL, with a slash before it, quoted.
            query: What stands behind the question mark.
            document: The body, sent as JSON.
            permit: Shown to a guard in front of the registry; "" where there is none.

        Returns:
            The answer; of the errors, those that say that what was asked for is not there or cannot be.

        Raises:
            RegistryUnavailableError: There is no whole answer in time, or the registry says that it cannot now.
            RegistryRefusedError: It does not let us.
            RegistryAnswerError: It says something else, or too much.
        """
        request = self._request(
            path + ("?" + urlencode(query) if query else ""),
            method=method,
            headers={PERMIT_HEADER: permit} if permit else {},
            body=orjson.dumps(document) if document is not None else None,
            timeout_s=self._deadline_s - time.monotonic(),
            answer_bytes_max=ANSWER_BYTES_MAX,
        )
        try:
            answer = exchange(request)
        except OutboundError as exc:
            raise RegistryUnavailableError(f"registry {self._settings.name}: {exc}") from exc
        return self._read(request, answer.status, answer.body)

    def fetch(self, path: str, *, timeout_s: float) -> Iterator[bytes]:
        """Return a file's bytes, in pieces.

        Args:
            path: As for `ask`.
            timeout_s: For the whole file, also for what is done between two pieces; files take longer than calls.

        Raises:
            RegistryUnavailableError: It does not come whole in time.
            RegistryRefusedError: We may not have it.
            RegistryAnswerError: It is not there, or too long.
        """
        request = self._request(path, method="GET", timeout_s=timeout_s, answer_bytes_max=FILE_BYTES_MAX)
        try:
            with download(request) as incoming:
                if incoming.status == HTTPStatus.OK:
                    yield from incoming.chunks
                    return
                body = b""
                for chunk in incoming.chunks:
                    body += chunk
                    if len(body) > _ERROR_BYTES_MAX:
                        break
        except OutboundError as exc:
            raise RegistryUnavailableError(f"registry {self._settings.name}: {exc}") from exc
        raise self.unexpected(self._read(request, incoming.status, body), "a file")

    def unexpected(self, reply: Reply, wanted: str) -> RegistryAnswerError:
        """Return the error for an answer that the caller has no use for."""
        return RegistryAnswerError(f"registry {self._settings.name}: want {wanted}, got the status {reply.status}")

    def _request(self, path_and_query: str, *, timeout_s: float, **more: Any) -> OutboundRequest:  # noqa: ANN401 - the request's own fields
        authorization = self._settings.read_authorization()
        if timeout_s <= 0:
            raise RegistryUnavailableError(f"registry {self._settings.name}: no whole answer within the time for it")
        return OutboundRequest(
            url=self._settings.url + path_and_query,
            timeout_s=timeout_s,
            authorization=authorization,
            content_type="application/json" if more.get("body") is not None else None,
            ca_file=self._settings.ca_file,
            **more,
        )

    def _read(self, request: OutboundRequest, status: int, body: bytes) -> Reply:
        name = self._settings.name
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS:
            raise RegistryUnavailableError(f"registry {name}: want an answer, got the status {status}")
        is_good = status in _GOOD
        try:
            document = parse_json(
                body, bytes_max=ANSWER_BYTES_MAX, depth_max=ANSWER_DEPTH_MAX, nodes_max=ANSWER_NODES_MAX
            )
        except MalformedJSONError as exc:
            if is_good:
                # Without its own words, which name a key that stands there twice.
                raise RegistryAnswerError(f"registry {name}: want JSON within the limits") from exc
            document = {}  # a proxy's page
        if not isinstance(document, dict):
            if is_good:
                raise RegistryAnswerError(f"registry {name}: want a JSON object")
            document = {}
        said = document.get("message")
        if not is_good and status != HTTPStatus.NOT_FOUND and isinstance(said, str) and said:
            # Here alone: errors end in answers and in the audit log, which are no place for somebody else's words.
            structlog.get_logger().warning(
                "registry_said", registry=name, status=status, said=quote_answer(said, request)
            )
        if status in _REFUSED:
            raise RegistryRefusedError(f"registry {name}: got the status {status}; what it said stands in the log")
        return Reply(status=status, fields=Fields("answer", document))
