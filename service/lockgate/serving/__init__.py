"""Gunicorn with the limits that Lockgate's servers are tested under; what each of them serves is its own affair.

A thread is given only to requests that are whole: clients that send slowly, stop in the middle or never read cost a
socket and a little memory, each of them bounded, and hold up nobody (docs/limits.md). Health has threads of its own.
"""

from lockgate.serving.server import THREADS, LimitedServer
from lockgate.serving.worker import HEALTH_PATHS, PROBE, WAITED_S

__all__ = ["HEALTH_PATHS", "PROBE", "THREADS", "WAITED_S", "LimitedServer"]
