"""A small OpenID Connect provider on loopback: one client, one person, whose consent is not asked for.

It checks what a provider must (client, redirect URI, PKCE, each code once), and misbehaves where a test says so.
"""

import base64
import contextlib
import hashlib
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, unquote_plus, urlencode, urlsplit

import orjson

from lockgate.clock import NS_PER_S, Clock
from lockgate.system_clock import SystemClock
from support.gate_server import Reply, json_reply
from support.issuers import SigningKey, issuer_table, key_set, rsa_key

CLIENT_ID: Final = "lockgate"
DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
USER_CODE: Final = "WDJB-MJHT"
PEOPLE_RULES: Final = [
    {
        "claims": {"email_verified": True, "groups": group},
        "principal": "{email}",
        "type": "user",
        "roles": [role],
        "identities": ["{email}"],
    }
    for group, role in [
        ("leads", "approver:ml-lead"),
        ("risk", "approver:risk"),
        ("trainers", "requester"),
        ("audit", "auditor"),
    ]
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """An authorization request that was granted."""

    redirect_uri: str
    challenge: str
    nonce: str


@dataclass(slots=True)
class OIDCProvider:
    """A running provider; everything may be changed at any time.

    Attributes:
        secret: The client's; "" for a public client.
        person: What ID tokens claim of whoever logs in.
        claims: What they claim differently; None removes a claim.
        redirect: What the way back carries differently; None removes a parameter.
        polls: What a device that asks is answered, one after the other, before it gets its token.
    """

    url: str = ""
    clock: Clock = field(default_factory=SystemClock)
    key: SigningKey = field(default_factory=rsa_key)
    secret: str = ""
    person: dict[str, Any] = field(default_factory=dict)
    claims: dict[str, Any] = field(default_factory=dict)
    redirect: dict[str, str | None] = field(default_factory=dict)
    discovery: dict[str, Any] = field(default_factory=dict)  # what the document says differently; None removes
    replies: dict[str, Reply] = field(default_factory=dict)  # by path, instead of what it would say
    token_delay_s: float = 0
    repeats_codes: bool = False  # gives a token for a code as often as it is asked
    polls: list[str] = field(default_factory=list)
    device: dict[str, Any] = field(default_factory=dict)  # what the device endpoint says differently; None removes
    calls: list[tuple[str, Mapping[str, list[str]]]] = field(default_factory=list)  # path and parameters
    _asked: dict[str, Asked] = field(default_factory=dict)
    _used: set[str] = field(default_factory=set)

    def issuer_table(self, **changes: Any) -> Mapping[str, Any]:
        """Write the settings that trust it."""
        own = {
            "name": "people",
            "kind": "other",
            "url": self.url,
            "audience": CLIENT_ID,
            "private_network": True,
            "rule": PEOPLE_RULES,
        }
        return issuer_table(**{**own, **changes})

    def write_keys(self, folder: Path) -> str:
        """Write its keys to a file, for an issuer that fetches nothing; return the file's name."""
        (folder / "people.json").write_bytes(key_set(self.key))
        return "people.json"

    def id_token(self, nonce: str = "", access_token: str = "", **changes: Any) -> str:
        """Sign what it claims."""
        now_s = self.clock.now_ns() // NS_PER_S
        digest = hashlib.sha256(access_token.encode()).digest()[:16]
        claims = {
            "iss": self.url,
            "aud": CLIENT_ID,
            "sub": "ann-7",
            "iat": now_s,
            "exp": now_s + 3600,
            "nonce": nonce or None,
            "azp": CLIENT_ID,
            "at_hash": base64.urlsafe_b64encode(digest).rstrip(b"=").decode() if access_token else None,
            "email": "ann@example.org",
            "email_verified": True,
            "groups": ["leads"],
            **self.person,
            **self.claims,
            **changes,
        }
        return self.key.sign({name: value for name, value in claims.items() if value is not None})

    def paths(self) -> list[str]:
        """Return what was asked for."""
        return [path for path, _ in self.calls]

    def answer(self, path: str, parameters: Mapping[str, list[str]], authorization: str) -> Reply:
        """Answer as a provider does."""
        self.calls.append((path, parameters))
        given = {name: values[-1] for name, values in parameters.items()}
        if path in self.replies:
            return self.replies[path]
        if path == "/token":
            time.sleep(self.token_delay_s)
            return self._token(given, authorization)
        own = {
            "/.well-known/openid-configuration": lambda: json_reply(self._document()),
            "/jwks": lambda: Reply(body=key_set(self.key)),
            "/authorize": lambda: self._authorize(given),
            "/device": lambda: self._device(given),
        }
        return own.get(path, lambda: Reply(status=404))()

    def _document(self) -> dict[str, Any]:
        document = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "device_authorization_endpoint": f"{self.url}/device",
            "jwks_uri": f"{self.url}/jwks",
            "authorization_response_iss_parameter_supported": True,
            **self.discovery,
        }
        return {name: value for name, value in document.items() if value is not None}

    def _authorize(self, given: Mapping[str, str]) -> Reply:
        assert (given["client_id"], given["response_type"]) == (CLIENT_ID, "code")
        assert (given["code_challenge_method"], "openid" in given["scope"].split()) == ("S256", True)
        code = secrets.token_urlsafe(16)
        self._asked[code] = Asked(
            redirect_uri=given["redirect_uri"], challenge=given["code_challenge"], nonce=given["nonce"]
        )
        back = {"code": code, "state": given["state"], "iss": self.url, "session_state": "x", **self.redirect}
        query = urlencode({name: value for name, value in back.items() if value is not None})
        return Reply(status=302, headers=(("Location", f"{given['redirect_uri']}?{query}"),))

    def _token(self, given: Mapping[str, str], authorization: str) -> Reply:
        if not self._is_client(given, authorization):
            return json_reply({"error": "invalid_client"}, status=401)
        if given["grant_type"] == DEVICE_GRANT:
            if self.polls:
                return json_reply({"error": self.polls.pop(0)}, status=400)
            return self._tokens("")
        asked = self._asked.get(given["code"])
        challenge = hashlib.sha256(given["code_verifier"].encode()).digest()
        if (
            asked is None
            or (given["code"] in self._used and not self.repeats_codes)
            or given["redirect_uri"] != asked.redirect_uri
            or base64.urlsafe_b64encode(challenge).rstrip(b"=").decode() != asked.challenge
        ):
            return json_reply({"error": "invalid_grant", "error_description": "<script>alert(1)</script>"}, status=400)
        self._used.add(given["code"])
        return self._tokens(asked.nonce)

    def _tokens(self, nonce: str) -> Reply:
        access = secrets.token_urlsafe(16)
        document = {"access_token": access, "token_type": "Bearer", "id_token": self.id_token(nonce, access)}
        return json_reply(document)

    def _is_client(self, given: Mapping[str, str], authorization: str) -> bool:
        if not self.secret:
            return given.get("client_id") == CLIENT_ID
        if not authorization:
            return (given.get("client_id"), given.get("client_secret")) == (CLIENT_ID, self.secret)
        name, _, secret = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
        return (unquote_plus(name), unquote_plus(secret)) == (CLIENT_ID, self.secret)

    def _device(self, given: Mapping[str, str]) -> Reply:
        assert given["client_id"] == CLIENT_ID
        document = {
            "device_code": secrets.token_urlsafe(16),
            "user_code": USER_CODE,
            "verification_uri": f"{self.url}/enter",
            "expires_in": 600,
            "interval": 1,
            **self.device,
        }
        return json_reply({name: value for name, value in document.items() if value is not None})


@contextlib.contextmanager
def serve_provider(**changes: Any) -> Iterator[OIDCProvider]:
    """Run a provider on a free loopback port until the block ends."""
    provider = OIDCProvider(**changes)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

        def _handle(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            reply = provider.answer(
                parts.path, parse_qs(f"{parts.query}&{body}"), self.headers.get("Authorization", "")
            )
            with contextlib.suppress(ConnectionError):  # a client that gave up
                self.send_response(reply.status)
                self.send_header("Content-Type", reply.content_type)
                self.send_header("Content-Length", str(len(reply.body)))
                for name, value in reply.headers:
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(reply.body)

        do_GET = do_POST = _handle  # noqa: N815 - the base class's names

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    provider.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def token_claims(token: str) -> dict[str, Any]:
    """Return what a token claims, unverified."""
    part = token.split(".")[1]
    claims: dict[str, Any] = orjson.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return claims
