"""A table of names, for tests of what a transaction does."""

import threading
from collections.abc import Callable

from sqlalchemy import Connection, Engine, text

from lockgate.storage import open_engine, read_transaction, write_transaction


def add(connection: Connection, name: str) -> None:
    """Add a name."""
    connection.execute(text("INSERT INTO thing VALUES (:name)"), {"name": name})


def add_alone(engine: Engine, name: str) -> None:
    """Add a name in a transaction of its own."""
    with write_transaction(engine) as connection:
        add(connection, name)


def names(engine: Engine) -> list[str]:
    """Read the table."""
    with read_transaction(engine) as connection:
        return sorted(connection.execute(text("SELECT name FROM thing")).scalars())


def add_many(engine: Engine, prefix: str, count: int) -> None:
    """Add names, each in a transaction of its own."""
    for number in range(count):
        add_alone(engine, f"{prefix}-{number}")


def add_many_in_threads(url: str, prefix: str, count: int, threads: int) -> None:
    """Add names from several threads; the main function of a process."""
    engine = open_engine(url)
    run_threads(lambda thread: add_many(engine, f"{prefix}-{thread}", count), threads)
    engine.dispose()


def run_threads(work: Callable[[int], object], count: int) -> None:
    """Run a function in several threads, with their numbers, and wait for them."""
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
