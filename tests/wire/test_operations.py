"""A tool that does many things: each call is judged as what it really does (P1)."""

from pathlib import Path
from typing import Any

import pytest
from mcp_types import Tool

from house import House, house, said
from lockkeep.ledger import calls
from shop import RECEIPT, TEXT, Shop

OPERATIONS = [
    {"when": "item.op == 'read'", "operation": "crm.get_object", "class": "read"},
    {"when": "item.op == 'update' && args.kind == 'deals'", "operation": "crm.update_deal", "class": "write"},
    {"when": "item.op == 'delete'", "operation": "crm.delete_object", "class": "irreversible"},
]
WIDE = Tool(
    name="manage",
    description="Manage objects.",
    input_schema={
        "type": "object",
        "properties": {
            "id": TEXT,
            "kind": {"type": "string", "enum": ["deals", "contacts"]},
            "objects": {"type": "array", "items": {"type": "object", "properties": {"op": TEXT}}},
        },
        "required": ["id", "kind", "objects"],
        "additionalProperties": False,
    },
    output_schema=RECEIPT,
    _meta={
        "lockkeep/effect": {
            "class": "irreversible",
            "subject": "args.id",
            "each": "args.objects",
            "operations": OPERATIONS,
            "undo": "none",
        }
    },
)
POLICY = """\
api: lockkeep/v1
policy: shop
owner: lead
applies_to: {everywhere: true}
tools:
  shop.manage:
    allow: anyone
    deny:
      - {name: never-delete, when: tool.operation == "crm.delete_object", say: Nothing is deleted., fix: Archive it.}
      - {name: not-contacts, when: [tool.class != "read", kind == "contacts"], say: Not contacts.}
"""


def wide() -> Shop:
    shop = Shop()
    shop.tools = [*shop.tools, WIDE]
    return shop


async def manage(home: House, kind: str, *operations: str) -> dict[str, Any]:
    objects = [{"op": each} for each in operations]
    return said(await home.call("shop.manage", {"id": "t1", "kind": kind, "objects": objects}))


@pytest.mark.promise("P1")
async def test_rules_class_and_record_speak_of_the_operation(tmp_path: Path) -> None:
    async with house(tmp_path, wide()) as home:
        await home.rules(rules=POLICY)
        assert (await manage(home, "deals", "update", "update"))["applied"]
        assert (await manage(home, "contacts", "read"))["applied"]
        denied = await manage(home, "deals", "delete")

        assert denied["rule"] == "shop/shop.manage/never-delete"
        rows = home.store.read.all("calls_list", state=None, tool=None, agent=None, user=None, count=9)
        found = [(calls.find(home.store.read, row["id"])["operation"], row["risk"]) for row in reversed(rows)]
        assert found[:2] == [("crm.update_deal", "write"), ("crm.get_object", "read")]


@pytest.mark.promise("P1", "P6")
@pytest.mark.parametrize(("kind", "operations", "code"), [
    ("contacts", ["update"], "arguments.operation"),
    ("deals", ["merge"], "arguments.operation"),
    ("deals", [], "arguments.operation"),
    ("deals", ["read", "delete"], "arguments.mixed"),
    ("leads", ["update"], "arguments.invalid"),
])  # fmt: skip
async def test_what_no_operation_describes_is_denied(
    tmp_path: Path, kind: str, operations: list[str], code: str
) -> None:
    async with house(tmp_path, wide()) as home:
        await home.rules(rules=POLICY)
        denied = await manage(home, kind, *operations)

        assert denied["code"] == code
        assert home.shop.effects == []


@pytest.mark.promise("P1", "P6")
async def test_a_condition_that_cannot_be_worked_out_matches_nothing(tmp_path: Path) -> None:
    async with house(tmp_path, wide()) as home:
        await home.rules(rules=POLICY)
        denied = said(await home.call("shop.manage", {"id": "t1", "kind": "deals", "objects": [{}]}))

        assert denied["code"] == "arguments.operation"
        assert home.shop.effects == []


@pytest.mark.promise("P6")
async def test_a_list_too_long_to_tell_is_denied(tmp_path: Path) -> None:
    async with house(tmp_path, wide()) as home:
        await home.rules(rules=POLICY)
        denied = await manage(home, "deals", *(["update"] * 201))

        assert denied["code"] == "arguments.operation"
        assert home.shop.effects == []


KEYED = """\
api: lockkeep/v1
policy: shop
owner: lead
applies_to: {everywhere: true}
tools:
  crm.get_object: {allow: anyone}
  crm.update_deal:
    allow: [staff]
    ask: {from: [lead]}
"""


@pytest.mark.promise("P1")
async def test_a_rule_for_an_operation_speaks_of_that_one_thing_only(tmp_path: Path) -> None:
    async with house(tmp_path, wide()) as home:
        await home.rules(rules=KEYED)
        read, asked = await manage(home, "deals", "read"), await manage(home, "deals", "update")
        refused = await manage(home, "deals", "delete")

    assert (read, asked["status"]) == ({"applied": True, "id": "t1"}, "pending_approval")
    assert asked["rules"] == ["shop/crm.update_deal/ask-1"]
    assert refused["code"] == "policy.not_allowed"


async def test_what_a_block_says_of_answers_stays_with_its_operation(tmp_path: Path) -> None:
    more = "    results: {hide: [id]}\n    undo: {who: [lead]}\n"
    async with house(tmp_path, wide()) as home:
        await home.rules(rules=KEYED.replace("    ask: {from: [lead]}\n", more))
        read, updated = await manage(home, "deals", "read"), await manage(home, "deals", "update")

    assert (read, updated) == ({"applied": True, "id": "t1"}, {"applied": True})


# -- a wide tool of another vendor, under our own names ---------------------------------------------------------------

AMOUNT = {
    "minor": "args.objects[0].properties.amount_minor",
    "currency": "args.objects[0].properties.currency",
}
VENDOR = Tool(
    name="bulk",
    description="Manage objects.",
    input_schema={
        "type": "object",
        "properties": {
            "objects": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "id": TEXT,
                        "properties": {
                            "type": "object",
                            "properties": {
                                "amount_minor": {"type": "integer"},
                                "currency": TEXT,
                                "stage": TEXT,
                            },
                        },
                    },
                },
            },
            "id": TEXT,
        },
        "required": ["objects", "id"],
        "additionalProperties": False,
    },
    output_schema=RECEIPT,
    _meta={
        "lockkeep/effect": {
            "class": "write",
            "undo": "none",
            "operations": [
                {
                    "when": "true",
                    "operation": "crm.update_deal",
                    "subject": "args.objects[0].id",
                    "amount": AMOUNT,
                    "args": {
                        "id": "= args.objects[0].id",
                        "stage": "= args.objects[0].properties.stage",
                        "amount_minor": f"= {AMOUNT['minor']}",
                        "currency": f"= {AMOUNT['currency']}",
                        "label": "= args.id + args.objects[0].id",
                    },
                }
            ],
        }
    },
)
PROJECTED = """\
api: lockkeep/v1
policy: deals
owner: lead
applies_to: {everywhere: true}
read:
  deal: {call: shop.read, with: {id: = id}}
tools:
  crm.update_deal:
    allow: anyone
    deny:
      - {name: won, when: 'has(stage) && stage == "won"', say: "{id} is won.", fix: Leave it.}
      - {name: frozen, when: "has(deal.frozen) && deal.frozen"}
    ask:
      - {name: large, when: has(amount) && amount > 900 EUR, from: [lead]}
    change: {amount: at_most 950 EUR}
    limit: {name: calm, up_to: 1 per day per id}
  shop.bulk:
    deny: [{name: raw, when: 'id == "odd"'}]
"""


def deal(thing: str, **properties: Any) -> dict[str, Any]:
    return {"id": "ok", "objects": [{"id": thing, "properties": properties}]}


def vendor(things: dict[str, dict[str, Any]] | None = None) -> Shop:
    shop = Shop(things=things or {})
    shop.tools = [*shop.tools, VENDOR]
    return shop


@pytest.mark.promise("P1")
async def test_rules_of_an_operation_see_its_arguments_under_their_own_names(tmp_path: Path) -> None:
    async with house(tmp_path, vendor({"d9": {"id": "d9", "frozen": True}})) as home:
        await home.rules(rules=PROJECTED)
        won = said(await home.call("shop.bulk", deal("d1", stage="won")))
        frozen = said(await home.call("shop.bulk", deal("d9")))
        asked = said(await home.call("shop.bulk", deal("d2", amount_minor=95_000, currency="EUR")))
        raw = said(await home.call("shop.bulk", {**deal("d3"), "id": "odd"}))
        fine = said(await home.call("shop.bulk", deal("d3")))
        again = said(await home.call("shop.bulk", deal("d3", stage="new")))

    assert (won["rule"], won["reason"]) == ("deals/crm.update_deal/won", "d1 is won.")
    assert frozen["rule"] == "deals/crm.update_deal/frozen"
    assert asked["rules"] == ["deals/crm.update_deal/large"]
    assert raw["rule"] == "deals/shop.bulk/raw"
    assert (fine["applied"], again["rule"]) == (True, "deals/crm.update_deal/calm")


async def test_a_change_reaches_the_place_behind_the_name(tmp_path: Path) -> None:
    async with house(tmp_path, vendor()) as home:
        await home.rules(rules=PROJECTED.replace("950 EUR", "50 EUR"))
        await home.call("shop.bulk", deal("d1", amount_minor=9_000, currency="EUR", stage="new"))

    assert home.shop.effects[-1][1] == deal("d1", amount_minor=5_000, currency="EUR", stage="new")


@pytest.mark.promise("P1", "P6")
@pytest.mark.parametrize("objects", [[], [{"id": "d1"}, {"id": "d2"}], [{}]])
async def test_what_rules_would_not_see_is_not_sent(tmp_path: Path, objects: list[dict[str, Any]]) -> None:
    async with house(tmp_path, vendor()) as home:
        await home.rules(rules=PROJECTED)
        denied = said(await home.call("shop.bulk", {"id": "ok", "objects": objects}))

    assert denied["code"] in ("arguments.operation", "policy.error", "policy.lookup_failed")
    assert home.shop.effects == []
