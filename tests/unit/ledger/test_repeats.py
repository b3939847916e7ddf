"""A repeat gets the recorded outcome, whatever was denied in between (P2)."""

from pathlib import Path

import pytest

from lockkeep.ledger import calls, switches
from lockkeep.ledger.claims import CONFLICT
from lockkeep.model import Claim, Demand, Denied, Finding, Pending, RequireApproval, Succeeded
from unit.ledger.desk import NOW, allowed, ledger, run, write

RESULT = {"structuredContent": {"ok": True}}
ASK = RequireApproval((Demand(rule="r", any_of=("lead",)),), {})


@pytest.mark.promise("P2")
async def test_a_refused_reuse_of_a_key_leaves_the_key_with_the_call_that_has_it(tmp_path: Path) -> None:
    with ledger(tmp_path) as book:
        said = [await run(book, write(f"{n}", text, key="k")) for n, text in enumerate("abab")]
        said += [await run(book, write(f"more-{n}", text, key="k")) for n, text in enumerate("abab")]
        states = [row["state"] for row in book.store.read.all("calls_in_state", state="succeeded")]

    again = Succeeded(call="call_0", result=RESULT, deduplicated=True)
    assert said[0] == Succeeded(call="call_0", result=RESULT)
    assert said[2::2] == [again] * 3
    assert [each.deny for each in said[1::2] if isinstance(each, Denied)] == [CONFLICT] * 4
    assert states == ["succeeded"]


@pytest.mark.promise("P2")
async def test_a_call_denied_beside_its_twin_does_not_hide_what_the_twin_did(tmp_path: Path) -> None:
    with ledger(tmp_path) as book:
        assert (await book.receive(write("twin"))) is None  # before the first one is claimed
        first = await run(book, write("first"))
        await book.store.write(
            lambda tx: switches.throw(tx, scope="all", mode="pause", reason="r", by="bo", now=NOW)
        )
        twin = await book.claim(write("twin"), {}, allowed())
        await book.store.write(
            lambda tx: switches.lift(tx, scope="all", reason="r", by="cy", now=NOW, self_allowed=False)
        )
        third = await run(book, write("third"))

    assert isinstance(twin, Denied)
    assert (first, third) == (
        Succeeded(call="call_first", result=RESULT),
        Succeeded(call="call_first", result=RESULT, deduplicated=True),
    )


@pytest.mark.promise("P2")
@pytest.mark.parametrize("step", [{"key": "k"}, {"run": "r", "step": "s"}])
async def test_what_succeeded_under_a_key_or_step_stays_found_after_a_later_denial(
    tmp_path: Path, step: dict[str, str]
) -> None:
    with ledger(tmp_path) as book:
        await run(book, write("first", **step))
        await book.store.write(
            lambda tx: calls.insert(tx, write("denied", **step), [], state="denied", now=NOW)
        )
        again = await run(book, write("again", **step))

    assert again == Succeeded(call="call_first", result=RESULT, deduplicated=True)


@pytest.mark.promise("P2")
@pytest.mark.parametrize("parks", [False, True])
async def test_two_calls_at_once_with_one_key_are_not_answered_for_each_other(
    tmp_path: Path, parks: bool
) -> None:
    one, other = write("one", "a", key="k"), write("other", "b", key="k")
    with ledger(tmp_path) as book:
        assert [await book.receive(one), await book.receive(other)] == [None, None]
        if parks:
            first = await book.close(one, ASK, [Finding("policy", ASK)])
            second = await book.close(other, ASK, [Finding("policy", ASK)])
        else:
            first = await book.claim(one, {}, allowed())
            second = await book.claim(other, {}, allowed())

    assert isinstance(first, Pending if parks else Claim)
    assert second == Denied(deny=CONFLICT, call="call_other")
