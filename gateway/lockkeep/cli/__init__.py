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
    except ExceptionGroup as group:  # from inside the gateway's tasks
        known = group.subgroup(LockkeepError)
        if known is None:
            raise
        for error in _flat(known):
            fail(str(error))
        sys.exit(2)


def _flat(group: ExceptionGroup[Exception]) -> list[Exception]:
    return [
        leaf
        for each in group.exceptions
        for leaf in (_flat(each) if isinstance(each, ExceptionGroup) else [each])
    ]
