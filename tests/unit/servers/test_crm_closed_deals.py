"""What a closed deal or lead says of its end can be changed, and the change undone by the manifest."""

from typing import Any

import pytest
from tests.unit.servers.desk import Desk

from lockkeep_servers.check.undoing import plan

WON = {"kind": "deal", "id": "del_1", "stage": "closed_won", "amount_minor": 700_000, "currency": "EUR"}
LOST = {"kind": "deal", "id": "del_1", "stage": "closed_lost", "lost_reason": "too dear"}


@pytest.mark.parametrize(
    ("first", "change"), [(WON, {"amount_minor": 650_000}), (LOST, {"lost_reason": "no budget"})]
)
async def test_how_a_deal_ended_is_corrected_and_taken_back(
    crm: Desk, first: dict[str, Any], change: dict[str, Any]
) -> None:
    await crm.ok("move_stage", **first)
    args = {**first, **change}
    done = await crm.ok("move_stage", **args)
    again = await crm.ok("move_stage", **args)
    planned = plan(await crm.effect("move_stage"), {"args": args, "result": done, "before": done["before"]})

    assert planned is not None
    undone = await crm.ok(planned[0], **planned[1])

    assert (undone["before"], undone["after"]) == (done["after"], done["before"])
    assert (done["before"]["stage"], done["after"]["stage"]) == (first["stage"], first["stage"])
    assert (again["before"], again["after"]) == ({}, {})
    assert (await crm.ok("get", kind="deal", id="del_1"))["record"]["stage"] == first["stage"]


async def test_a_name_is_not_emptied(crm: Desk) -> None:
    error = await crm.refused("update", kind="deal", id="del_1", changes={"name": " "})
    assert [fault["field"] for fault in error["details"]["fields"]] == ["changes.name"]
