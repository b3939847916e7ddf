"""Secrets that hosts, people and servers let slip do not stand in the log, nor in anything made from it (P10)."""

from pathlib import Path

import pytest
from mcp_types import CallToolResult

from crash.command import command
from house import ALLOW_ALL, house, said
from lockkeep.ledger import approvals, switches
from shop import Shop

ASK = ALLOW_ALL + "  shop.write:\n    allow: [staff, lead, finance]\n    ask: {from: [lead], say: Look.}\n"
CANARIES = [
    "sk" + f"_live_4eC39HqLyjWDarjtT1zdp7d{number}" for number in range(8)
]  # put together: no leak of ours


@pytest.mark.promise("P10")
async def test_what_slips_into_arguments_names_reasons_and_headers_stays_out_of_the_log(
    tmp_path: Path,
) -> None:
    tool, argument, step, run, why_no, why_stop, result, key = CANARIES
    shop = Shop()

    async def leak(_tool: str, _arguments: object) -> CallToolResult:
        raise ValueError(f"password={result}")

    async with house(tmp_path, shop, rules=ASK) as at:
        await at.call(f"shop.{tool}", {"id": argument})
        await at.call("shop.write", {"id": argument, argument: argument})
        await at.call("shop.read", {"id": "a"}, meta={"lockkeep/run": run, "lockkeep/step": step})
        await at.call("shop.read", {"id": "b"}, meta={"lockkeep/idempotency_key": key})
        asked = said(await at.call("shop.write", {"id": "t1", "text": argument}))
        people = at.gateway.in_force.current
        assert people is not None
        row = approvals.find(at.store.read, asked["approval_id"])
        await at.store.write(
            lambda tx: approvals.vote(
                tx, row["id"], people.people.persons["bo"], "deny", shown=row["bound"], reason=why_no, channel="test",
                now=at.clock(), people=people.people.persons, owner=None,
            )
        )  # fmt: skip
        shop.behave = leak
        await at.call("shop.read", {"id": "c"})
        await at.store.write(
            lambda tx: switches.throw(tx, scope="all", mode="kill", reason=why_stop, by="bo", now=at.clock())
        )
        environ = {"LOCKKEEP_DATA": str(tmp_path / "data")}
        made = [
            await command(environ, "audit", *words)
            for words in (("export",), ("export", "--format", "csv"), ("tail", "--json"), ("evidence",), ("evidence", "--json"))
        ]  # fmt: skip
        texts = [*(ran.out for ran in made), *(str(record) for record in at.audit())]

        assert [ran.code for ran in made] == [0] * 5
        assert [canary for canary in CANARIES if any(canary in text for text in texts)] == []
        assert any("[key hidden]" in text for text in texts)
        assert at.sound()
