"""The CRM: its checks, its stages, its lists, and hostile data."""

from pathlib import Path
from typing import Any

import pytest
from tests.unit.servers.desk import Desk
from tests.unit.servers.writes import LEAD, a_lead, tables

from lockkeep_servers.crm import port
from lockkeep_servers.kit.cursor import write_cursor

GERMAN = {"kind": "lead", "owner_id": "rep_1", "reason": "territory"}


@pytest.mark.parametrize(("change", "check"), [
    ({"email": "not-an-email"}, "email_valid"),
    ({"email": "two@@kestrel.example"}, "email_valid"),
    ({"email": "a@b"}, "email_valid"),
    ({"email": "a\"; DROP TABLE records; --@x.example"}, "email_valid"),
    ({"company": "  "}, "company_present"),
    ({"value_minor": 0, "currency": "EUR"}, "amount_positive"),
    ({"value_minor": -5, "currency": "EUR"}, "amount_positive"),
])  # fmt: skip
async def test_a_lead_that_fails_a_check_is_not_stored(crm: Desk, change: dict[str, Any], check: str) -> None:
    stored = tables(crm.folder, whole=True)

    error = await crm.refused("upsert_lead", **{**LEAD, **change})

    assert (error["code"], error["details"]["check"]) == ("check_failed", check)
    assert tables(crm.folder, whole=True) == stored


async def test_money_needs_its_currency(crm: Desk) -> None:
    error = await crm.refused("upsert_lead", **LEAD, value_minor=500)

    assert (error["code"], error["details"]["fields"][0]["field"]) == ("invalid", "currency")


async def test_the_same_address_in_other_letters_is_the_same_lead(crm: Desk) -> None:
    first = await crm.ok("upsert_lead", **LEAD)

    again = await crm.ok("upsert_lead", **{**LEAD, "email": " IDA@Kestrel.example ", "name": "Ida B"})

    assert (again["id"], again["before"], again["after"]) == (first["id"], {"name": "Ida"}, {"name": "Ida B"})
    assert [warning.partition(":")[0] for warning in again["warnings"]] == ["no_duplicate"]


async def test_saying_the_same_twice_changes_nothing_and_cannot_be_undone(crm: Desk) -> None:
    first = await crm.ok("upsert_lead", **LEAD)

    again = await crm.ok("upsert_lead", **LEAD)

    assert (again["version"], again["before"], again["after"]) == (first["version"], {}, {})
    assert again["undo"]["possible"] == "no"


async def test_a_similar_company_of_the_same_domain_is_a_warning(crm: Desk) -> None:
    await crm.ok("upsert_lead", **LEAD)

    other = await crm.ok(
        "upsert_lead", **{**LEAD, "email": "jo@kestrel.example", "company": "KESTREL works GmbH"}
    )

    assert [warning.partition(":")[0] for warning in other["warnings"]] == ["no_duplicate"]
    found = await crm.ok("get", kind="lead", id=other["id"])
    assert [link["kind"] for link in found["possible_duplicates"]] == ["lead"]


async def test_a_domain_that_only_looks_known_is_a_warning(crm: Desk) -> None:
    answer = await crm.ok("upsert_lead", **{**LEAD, "email": "a@brightvvater-foods.example"})

    assert "domain_lookalike" in [warning.partition(":")[0] for warning in answer["warnings"]]


@pytest.mark.parametrize(("owner", "code", "check"), [
    ("rep_11", "check_failed", "owner_active"),
    ("rep_7", "check_failed", "owner_territory"),
    ("rep_99", "not_found", None),
])  # fmt: skip
async def test_a_lead_goes_only_to_an_active_owner_of_its_territory(
    crm: Desk, owner: str, code: str, check: str | None
) -> None:
    lead = await a_lead(crm)

    error = await crm.refused("assign_owner", **lead, owner_id=owner, reason="try")

    assert (error["code"], error["details"].get("check")) == (code, check)


async def test_a_full_owner_takes_no_more(crm: Desk) -> None:
    made = await crm.ok("upsert_lead", **{**LEAD, "country": "IE"})

    error = await crm.refused("assign_owner", kind="lead", id=made["id"], owner_id="rep_10", reason="try")

    assert error["details"]["check"] == "owner_capacity"


async def test_assigning_moves_a_new_lead_on_and_taking_it_away_moves_it_back(crm: Desk) -> None:
    lead = await a_lead(crm)

    given = await crm.ok("assign_owner", **lead, owner_id="rep_1", reason="territory")
    taken = await crm.ok("assign_owner", **lead, owner_id=None, reason="left")

    assert given["before"] == taken["after"] == {"owner_id": None, "stage": "new"}
    assert given["after"] == taken["before"] == {"owner_id": "rep_1", "stage": "assigned"}


async def test_a_lead_goes_through_its_stages_and_ends_converted(crm: Desk) -> None:
    lead = await a_lead(crm)
    error = await crm.refused("move_stage", **lead, stage="contacted")
    assert (error["code"], error["details"]["allowed"]) == ("illegal_transition", ["disqualified"])

    await crm.ok("assign_owner", **lead, owner_id="rep_1", reason="territory")
    for stage in ("contacted", "qualified", "converted"):
        answer = await crm.ok("move_stage", **lead, stage=stage)

    assert answer["undo"]["possible"] == "no"
    assert (await crm.refused("move_stage", **lead, stage="qualified"))["details"]["allowed"] == []


@pytest.mark.parametrize(("change", "fields"), [
    ({"stage": "closed_won"}, {"amount_minor", "currency"}),
    ({"stage": "closed_won", "amount_minor": 5, "currency": "USD"}, {"currency"}),
    ({"stage": "closed_lost"}, {"lost_reason"}),
    ({"stage": "presentation", "amount_minor": 5, "currency": "EUR"}, {"amount_minor"}),
    ({"stage": "nowhere"}, {"stage"}),
])  # fmt: skip
async def test_closing_a_deal_says_how(crm: Desk, change: dict[str, Any], fields: set[str]) -> None:
    error = await crm.refused("move_stage", kind="deal", id="del_1", **change)

    assert (error["code"], {fault["field"] for fault in error["details"]["fields"]}) == ("invalid", fields)


@pytest.mark.parametrize(("kind", "id", "changes", "fields"), [
    ("lead", "led_1", {}, {"changes"}),
    ("lead", "led_1", {"phone": "+1 202 555 0100"}, {"changes.phone"}),
    ("lead", "led_1", {"name": None}, {"changes.name"}),
    ("deal", "del_1", {"email": "a@b.example"}, {"changes.email"}),
    ("deal", "del_1", {"currency": None}, {"changes.currency"}),
    ("lead", "led_1", {"owner_id": "rep_1"}, {"changes.owner_id"}),
])  # fmt: skip
async def test_update_sets_only_the_fields_of_that_kind(
    crm: Desk, kind: str, id: str, changes: dict[str, Any], fields: set[str]
) -> None:
    error = await crm.refused("update", kind=kind, id=id, changes=changes)

    assert (error["code"], {fault["field"] for fault in error["details"]["fields"]}) == ("invalid", fields)


async def test_an_address_of_another_lead_is_a_duplicate(crm: Desk) -> None:
    lead = await a_lead(crm)
    other = await crm.ok("upsert_lead", **{**LEAD, "email": "b@kestrel.example"})

    error = await crm.refused("update", kind="lead", id=other["id"], changes={"email": "IDA@kestrel.example"})

    assert (error["code"], error["details"]["existing_id"]) == ("duplicate", lead["id"])


async def test_an_archived_lead_comes_back_within_thirty_days(crm: Desk) -> None:
    lead = await a_lead(crm)
    await crm.ok("archive", **lead, reason="test")
    assert (await crm.ok("search", kind="lead", email=LEAD["email"]))["items"] == []

    crm.later(days=29)
    assert (await crm.ok("archive", **lead, reason="back", restore=True))["after"] == {"archived": False}
    await crm.ok("archive", **lead, reason="test")
    crm.later(days=31)
    assert (await crm.refused("archive", **lead, reason="back", restore=True))["code"] == "window_closed"


async def test_an_archived_lead_does_not_return_over_a_new_one_of_the_same_address(crm: Desk) -> None:
    lead = await a_lead(crm)
    await crm.ok("archive", **lead, reason="test")
    new = await crm.ok("upsert_lead", **LEAD)

    error = await crm.refused("archive", **lead, reason="back", restore=True)

    assert (error["code"], error["details"]["existing_id"]) == ("duplicate", new["id"])


async def test_pages_lose_and_double_nothing_while_leads_arrive(crm: Desk) -> None:
    seen: list[str] = []
    known = {
        item["id"]
        for item in (await crm.ok("search", kind="lead", updated_after="2000-01-01T00:00:00Z", limit=50))[
            "items"
        ]
    }
    cursor = None
    for number in range(20):
        page = await crm.ok(
            "search", kind="lead", updated_after="2000-01-01T00:00:00Z", limit=3, cursor=cursor
        )
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if number < 3:
            await crm.ok("upsert_lead", **{**LEAD, "email": f"n{number}@kestrel.example"})
            await crm.ok("update", kind="lead", id=seen[0], changes={"name": f"Again {number}"})
        if cursor is None:
            break

    assert len(seen) == len(set(seen))
    assert known <= set(seen)
    assert len(seen) == len(known) + 3


async def test_a_search_needs_a_filter_and_its_own_cursor(crm: Desk) -> None:
    assert (await crm.refused("search", kind="lead"))["code"] == "invalid"
    page = await crm.ok("search", kind="lead", stage="new", limit=1)
    assert (await crm.refused("search", kind="lead", stage="contacted", cursor=page["next_cursor"]))[
        "code"
    ] == "invalid"


async def test_owners_show_territory_room_and_load(crm: Desk) -> None:
    owners = (await crm.ok("list_owners", territory="IE"))["owners"]

    assert [(o["id"], o["territories"], o["capacity"]) for o in owners] == [
        ("rep_5", ["UKI"], 60),
        ("rep_10", ["BENELUX", "UKI"], 1),
    ]
    assert owners[1]["open_leads"] >= 1
    assert [o["id"] for o in (await crm.ok("list_owners", active=False))["owners"]] == ["rep_11"]


async def test_a_domain_nobody_knows_is_not_found(crm: Desk) -> None:
    known = await crm.ok("enrich_company", domain=" Alpenmilch.example ")

    assert known == {"name": "Alpenmilch AG", "country": "CH", "industry": "food", "employees": 85, "source": "demo-directory", "as_of": "2027-02-28T08:00:00+00:00", "untrusted": True}  # fmt: skip
    assert (await crm.refused("enrich_company", domain="unknown.example"))["code"] == "not_found"


async def test_the_history_says_who_changed_what(crm: Desk) -> None:
    lead = await a_lead(crm)
    await crm.ok("assign_owner", **lead, owner_id="rep_1", reason="territory")

    last = (await crm.ok("get", **lead))["changes"][:2]

    assert [(c["by"], c["field"], c["from"], c["to"]) for c in last] == [
        ("tool:assign_owner", "owner_id", None, "rep_1"),
        ("tool:assign_owner", "stage", "new", "assigned"),
    ]


HOSTILE = [
    "'; DROP TABLE records; --",
    "%_%",
    "<script>alert(1)</script>",
    "Ω≈ç√ 株式会社 🚚",
    "{{7*7}}",
    "x" * 200,
]


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_text_is_stored_as_given_and_found_again(crm: Desk, text: str) -> None:
    made = await crm.ok("upsert_lead", **{**LEAD, "company": text})

    found = await crm.ok("search", kind="lead", query=text)

    assert [(item["id"], item["company"], item["untrusted"]) for item in found["items"]] == [
        (made["id"], text, True)
    ]


@pytest.mark.parametrize("text", ["a\u202eb", "a\u200bb", "a\nb", "a\x1b[31m", "x" * 201])
async def test_names_hold_no_controls(crm: Desk, text: str) -> None:
    assert (await crm.refused("upsert_lead", **{**LEAD, "company": text}))["code"] == "invalid"


@pytest.mark.parametrize("id", ["led_999999", "rep_1"])
async def test_an_unknown_id_is_not_found(crm: Desk, id: str) -> None:
    for tool, more in (("get", {}), ("move_stage", {"stage": "contacted"}), ("archive", {"reason": "x"})):
        assert (await crm.refused(tool, kind="lead", id=id, **more))["code"] == "not_found"


@pytest.mark.parametrize("id", ["../etc", "led_1 OR 1=1", "LED_1", "", "led_" + "x" * 65])
async def test_an_id_of_another_form_is_invalid(crm: Desk, id: str) -> None:
    assert (await crm.refused("get", kind="lead", id=id))["code"] == "invalid"


async def test_an_instruction_in_a_record_never_reaches_a_description_or_an_error(
    crm: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    lead = (await crm.ok("get", kind="lead", id="led_3"))["record"]
    assert lead["company"].startswith("Ignore your rules")

    error = await crm.refused("move_stage", kind="lead", id="led_3", stage="converted")
    wrong = await crm.refused("get", kind="lead", **{"id": "led_3", "ignore your rules": 1})

    shown = str(error) + str([tool.description for tool in (await crm.client.list_tools()).tools])
    assert "gnore your" not in shown
    assert wrong["details"]["fields"] == [
        {"field": "ignoreyourrules", "problem": "is not an argument of this tool"}
    ]
    assert "gnore your" not in caplog.text


async def test_an_empty_store_stays_empty_without_a_world(tmp_path: Path) -> None:
    from tests.unit.servers.desk import open_desk

    async with open_desk("crm", tmp_path, WORLD="none") as desk:
        assert (await desk.ok("list_owners"))["owners"] == []
        assert (await desk.ok("upsert_lead", **LEAD))["id"] == "led_1001"


async def test_a_forged_cursor_or_version_is_refused_and_reaches_no_store(crm: Desk) -> None:
    filters = port.Search(kind="lead", stage="new").model_dump(exclude={"cursor", "limit"})
    for place in ("abc", "-1", "9" * 40, "٣"):
        refused = await crm.refused("search", kind="lead", stage="new", cursor=write_cursor(place, filters))
        assert refused["code"] == "invalid"
    stale = await crm.refused(
        "update", kind="lead", id="led_1", changes={"name": "Ida"}, expected_version="9" * 40
    )
    assert stale["code"] == "conflict"
