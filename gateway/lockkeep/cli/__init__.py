"""The command line. Each file holds one group of commands."""

import sqlite3
import sys

from lockkeep.cli.commands import app
from lockkeep.cli.policy import Refused
from lockkeep.cli.show import fail
from lockkeep.errors import LockkeepError, StoreUnavailable
from lockkeep.store import whole

__all__ = ["main"]


def main() -> None:
    """Run one command; a known error is one sentence on stderr and exit code 2, or what the policy set calls for."""
    sys.argv = [
        whole(word) for word in sys.argv
    ]  # half a character in a reason must not keep a kill from working
    try:
        app()
    except Refused as error:
        fail(str(error))
        sys.exit(error.exit_code)
    except LockkeepError as error:
        fail(str(error))
        sys.exit(2)
    except sqlite3.Error as error:
        fail(str(StoreUnavailable(str(error))))
        sys.exit(2)
    except OSError as error:
        fail(f"{error.filename or 'a file'}: {error.strerror or type(error).__name__}")
        sys.exit(2)
    except ExceptionGroup as group:  # from inside the gateway's tasks
        known = group.subgroup(LockkeepError)
        if known is None:
            raise
        for error in _flat(known):
            fail(str(error))
        sys.exit(2)


def _flat(group: BaseExceptionGroup[LockkeepError]) -> list[LockkeepError]:
    """The errors themselves, however deep the groups are."""
    found: list[LockkeepError] = []
    for each in group.exceptions:
        found += [each] if isinstance(each, LockkeepError) else _flat(each)
    return found
