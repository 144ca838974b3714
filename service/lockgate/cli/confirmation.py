"""Asking a person before something that cannot be undone."""

import sys

import click

from lockgate.cli.errors import NotSentError


def confirm(question: str, *, yes: bool) -> None:
    """Ask, unless told not to.

    Args:
        question: What is about to happen, as a question.
        yes: Whether it was answered on the command line already.

    Raises:
        UsageError: There is nobody to ask.
        NotSentError: The answer was no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("want a terminal to ask on, or --yes")
    if not click.confirm(question, err=True):
        raise NotSentError(f"nothing was changed: the answer to '{question}' was no")
