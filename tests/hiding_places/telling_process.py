"""A process that does one thing which Python, a library or a driver would print a person's data for.

Arguments: the thing's name, the marker, ``ours`` for our logging (anything else leaves Python's), and what it needs.
"""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from typing import Any

import psycopg2
import structlog

from application.logging import configure

STEPS = (
    "uncaught",
    "in_a_thread",
    "in_a_destructor",
    "in_a_generator_that_is_dropped",
    "warning",
    "a_librarys_log",
    "a_log_call_with_an_exception",
    "a_log_call_with_a_field_of_another_name",
    "a_driver_error_at_the_end_of_a_command",
)


def fail(marker: str) -> Any:
    local = f"a local variable with {marker}"
    raise ValueError(f"cannot read {local}")


def uncaught(marker: str) -> None:
    fail(marker)


def in_a_thread(marker: str) -> None:
    thread = threading.Thread(target=fail, args=(marker,))
    thread.start()
    thread.join()


def in_a_destructor(marker: str) -> None:
    class Person:
        def __del__(self) -> None:
            fail(marker)

    del [Person()][0]


def in_a_generator_that_is_dropped(marker: str) -> None:
    def generator() -> Any:
        try:
            yield 1
        finally:
            fail(marker)

    dropped = generator()
    next(dropped)
    del dropped


def warning(marker: str) -> None:
    warnings.warn(f"unknown key {marker}", UserWarning, stacklevel=1)


def a_librarys_log(marker: str) -> None:
    library = logging.getLogger("library.of.others")
    library.setLevel(logging.DEBUG)
    library.error("cannot send %s", marker, extra={"body": marker})
    try:
        fail(marker)
    except ValueError:
        library.exception("cannot send")


def a_log_call_with_an_exception(marker: str) -> None:
    try:
        fail(marker)
    except ValueError as error:
        structlog.get_logger().error("failed", exc_info=error)


def a_log_call_with_a_field_of_another_name(marker: str) -> None:
    structlog.get_logger().error("failed", given_name=marker)


def a_driver_error_at_the_end_of_a_command(marker: str, dsn: str, ours: bool) -> None:
    """Let a command of ours end in an error that the database words, or print it as Python does."""

    def run(**_: Any) -> None:
        with psycopg2.connect(dsn) as connection, connection.cursor() as cursor:
            cursor.execute("CREATE TEMPORARY TABLE once (word text PRIMARY KEY)")
            cursor.execute("INSERT INTO once VALUES (%s), (%s)", (marker, marker))

    if not ours:
        run()
    import cli.main

    cli.main.cli.main = run
    cli.main.main()


def main() -> None:
    name, marker, whose = sys.argv[1:4]
    if whose == "ours":
        configure("debug")
    if name == "a_driver_error_at_the_end_of_a_command":
        a_driver_error_at_the_end_of_a_command(marker, sys.argv[4], whose == "ours")
    else:
        globals()[name](marker)


if __name__ == "__main__":
    main()
