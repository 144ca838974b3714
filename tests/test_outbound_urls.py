"""Which URLs of somebody else's server are asked."""

import pytest

from lockgate.outbound_urls import find_url_fault, split_url


@pytest.mark.parametrize(
    "url",
    [
        "https://registry.example",
        "https://registry.example:8443/api/",
        "http://localhost:5000",
        "http://127.0.0.9",
        "http://[::1]:5000",
    ],
)
def test_a_server_is_reached_by_https_or_on_this_machine(url: str) -> None:
    """Https anywhere; plain http by a name or address of this machine alone."""
    assert find_url_fault(url) == ""


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("", "want a URL without"),
        ("registry.example", "want a URL without"),
        ("https://", "want a URL without"),
        ("https://[::1", "want a URL without"),
        ("https://registry.example:0", "want a URL without"),
        ("https://registry.example:99999", "want a URL without"),
        ("https://user@registry.example", "want a URL without"),
        ("https://@registry.example", "want a URL without"),
        ("https://registry.example/?token=1", "want a URL without"),
        ("https://registry.example/#a", "want a URL without"),
        ("https://registry.example/a b", "want a URL of printable ASCII"),
        ("https://registry.example/\x7f", "want a URL of printable ASCII"),
        ("https://régistry.example", "want a URL of printable ASCII"),
        ("http://registry.example", "want https"),
        ("http://127.0.0.1.nip.example", "want https"),
        ("ftp://registry.example", "want https"),
    ],
)
def test_other_urls_are_refused(url: str, fault: str) -> None:
    """Each says what is wanted instead."""
    assert find_url_fault(url).startswith(fault)


@pytest.mark.parametrize("url", ["https://a@h", "https://h#f", "https://h:0", "https://h:99999", "/path", "https://[h"])
def test_what_names_no_host_or_more_than_a_place_is_no_url(url: str) -> None:
    """Nothing is asked at it, whatever the settings say."""
    assert split_url(url) is None
