"""The command line. Each file holds one group of commands."""

import sys

from lockkeep.cli.commands import app
from lockkeep.cli.show import fail
from lockkeep.errors import LockkeepError

__all__ = ["main"]


def main() -> None:
    """Run one command; a known error is one sentence on stderr and exit code 2."""
    try:
        app()
    except LockkeepError as error:
        fail(str(error))
        sys.exit(2)
