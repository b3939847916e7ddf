"""Command lines that die while a person decides. One warm process forks one for every order, as activating.py does."""

import json
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any, NoReturn

from lockkeep.cli import approvals as commands
from lockkeep.cli import main
from lockkeep.ledger import approvals, edits

POINTS = ("half written", "before the commit", "committed")


def die(*_: object, **__: object) -> NoReturn:
    """As kill -9 from outside."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


def doom(point: str) -> None:
    """From now on this process dies at the point of whatever it decides."""

    def after(owner: Any, name: str) -> None:
        real = getattr(owner, name)

        def then_die(*given: Any, **named: Any) -> Any:
            real(*given, **named)
            die()

        setattr(owner, name, then_die)

    if point == "half written":  # the first of its rows, not the others
        after(approvals.audit, "append")
    elif point == "before the commit":
        for owner, name in (
            (approvals, "vote"),
            (approvals, "withdraw"),
            (approvals, "revoke"),
            (edits, "edit"),
        ):
            after(owner, name)
    elif point == "committed":
        commands.fields = die


def live(order: Mapping[str, Any]) -> None:
    out = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for target in (1, 2):
        os.dup2(out, target)
    os.environ.clear()
    os.environ.update(order["environ"])
    sys.argv = ["lockkeep", *order["words"]]
    doom(order["point"])
    main()


def obey() -> None:
    for line in sys.stdin:
        if (pid := os.fork()) == 0:
            code = 9
            try:
                live(json.loads(line))
                code = 0
            except SystemExit as ended:
                code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
            finally:
                sys.stdout.flush()
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        print(os.WTERMSIG(status) if os.WIFSIGNALED(status) else -os.WEXITSTATUS(status), flush=True)


if __name__ == "__main__":
    obey()
