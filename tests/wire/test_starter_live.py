"""Every starter policy on the live path: one gateway, the seven embedded servers with the small world, real MCP clients."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp_types import CallToolResult
from tests.unit.policies.test_starter import tools

from house import House, house, said, text
from lockkeep.app import utc_now
from lockkeep.cli.start import starter_files
from lockkeep.ledger import generations
from lockkeep.policy.bundle import load
from lockkeep.store import Store
from lockkeep.upstream.opening import installed_server

SERVERS = ("BILLING", "CALENDAR", "CARRIER", "COMMERCE", "CRM", "NOTIFY", "TICKETING")
STAFF = {
    "cleo": "[support]", "bo": "[support-lead]", "flo": "[finance]", "sol": '[sales], accounts: ["crm:rep_10"]', "sam": "[sales-lead]",
    "leo": "[logistics-lead]",
}  # fmt: skip
EXPECTED = {
    "leads": ["done", "DENIED rule=leads/crm.upsert_lead/email-looks-right", "asks sales-lead"],
    "support": ["done", "DENIED rule=support/billing.create_refund/disputed", "asks support-lead, finance"],
    "rebooking": [
        "done",
        "DENIED rule=rebooking/carrier.rebook/still-on-its-way",
        "DIVERTED rule=rebooking/carrier.rebook/hazmat",
    ],
    "orders": [
        "done",
        "insufficient_stock",  # the last piece is gone: said by the server, at the moment that counts
        "DENIED rule=orders/commerce.reserve_stock/paid-first",
        "DIVERTED rule=orders/commerce.reserve_stock/on-hold",
    ],
    "onboarding": ["done", "DENIED rule=onboarding/crm.create_account/own-address", "asks sales-lead"],
    "invoices": [
        "done",
        "DENIED rule=invoices/billing.submit_invoice/drafts-only",
        "DIVERTED rule=invoices/billing.submit_invoice/no-match",
    ],
    "followup": ["done", "DENIED rule=followup/notify.send/to-the-lead", "asks user:sol"],
}


def texts() -> dict[str, str]:
    """What `lockkeep init --starter all` writes, with people in the groups that are asked."""
    found = {name: each.replace("ADMIN", "ada") for name, each in starter_files(["all"]).items()}
    staff = "".join(f"  {name}: {{groups: {groups}}}\n" for name, groups in STAFF.items())
    found["people.yaml"] = found["people.yaml"].replace("\ngroups:", f"\n{staff}groups:", 1)
    return found | {"catalog.lock.json": tools()}


@asynccontextmanager
async def starter(folder: Path, files: Mapping[str, str]) -> AsyncGenerator[House]:
    loaded, problems = load(files)
    assert loaded is not None, "\n".join(map(str, problems))
    (folder / "data").mkdir()
    store = Store(folder / "data" / "lockkeep.db")
    store.write_now(
        lambda tx: generations.activate(tx, files, after=0, by="test", reason="test", now=utc_now())
    )
    store.close()
    async with house(folder, servers=installed_server) as running:
        yield running


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
    found = texts()  # the catalog is read without a world
    for server in SERVERS:
        monkeypatch.setenv(f"LOCKKEEP_{server}_WORLD", "demo")
        monkeypatch.setenv(f"LOCKKEEP_{server}_WORLD_SIZE", "small")
    return found


@pytest.mark.full
async def test_every_starter_policy_lets_through_refuses_and_asks_on_the_live_path(
    tmp_path: Path, files: Mapping[str, str]
) -> None:
    got: dict[str, list[str]] = {}
    async with starter(tmp_path, files) as live:

        async def play(policy: str, agent: str, user: str, tool: str, **arguments: Any) -> CallToolResult:
            answer = await live.call(tool, arguments, user=user, agent=agent)
            got.setdefault(policy, []).append(how(answer))
            return answer

        async def look(agent: str, tool: str, **arguments: Any) -> dict[str, Any]:
            return said(await live.call(tool, arguments, user="ada", agent=agent))

        lead = {
            "email": "jo@acme.example",
            "company": "Acme",
            "name": "Jo Moe",
            "country": "DE",
            "source": "web",
        }
        await play("leads", "lead-router", "ada", "crm.upsert_lead", **lead)
        await play("leads", "lead-router", "ada", "crm.upsert_lead", **(lead | {"email": "jo@acme"}))
        await play(
            "leads",
            "lead-router",
            "ada",
            "crm.assign_owner",
            kind="lead",
            id="led_1",
            owner_id="rep_7",
            reason="covers the US",
        )

        refund = {"currency": "EUR", "reason": "damaged"}
        await play(
            "support",
            "support-desk",
            "cleo",
            "billing.create_refund",
            payment_id="pay_3",
            amount_minor=8000,
            ticket_id="tkt_1",
            **refund,
        )
        await play(
            "support",
            "support-desk",
            "cleo",
            "billing.create_refund",
            payment_id="pay_6",
            amount_minor=1000,
            ticket_id="tkt_4",
            **refund,
        )
        await play(
            "support",
            "support-desk",
            "cleo",
            "billing.create_refund",
            payment_id="pay_4",
            amount_minor=80000,
            ticket_id="tkt_2",
            **refund,
        )

        late = {"max_extra_minor": 7500, "currency": "EUR", "reason": "a day late"}
        rates = (await look("rebooker", "carrier.quote", shipment_id="shp_7"))["rates"]
        await play(
            "rebooking",
            "rebooker",
            "ada",
            "carrier.rebook",
            shipment_id="shp_7",
            rate_id=rates[0]["rate_id"],
            **late,
        )
        await play(
            "rebooking", "rebooker", "ada", "carrier.rebook", shipment_id="shp_14", rate_id="rate_1", **late
        )
        await play(
            "rebooking", "rebooker", "ada", "carrier.rebook", shipment_id="shp_9", rate_id="rate_1", **late
        )

        last = [{"sku": "LK-1001", "qty": 1}]
        await play("orders", "order-desk", "ada", "commerce.reserve_stock", order_id="ord_1", lines=last)
        await play("orders", "order-desk", "ada", "commerce.reserve_stock", order_id="ord_2", lines=last)
        await play("orders", "order-desk", "ada", "commerce.reserve_stock", order_id="ord_11", lines=last)
        await play(
            "orders",
            "order-desk",
            "ada",
            "commerce.reserve_stock",
            order_id="ord_12",
            lines=[{"sku": "LK-1062", "qty": 6}],
        )

        address = (await look("onboarder", "crm.get", kind="contact", id="con_13"))["record"]["email"]
        account = {"customer_id": "con_13", "email": address}
        await play("onboarding", "onboarder", "ada", "crm.create_account", plan="team", **account)
        await play(
            "onboarding",
            "onboarder",
            "ada",
            "crm.create_account",
            customer_id="con_14",
            email=address,
            plan="team",
        )
        address = (await look("onboarder", "crm.get", kind="contact", id="con_15"))["record"]["email"]
        await play(
            "onboarding",
            "onboarder",
            "ada",
            "crm.create_account",
            customer_id="con_15",
            email=address,
            plan="business",
        )

        await play("invoices", "invoice-clerk", "ada", "billing.submit_invoice", invoice_id="inv_1")
        posted = (await look("invoice-clerk", "billing.search_invoices", status=["posted"]))["items"][0]["id"]
        await play("invoices", "invoice-clerk", "ada", "billing.submit_invoice", invoice_id=posted)
        await play("invoices", "invoice-clerk", "ada", "billing.submit_invoice", invoice_id="inv_2")

        address = (await look("follow-up", "crm.get", kind="lead", id="led_5"))["record"]["email"]
        mail = {
            "ref": "led_5",
            "subject": "Your demo",
            "body": "Shall we talk?",
            "schedule_at": "2099-01-05T10:00:00Z",
        }
        await play(
            "followup",
            "follow-up",
            "ada",
            "crm.log_activity",
            kind="lead",
            id="led_5",
            type="note",
            body="Call first",
        )
        await play("followup", "follow-up", "ada", "notify.send", to="eve@evil.example", **mail)
        await play("followup", "follow-up", "ada", "notify.send", to=address, **mail)

        assert live.sound()

    assert got == EXPECTED


def how(answer: CallToolResult) -> str:
    """In a word how it ended, and by which rule, or who is asked."""
    facts = said(answer)
    if facts.get("applied"):
        return "done"
    if facts.get("status") == "pending_approval":
        return f"asks {', '.join(facts['approvers'])}"
    if "error" in facts:
        return facts["error"]["code"]
    return text(answer).partition(" retry=")[0]
