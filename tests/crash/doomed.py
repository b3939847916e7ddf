"""Gateways that die. One warm process forks a real gateway for every order; each kills itself at the order's point.

Orders are JSON lines on stdin. For each, the pid is printed, and once the gateway has ended, by which signal.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

import anyio

from lockkeep.ledger import Ledger, outbox
from lockkeep.ledger.claims import Tx
from lockkeep.model import Answer, Claim, Outcome, ToolCall
from lockkeep.notify.announcements import Announcements
from lockkeep.rounds import Rounds
from lockkeep.serving import serve
from lockkeep.settings import Settings
from lockkeep.upstream import Upstream

POINTS = ("before the claim commits", "claimed", "at the server", "before the settle commits", "settled")


def die() -> NoReturn:
    """As kill -9 from outside: no handler, no flush, no goodbye."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


def died(*_: Any) -> NoReturn:
    die()


def doom(point: str) -> None:
    """From now on this process dies at the point, on its first write; `undo 3: claimed` means the third undo of a plan."""
    which, _, point = point.rpartition(": ")
    third, seen = int(which.removeprefix("undo ") or 0), set[str]()

    def due(call: ToolCall) -> bool:
        if not third:
            return not call.reads
        if call.undo_of is not None:
            seen.add(call.id)
        return call.undo_of is not None and len(seen) == third

    claim_in, claim, send = Ledger._claim, Ledger.claim, Upstream.send  # pyright: ignore[reportPrivateUsage]
    settle_in, settle = Ledger._settle, Ledger.settle  # pyright: ignore[reportPrivateUsage]

    def before_claim_commits(self: Ledger, tx: Tx, call: ToolCall, *more: Any) -> Any:
        found = claim_in(self, tx, call, *more)
        return die() if isinstance(found, Claim) and due(call) else found

    async def claimed(self: Ledger, call: ToolCall, *more: Any) -> Any:
        found = await claim(self, call, *more)
        return die() if isinstance(found, Claim) and due(call) else found

    async def at_the_server(self: Upstream, made: Claim, *more: Any, **named: Any) -> Answer:
        answer = await send(self, made, *more, **named)
        return die() if due(made.call) else answer

    def before_settle_commits(self: Ledger, tx: Tx, made: Claim, answer: Answer) -> Outcome:
        outcome = settle_in(self, tx, made, answer)
        return die() if due(made.call) else outcome

    async def settled(self: Ledger, made: Claim, answer: Answer) -> Outcome:
        outcome = await settle(self, made, answer)
        return die() if due(made.call) else outcome

    async def agreed(self: Rounds, *_: Any) -> None:
        die()

    async def deaf(self: Rounds) -> None:
        await anyio.sleep_forever()

    patches: dict[str, tuple[Any, str, Any]] = {
        "before the claim commits": (Ledger, "_claim", before_claim_commits),
        "claimed": (Ledger, "claim", claimed),
        "at the server": (Upstream, "send", at_the_server),
        "before the settle commits": (Ledger, "_settle", before_settle_commits),
        "settled": (Ledger, "settle", settled),
        "agreed": (Rounds, "_agreed", agreed),  # people have voted, nothing is claimed
        **while_editing(agreed),
        "before it is told": (Announcements, "_try", died),  # the notice is written, nobody was told
        "told": (outbox, "sent", died),  # the other side has it, and that is not written
        "deaf": (Rounds, "report_switches", deaf),  # never says which switches it has seen
    }
    if point:
        owner, name, deadly = patches[point]
        assert hasattr(owner, name)
        setattr(owner, name, deadly)


def while_editing(die_at_once: Any) -> dict[str, tuple[Any, str, Any]]:
    """The points between an edit and the decision about the call it made."""
    park_in, close = Ledger._park, Ledger.close  # pyright: ignore[reportPrivateUsage]

    def before_the_edited_call_is_there(self: Ledger, tx: Tx, call: ToolCall, *more: Any) -> Any:
        found = park_in(self, tx, call, *more)
        return die() if call.edited else found

    async def the_edited_call_is_there(self: Ledger, call: ToolCall, *more: Any) -> Any:
        found = await close(self, call, *more)
        return die() if call.edited else found

    return {
        "edited": (Rounds, "_edited", die_at_once),  # the old call has ended, the new one is not decided
        "before the edited call is there": (Ledger, "_park", before_the_edited_call_is_there),
        "the edited call is there": (Ledger, "close", the_edited_call_is_there),
    }


def live(order: dict[str, Any]) -> None:
    """One gateway until it dies. Its log goes to a file beside the data."""
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for target, source in ((0, nothing), (1, log), (2, log)):
        os.dup2(source, target)
    doom(order["point"])
    settings = Settings(
        data=Path(order["data"]), policies=Path(order["policies"]), port=order["port"], hold_s=0, stop_s=1
    )
    anyio.run(serve, settings)


def main() -> None:
    for line in sys.stdin:
        if (pid := os.fork()) == 0:
            try:
                live(json.loads(line))
            finally:
                os._exit(9)
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print(os.WTERMSIG(status) if os.WIFSIGNALED(status) else -os.WEXITSTATUS(status), flush=True)


if __name__ == "__main__":
    main()
