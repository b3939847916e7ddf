"""How far long work has come: a line on a terminal, nothing in a pipe."""

import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import typer

T = TypeVar("T")
EVERY = 5_000


@contextmanager
def progress(doing: str, total: int, *, every: int = EVERY) -> Generator[Callable[[int], None]]:
    """Yields a function to say how much is done; short work says nothing."""
    shown, said = sys.stderr.isatty() and total > every, 0

    def done(number: int) -> None:
        nonlocal said
        if shown and number - said >= every:
            said = number
            typer.echo(
                f"\r{doing}: {number:,} of {total:,} ({number * 100 // max(total, 1)} %)", nl=False, err=True
            )

    yield done
    if shown:
        typer.echo(f"\r{' ' * 70}\r", nl=False, err=True)


def counted(items: Iterable[T], doing: str, total: int) -> Iterator[T]:
    """The items, told as they go by."""
    with progress(doing, total) as done:
        for number, each in enumerate(items, 1):
            yield each
            done(number)
