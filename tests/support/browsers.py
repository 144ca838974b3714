"""A browser without a screen: it keeps cookies as browsers do, and goes where it is sent."""

import re
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any, Final
from urllib.parse import urlsplit

import requests

_SAME_ORIGIN: Final = {"Sec-Fetch-Site": "same-origin"}


@dataclass(slots=True)
class Browser:
    """One person's browser at one gate.

    Attributes:
        client: The gate's test client, which keeps no cookies itself.
        origin: The gate's public URL.
    """

    client: Any
    origin: str
    cookies: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, str] = field(default_factory=dict)  # of each cookie, as it was set last

    def open(self, path: str, method: str = "GET", *, json: Any = None, strict: bool = True, **headers: str) -> Any:
        """Ask the gate for something, as a page of its own does; without `strict`, as a link from another site does."""
        site = _SAME_ORIGIN if strict else {"Sec-Fetch-Site": "cross-site"}
        sent = {
            name: value
            for name, value in self.cookies.items()
            if strict or "SameSite=Strict" not in self.attributes.get(name, "")
        }
        given = {**site, **{name.replace("_", "-"): value for name, value in headers.items()}}
        if sent:
            given.setdefault("Cookie", "; ".join(f"{name}={value}" for name, value in sent.items()))
        response = self.client.open(
            path, method=method, json=json, headers={name: value for name, value in given.items() if value}
        )
        for line in response.headers.getlist("Set-Cookie"):
            for name, morsel in SimpleCookie(line).items():
                self.attributes[name] = line.partition(";")[2]
                if morsel["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value
        return response

    def leave(self) -> str:
        """Begin to log in, and return where the provider sends this browser back to: path and query."""
        response = self.open("/login")
        assert response.status_code == 303, response.text
        return self.visit_provider(response.headers["Location"])

    def visit_provider(self, url: str) -> str:
        """Go to the provider, and return where it sends this browser: path and query."""
        back = requests.get(url, allow_redirects=False, timeout=10)
        assert back.status_code == 302, back.text
        location = back.headers["Location"]
        assert location.startswith(f"{self.origin}/login/callback?")
        parts = urlsplit(location)
        return f"{parts.path}?{parts.query}"

    def come_back(self, way: str) -> Any:
        """Come back from the provider's site."""
        return self.open(way, strict=False)

    def log_in(self) -> Any:
        """Log in, and return the page that says so."""
        return self.come_back(self.leave())


def code_of(page: Any) -> str:
    """Return the code of what went wrong, from the page that tells of it."""
    found = re.search(r"Code <code>([a-z_.]+)</code>", page.text)
    if found is not None:
        return found[1]
    assert "You are not logged in" in page.text, page.text
    return "identity.unauthenticated"
