"""Which URLs of somebody else's server are asked: one rule for settings, and the least that any request keeps. Pure."""

import ipaddress
from urllib.parse import SplitResult, urlsplit


def find_url_fault(url: str) -> str:
    """Return why a server of ours must not be reached at this URL; "" where it may.

    Tokens and answers must not cross a network bare, so that plain HTTP is for this machine alone.
    """
    parts = split_url(url)
    if parts is None or parts.query:
        return "want a URL without credentials, query and fragment"
    if not url.isascii() or not url.isprintable() or " " in url:
        return "want a URL of printable ASCII"
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        return "want https; http only for this machine itself"
    return ""


def split_url(url: str) -> SplitResult | None:
    """Return the parts of a URL that names a host, without credentials and fragment; None for anything else."""
    try:
        parts = urlsplit(url)
        fine = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    return parts if fine and parts.username is None and not parts.fragment else None


def is_loopback(host: str) -> bool:
    """Tell whether a host of a URL is this machine, by its address or as `localhost`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
