"""Logging in from a command: by the browser of the same machine, which comes back to a port of ours on loopback.

Source: RFC 8252, sections 7.3 and 8; RFC 9700, section 2.1.
"""

import queue
import socketserver
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import parse_qs, urlsplit

from lockgate.login.attempts import Attempt, begin_attempt, read_callback
from lockgate.login.errors import CodeRefusedError, LoginError, LoginExpiredError, StateMismatchError
from lockgate.login.id_token_checks import check_authorized_party, check_nonce, read_claims
from lockgate.login.oauth_messages import Client, authorization_url, code_request
from lockgate.login.provider_client import OAuthRefusal, Peer, Tokens, fetch_provider, redeem
from lockgate.login.providers import Provider

LOGIN_S_MAX: Final = 600.0  # to find a password and a second factor
_PATH: Final = "/callback"
_FIELDS_MAX: Final = 32  # of the answer; providers add a few of their own
_SILENCE_S_MAX: Final = 10.0  # browsers open connections ahead, and say nothing on them
_PAGE: Final = (
    "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
    "<title>Lockgate</title><h1>{}</h1><p>You may close this window and go back to the command line."
)


def log_in_by_browser(peer: Peer, client: Client, show: Callable[[str], None], wait_s: float = LOGIN_S_MAX) -> Tokens:
    """Log somebody in, and wait until they have.

    Args:
        peer: The issuer.
        client: What it knows the gate as.
        show: Sends the person to a URL, and does not wait for them.
        wait_s: How long to wait for the browser to come back.

    Returns:
        What the provider gave, for this attempt; only the gate verifies it.

    Raises:
        LoginError: Nobody is logged in; the class says why.
    """
    provider = fetch_provider(peer)
    attempt = begin_attempt()
    with _Listener(attempt, provider) as listener:
        show(authorization_url(provider, client, attempt, listener.redirect_uri))
        code = listener.wait(wait_s)
        tokens = redeem(peer, provider, code_request(provider, client, code, attempt, listener.redirect_uri))
    if isinstance(tokens, OAuthRefusal):
        raise CodeRefusedError(f"want a token from the provider, got {tokens.error or 'a refusal'}{_hint(tokens)}")
    claims = read_claims(tokens.id_token)
    check_nonce(claims, attempt.nonce)
    check_authorized_party(claims, client.client_id)
    return tokens


def _hint(refusal: OAuthRefusal) -> str:
    wants_secret = refusal.error in {"invalid_client", "unauthorized_client"}
    return "; it must know the gate as a public client, too, for logins from the command line" if wants_secret else ""


class _Listener:
    """Waits on a free port of loopback for one browser to come back."""

    def __init__(self, attempt: Attempt, provider: Provider) -> None:
        self._outcomes: queue.SimpleQueue[str | LoginError] = queue.SimpleQueue()
        outcomes = self._outcomes

        class Handler(BaseHTTPRequestHandler):
            timeout = _SILENCE_S_MAX

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                """Say nothing: the address holds the code."""

            def do_GET(self) -> None:
                """Take the answer. Whoever does not know the state changes nothing by asking."""
                parts = urlsplit(self.path)
                if parts.path != _PATH:
                    self._say(404, "Nothing is here")
                    return
                try:
                    outcome: str | LoginError = read_callback(attempt, provider, _parameters(parts.query))
                except StateMismatchError:
                    self._say(400, "This answers another login")
                    return
                except LoginError as exc:
                    outcome = exc
                self._say(200, "Back to the command line" if isinstance(outcome, str) else "You are not logged in")
                outcomes.put(outcome)

            def _say(self, status: int, text: str) -> None:
                body = _PAGE.format(text).encode()
                self.send_response(status)
                for name, value in {
                    "Content-Type": "text/html; charset=utf-8",
                    "Content-Length": str(len(body)),
                    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
                    "Referrer-Policy": "no-referrer",
                    "Cache-Control": "no-store",
                    "Connection": "close",
                }.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.redirect_uri = f"http://127.0.0.1:{self._server.server_address[1]}{_PATH}"

    def wait(self, wait_s: float) -> str:
        """Return the code.

        Raises:
            LoginExpiredError: Nobody came in time.
            LoginError: What came back is no code.
        """
        try:
            outcome = self._outcomes.get(timeout=wait_s)
        except queue.Empty as exc:
            raise LoginExpiredError(f"want somebody to log in within {wait_s:g} s") from exc
        if isinstance(outcome, LoginError):
            raise outcome
        return outcome

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, name="lockgate-login", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - the base class's signature
        """Say nothing: a browser hung up."""


def _parameters(query: str) -> dict[str, list[str]]:
    try:
        return parse_qs(query, keep_blank_values=True, max_num_fields=_FIELDS_MAX)
    except ValueError:
        return {}
