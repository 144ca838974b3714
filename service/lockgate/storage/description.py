"""What a database says of itself, and of the way to it."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseDescription:
    """One database, as this process is connected to it."""

    server: str  # the program and its version
    role: str | None  # whom we are connected as; None: SQLite has no roles
    rights: Literal["owner", "service", "none"]  # on the tables: of who made them, of who may append, of anybody else
    tls: Literal["verified", "unverified", "off"]  # verified: the server proved to be the host that the URL names
    local: bool  # a file, a socket or a loopback address: nobody else can listen
    standby: bool  # follows another server, and takes no writes
    durable: bool  # what is committed survives a power cut, as far as the database's settings can tell
    size_bytes: int
