"""Command lines that die while they bring rules into force. One warm process forks one for every order.

Orders are JSON lines on stdin; how each ended is printed: the signal, or the exit code below zero.
"""

import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from lockkeep.cli import activation, main
from lockkeep.ledger import audit, generations

POINTS = ("the folder is read", "checked", "the row is there", "before the commit", "committed")


def die() -> NoReturn:
    """As kill -9 from outside."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


def doom(point: str) -> None:
    """From now on this process dies at the point."""

    def after(owner: Any, name: str) -> None:
        real: Callable[..., Any] = getattr(owner, name)

        def then_die(*given: Any, **named: Any) -> Any:
            real(*given, **named)
            die()

        setattr(owner, name, then_die)

    patches: Mapping[str, Callable[[], None]] = {
        "": lambda: None,
        "the folder is read": lambda: after(activation, "read_folder"),
        "checked": lambda: after(activation, "good"),
        "the row is there": lambda: setattr(audit, "append", die_of_activating),
        "before the commit": lambda: after(generations, "activate"),
        "committed": lambda: setattr(activation, "_told", die_told),
    }
    patches[point]()


def die_of_activating(_tx: Any, kind: str, *_: Any, **__: Any) -> None:
    if kind == "policy.activated":
        die()


def die_told(*_: object) -> None:
    die()


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
