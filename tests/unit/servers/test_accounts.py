"""The CRM's onboarding toolset: one account a customer, moved from status to status until closed."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.servers.desk import MONDAY, Desk, open_desk

from lockkeep_servers.kit.settings import SettingError
from lockkeep_servers.kit.world import build_world

ACCOUNT = {"customer_id": "con_1", "email": "ida@kestrel.example", "plan": "Pro"}


@pytest.fixture
async def onboarding(tmp_path: Path) -> AsyncGenerator[Desk]:
    async with open_desk("crm", tmp_path / "crm", TOOLSETS="onboarding", WORLD="none") as desk:
        yield desk


async def test_the_world_has_the_accounts_that_its_messages_speak_of(tmp_path: Path) -> None:
    world = build_world(42, MONDAY.date(), "small")
    async with open_desk("crm", tmp_path / "crm", TOOLSETS="onboarding") as desk:
        for account in world.accounts:
            found = (await desk.ok("get", kind="account", id=account.id))["record"]
            said = {name: found[name] for name in ("customer_id", "email", "plan", "status")}
            assert said == {name: getattr(account, name) for name in said}
        first = world.accounts[0]
        ask = {"customer_id": first.customer_id, "email": first.email, "plan": f"not {first.plan}"}
        again = await desk.refused("create_account", **ask)
        assert again["details"]["existing_id"] == first.id
    assert {message.ref for message in world.queue if message.ref.startswith("acc_")} <= {
        account.id for account in world.accounts
    }


async def status_of(desk: Desk, id: str) -> str:
    return (await desk.ok("get", kind="account", id=id))["record"]["status"]


async def test_a_toolset_is_what_is_listed(tmp_path: Path, onboarding: Desk) -> None:
    tools = {tool.name for tool in (await onboarding.client.list_tools()).tools}

    assert tools == {"get", "create_account", "set_account_status", "get_receipt"}
    with pytest.raises(SettingError, match="choose of: sales, onboarding"):
        async with open_desk("crm", tmp_path / "other", TOOLSETS="sales,billing", WORLD="none"):
            pass


async def test_a_customer_has_one_account(onboarding: Desk) -> None:
    made = await onboarding.ok("create_account", **ACCOUNT)
    again = await onboarding.ok("create_account", **ACCOUNT)
    other = await onboarding.refused("create_account", **{**ACCOUNT, "plan": "Basic"})
    wrong = await onboarding.refused("create_account", **{**ACCOUNT, "email": "ida"})

    assert (made["before"], made["after"]["status"]) == (None, "pending")
    assert (again["id"], again["before"], again["after"]) == (made["id"], {}, {})
    assert (other["code"], other["details"]["existing_id"]) == ("duplicate", made["id"])
    assert wrong["details"]["check"] == "email_valid"


async def test_a_status_moves_and_is_taken_back(onboarding: Desk) -> None:
    id = (await onboarding.ok("create_account", **ACCOUNT))["id"]
    for status in ("onboarding_started", "active", "suspended"):
        args: dict[str, Any] = {"id": id, "status": status, "reason": "next"}
        was = await status_of(onboarding, id)
        receipt = await onboarding.ok("set_account_status", **args)
        await onboarding.undo("set_account_status", args, receipt)
        assert await status_of(onboarding, id) == was
        await onboarding.ok("set_account_status", **args)

    jumped = await onboarding.refused("set_account_status", id=id, status="nobody", reason="x")
    assert jumped["code"] == "invalid"


async def test_a_new_account_is_taken_back_by_suspending_it(onboarding: Desk) -> None:
    receipt = await onboarding.ok("create_account", **ACCOUNT)
    await onboarding.undo("create_account", ACCOUNT, receipt)

    assert await status_of(onboarding, receipt["id"]) == "suspended"


async def test_closed_is_final_and_a_stale_version_changes_nothing(onboarding: Desk) -> None:
    id = (await onboarding.ok("create_account", **ACCOUNT))["id"]
    stale = await onboarding.refused(
        "set_account_status", id=id, status="suspended", reason="x", expected_version="9"
    )
    closed = await onboarding.ok("set_account_status", id=id, status="closed", reason="left")
    back = await onboarding.refused("set_account_status", id=id, status="active", reason="came back")
    nobody = await onboarding.refused("set_account_status", id="acc_9", status="active", reason="x")

    assert (stale["code"], closed["undo"]["possible"]) == ("conflict", "no")
    assert (back["code"], back["details"]["allowed"]) == ("illegal_transition", [])
    assert nobody["code"] == "not_found"
