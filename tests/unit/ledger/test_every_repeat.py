"""By what a repeat is found, in which state, read or write, with the same arguments or others: 112 cases (E5)."""

from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from lockkeep.ledger import calls, digests, generations
from lockkeep.ledger.claims import CONFLICT
from lockkeep.model import CallState, Denied, Deny, Succeeded, Unknown
from unit.ledger.desk import NOW, allowed, ledger, write

SOURCES: dict[str, dict[str, str]] = {
    "key": {"key": "k"},
    "run and step": {"run": "r", "step": "s"},
    "run": {"run": "r"},
    "caller": {},
}
STATES: tuple[CallState, ...] = (
    "succeeded",
    "executing",
    "unknown",
    "needs_human",
    "failed",
    "denied",
    "undone",
)
HOLDS = ("succeeded", "executing", "unknown", "needs_human")


def asked(text: str, run: str | None) -> str:
    return digests.asked(tool="shop.write", arguments={"text": text}, user="ana", agent="robot", run=run)


def expected(source: str, state: CallState, *, reads: bool, same: bool) -> Any:
    """What the paper says: reads only by key, or run and step; what holds its key answers, or conflicts; the rest is free."""
    if reads and source in ("run", "caller"):
        return None
    if not same and source in ("run", "caller"):
        return None  # another call
    if state not in HOLDS:
        return None  # failed and undone calls free the key; denied ones meet the gates anew
    if not same and source == "key":
        return CONFLICT
    return Succeeded if state == "succeeded" else Unknown


CASES = list(product(SOURCES, STATES, (False, True), (False, True)))


@pytest.mark.promise("P2")
async def test_each_repeat_is_answered_as_the_paper_says(tmp_path: Path) -> None:
    assert len(CASES) == 112
    with ledger(tmp_path) as book:
        for number, (source, state, reads, same) in enumerate(CASES):
            by = {name: f"{value}{number}" for name, value in SOURCES[source].items()}
            risk, text = "read" if reads else "write", f"text {number}"
            run = by.get("run")
            first = write(f"first_{number}", text, risk=risk, asked=asked(text, run), **by)
            deny = Deny("policy.denied", "no") if state == "denied" else None
            await book.store.write(
                lambda tx, c=first, s=state, d=deny: calls.insert(tx, c, [], state=s, now=NOW, deny=d)
            )
            again = text if same else f"other {number}"
            repeat = write(
                f"again_{number}",
                again,
                risk=risk,
                asked=asked(again, run),
                at=NOW + timedelta(minutes=9),
                **by,
            )
            found, wanted = await book.receive(repeat), expected(source, state, reads=reads, same=same)
            case = (source, state, risk, same)
            if wanted is None:
                assert found is None, case
            elif wanted is CONFLICT:
                assert isinstance(found, Denied), case
                assert found.deny == CONFLICT, case
            else:
                assert isinstance(found, wanted), (case, found)
                assert found is not None
                assert found.call == first.id, case


@pytest.mark.promise("P2")
async def test_after_ten_minutes_only_a_key_a_step_or_a_run_still_finds_it(tmp_path: Path) -> None:
    with ledger(tmp_path) as book:
        for number, source in enumerate(SOURCES):
            by = {name: f"{value}{number}" for name, value in SOURCES[source].items()}
            text, run = f"text {number}", by.get("run")
            first = write(f"first_{number}", text, asked=asked(text, run), **by)
            await book.store.write(lambda tx, c=first: calls.insert(tx, c, [], state="succeeded", now=NOW))
            late = write(f"late_{number}", text, asked=asked(text, run), at=NOW + timedelta(minutes=11), **by)

            assert (await book.receive(late) is None) is (source == "caller"), source


@pytest.mark.promise("P12")
async def test_an_older_policy_set_claims_nothing_fifty_times(tmp_path: Path) -> None:
    with ledger(tmp_path) as book:
        for number in range(50):
            call = write(f"old_{number}", f"{number}")
            await book.store.write(
                lambda tx, n=number: generations.activate(
                    tx, {"x": str(n)}, after=n + 1, by="t", reason="t", now=NOW
                )
            )
            assert await book.receive(call) is None
            assert await book.claim(call, call.arguments, allowed()) is None
        assert book.store.read.all("calls_in_state", state="executing") == []
