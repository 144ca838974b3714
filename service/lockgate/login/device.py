"""Logging in from a command on a machine without a browser: by a code that is entered on another one.

Source: RFC 8628.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from lockgate.clock import NS_PER_S, Clock, EpochNs, is_expired
from lockgate.login.errors import (
    CodeRefusedError,
    LoginDeclinedError,
    LoginExpiredError,
    ProviderInvalidError,
    ProviderUnavailableError,
)
from lockgate.login.oauth_messages import Client, device_request, device_token_request
from lockgate.login.provider_client import OAuthRefusal, Peer, Tokens, fetch_provider, post_form, read_answer, redeem
from lockgate.login.providers import Provider, is_safe_url

DEVICE_S_MAX: Final = 1800  # providers give ten to thirty minutes
INTERVAL_S: Final = 5  # RFC 8628, section 3.2: where the provider does not say
INTERVAL_S_MAX: Final = 60
_SLOWER_S: Final = 5  # RFC 8628, section 3.5
_CODE_CHARS_MAX: Final = 2048
_USER_CODE_CHARS_MAX: Final = 64  # somebody types it


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceCode:
    """What the provider gave for one login.

    Attributes:
        user_code: What the person enters, and compares.
        address: Where.
        expires_s: How long it counts, in seconds.
        interval_s: How long to wait between two questions, in seconds.
    """

    code: str = field(repr=False)
    user_code: str
    address: str
    expires_s: int
    interval_s: int


def log_in_by_device(
    peer: Peer,
    client: Client,
    show: Callable[[DeviceCode], None],
    clock: Clock,
    sleep: Callable[[float], None] = time.sleep,
) -> Tokens:
    """Log somebody in, and wait until they have.

    Args:
        peer: The issuer.
        client: What it knows the gate as.
        show: Tells the person what to enter, and where.
        clock: The time.
        sleep: Waits for some seconds.

    Returns:
        What the provider gave; only the gate verifies it.

    Raises:
        LoginError: Nobody is logged in; the class says why.
    """
    provider = fetch_provider(peer)
    device = _ask(peer, provider, client)
    show(device)
    request = device_token_request(provider, client, device.code)
    return _wait(lambda: redeem(peer, provider, request), device, clock, sleep)


def _ask(peer: Peer, provider: Provider, client: Client) -> DeviceCode:
    if provider.device_endpoint is None:
        raise ProviderInvalidError("want a provider that lets devices log in; log in without --device")
    answer = post_form(peer, provider.device_endpoint, device_request(client))
    document = read_answer(answer)
    if answer.status != HTTPStatus.OK:
        raise CodeRefusedError("want a code for a device: the provider must let the gate's client ask for one")
    code, user_code = document.get("device_code"), document.get("user_code")
    address, expires_s = document.get("verification_uri"), document.get("expires_in")
    interval_s = document.get("interval", INTERVAL_S)
    if not isinstance(code, str) or not 0 < len(code) <= _CODE_CHARS_MAX:
        raise ProviderInvalidError("want a device code")
    if not isinstance(user_code, str) or not 0 < len(user_code) <= _USER_CODE_CHARS_MAX or not user_code.isprintable():
        raise ProviderInvalidError("want a code that somebody can enter")
    if not isinstance(address, str) or not is_safe_url(address, provider.issuer):
        raise ProviderInvalidError("want the https URL where to enter the code")
    if type(expires_s) is not int or type(interval_s) is not int or expires_s < 1:
        raise ProviderInvalidError("want whole seconds")
    return DeviceCode(
        code=code,
        user_code=user_code,
        address=address,
        expires_s=min(expires_s, DEVICE_S_MAX),
        interval_s=min(max(interval_s, 1), INTERVAL_S_MAX),
    )


def _wait(
    ask: Callable[[], Tokens | OAuthRefusal], device: DeviceCode, clock: Clock, sleep: Callable[[float], None]
) -> Tokens:
    end, interval_s = EpochNs(clock.now_ns() + device.expires_s * NS_PER_S), device.interval_s
    while True:
        sleep(interval_s)
        if is_expired(end, clock.now_ns()):
            raise LoginExpiredError(f"want the code entered within {device.expires_s} s")
        try:
            answer = ask()
        except ProviderUnavailableError:
            interval_s = min(interval_s * 2, INTERVAL_S_MAX)  # RFC 8628, section 3.5: back off
            continue
        if isinstance(answer, Tokens):
            return answer
        match answer.error:
            case "authorization_pending":
                continue
            case "slow_down":
                interval_s = min(interval_s + _SLOWER_S, INTERVAL_S_MAX)
            case "access_denied":
                raise LoginDeclinedError("whoever was asked said no")
            case "expired_token":
                raise LoginExpiredError("the code was not entered in time")
            case error:
                raise CodeRefusedError(f"want a token from the provider, got {error or 'a refusal'}")
