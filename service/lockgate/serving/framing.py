"""Where one HTTP request ends, so that a thread is given only to requests that are whole. Pure.

This is no second parser: it finds the end of the head and the declared length of the body, and decides nothing else.
Whatever looks odd is called whole at once and left to gunicorn's parser, which then has exactly these bytes and never
waits for more: where the two should ever disagree, the connection is closed.
"""

import re
from typing import Final

HEAD_BYTES_MAX: Final = 64 * 1024  # request line and headers; browsers and proxies send below 16 KiB
_END: Final = b"\r\n\r\n"
# One way to match, so that no run of blanks is tried twice: the loop that reads serves everybody.
_LENGTH: Final = re.compile(rb"\r\ncontent-length[ \t]*:([^\r\n]*)", re.IGNORECASE)
_DIGITS: Final = re.compile(rb"[0-9]{1,15}")
_ENCODED: Final = re.compile(rb"\r\ntransfer-encoding[ \t]*:", re.IGNORECASE)
_EXPECTS: Final = re.compile(rb"\r\nexpect[ \t]*:[ \t]*100-continue[ \t]*(?=\r|\Z)", re.IGNORECASE)


class Frame:
    """The bytes of one request, as they come."""

    __slots__ = ("_body_bytes_max", "_buffer", "_whole_bytes", "body_bytes", "expects_continue", "too_large", "whole")

    def __init__(self, *, body_bytes_max: int) -> None:
        """Begin with nothing.

        Args:
            body_bytes_max: Nobody waits for a longer body: the application refuses it by its declared length.
        """
        self._body_bytes_max = body_bytes_max
        self._buffer = bytearray()
        self._whole_bytes = 0  # of head and body together, once the head is there
        self.body_bytes: int | None = None  # that are to be waited for; None as long as the head is not there
        self.expects_continue = False  # the client waits for a word before it sends the body (RFC 9110, 10.1.1)
        self.too_large = False  # the head has no end within the limit
        self.whole = False  # there is nothing more to wait for

    def __len__(self) -> int:
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Add what came; afterwards `whole`, `too_large` and `body_bytes` are true to it."""
        seen = len(self._buffer)
        self._buffer += data
        if self.body_bytes is None:
            self._look_for_end_of_head(seen)
        if self.body_bytes is not None:
            self.whole = len(self._buffer) >= self._whole_bytes

    def take(self) -> bytes:
        """Return everything that came, also what lies behind the request."""
        taken = bytes(self._buffer)
        self._buffer = bytearray()
        return taken

    def asks_for(self, path: bytes) -> bool:
        """Tell whether this is a plain GET of a path, without a query."""
        return self._buffer.startswith(b"GET " + path + b" ")

    def _look_for_end_of_head(self, seen: int) -> None:
        # Three bytes of before may be the beginning of the end.
        end = self._buffer.find(_END, max(0, seen - len(_END) + 1))
        if end >= 0:
            self.body_bytes = self._read_body_bytes(bytes(self._buffer[:end]))
            self._whole_bytes = end + len(_END) + self.body_bytes
        elif self._has_bare_line_feed(seen):
            self.body_bytes = 0  # no end will ever come: gunicorn refuses it now
            self._whole_bytes = len(self._buffer)
        elif len(self._buffer) > HEAD_BYTES_MAX:
            self.too_large = True

    def _has_bare_line_feed(self, seen: int) -> bool:
        at = self._buffer.find(b"\n", seen)
        while at >= 0:
            if at == 0 or self._buffer[at - 1] != ord("\r"):
                return True
            at = self._buffer.find(b"\n", at + 1)
        return False

    def _read_body_bytes(self, head: bytes) -> int:
        lengths = [length.strip(b" \t") for length in _LENGTH.findall(head)]
        if len(lengths) != 1 or not _DIGITS.fullmatch(lengths[0]) or _ENCODED.search(head):
            return 0  # no body, or one that is refused unread
        declared = int(lengths[0])
        if declared > self._body_bytes_max:
            return 0
        self.expects_continue = _EXPECTS.search(head) is not None
        return declared
