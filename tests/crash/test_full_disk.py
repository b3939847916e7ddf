"""A disk without room: nothing is sent that cannot be written down first, and nobody is told it was (P2, P6, P7)."""

# pyright: reportPrivateUsage=false

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp_types import CallToolResult

from house import House, house, said
from shop import ok

BIG = "x" * 2000


def room(home: House, pages: int) -> None:
    """The store may grow by so many pages and no more."""
    db = home.store._db
    used = db.execute("PRAGMA page_count").fetchone()[0]
    db.execute(f"PRAGMA max_page_count = {used + pages}")


@pytest.mark.crash
@pytest.mark.promise("P6", "P7")
async def test_on_a_full_disk_calls_are_denied_and_nothing_is_executed(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        room(home, 8)
        answers = [said(await home.call("shop.write", {"id": f"t{n}", "text": BIG})) for n in range(12)]
        applied = [answer for answer in answers if answer.get("applied")]
        refused = [answer for answer in answers if not answer.get("applied")]
        read = said(await home.call("shop.read", {"id": "t1"}))
        room(home, 100_000)
        await home.call("shop.write", {"id": "after", "text": "room again"})

        assert {answer.get("code") for answer in refused} == {"gateway_failed"}
        assert len(refused) > 3
        assert [thing["id"] for _, thing in home.shop.effects] == [
            *(answer["id"] for answer in applied),
            "after",
        ]
        assert read.get("code", "gateway_failed") == "gateway_failed"
        assert home.sound()


@pytest.mark.crash
@pytest.mark.promise("P2", "P7")
async def test_a_disk_that_fills_while_a_write_is_on_the_wire_leaves_it_unknown_until_there_is_room(
    tmp_path: Path,
) -> None:
    async with house(tmp_path) as home:

        async def fill(_tool: str, _arguments: Mapping[str, Any]) -> CallToolResult:
            room(home, 0)
            return ok({"applied": True, "id": BIG})  # more than the free rest of the pages

        home.shop.after = fill
        lost = said(await home.call("shop.write", {"id": "t1", "text": BIG}))
        home.shop.after = None
        room(home, 100_000)
        with anyio.fail_after(10):
            while home.states() != ["succeeded"]:
                await anyio.sleep(0.02)
        again = said(await home.call("shop.write", {"id": "t1", "text": BIG}))

        assert (lost["status"], again["applied"]) == ("unknown", True)
        assert len(home.shop.effects) == 1
        assert home.sound()
