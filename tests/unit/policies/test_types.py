"""What JSON Schema says a value is, and what it leaves open."""

from typing import Any

import pytest
from tests.unit.policies.room import FOLDER, MONEY, NUMBER, TEXT, TIME, fields, folder, policy, tool

from lockkeep.policy.bundle import load
from lockkeep.policy.conditions.runtime import Unclear
from lockkeep.policy.conditions.types import Type, of_answer, of_schema
from lockkeep.policy.rules import manifest
from lockkeep.policy.rules.rule import Who


@pytest.mark.parametrize(
    ("schema", "kind", "maybe"),
    [
        (NUMBER, "number", False), ({"type": "integer"}, "number", False), (TEXT, "text", False), (TIME, "time", False), ({}, "any", False),
        (True, "any", False), (None, "any", False), ({"type": ["string", "null"]}, "text", True), ({"type": ["string", "integer"]}, "any", False),
        ({"enum": ["a", None]}, "text", True), ({"const": True}, "bool", False), ({"enum": [1, 2.5]}, "number", False), ({"enum": [1, "a"]}, "any", False),
        ({"anyOf": [TIME, {"type": "null"}]}, "time", True), ({"anyOf": [TEXT, NUMBER]}, "any", False), ({"type": "null"}, "null", False),
        ({"type": "array"}, "list", False), ({"$ref": "#/$defs/a", "$defs": {"a": NUMBER}}, "number", False), ({"$ref": "#/nowhere"}, "any", False),
        ({"properties": {}}, "object", False), ({"enum": [None]}, "null", False), ({"allOf": [TEXT]}, "any", False),
    ],
)  # fmt: skip
def test_a_schema_has_a_type(schema: Any, kind: str, maybe: bool) -> None:
    found = of_schema(schema)
    assert (found.kind, found.maybe) == (kind, maybe)


def field(schema: Any, *path: str) -> Type | None:
    found: Type | None = of_schema(schema)
    for name in path:
        found = found.attribute(name) if found else None
    return found


def test_a_field_is_sure_only_if_required_or_given_by_default() -> None:
    shape = fields(
        {
            "a": TEXT,
            "b": TEXT,
            "c": {"type": "string", "default": "x"},
            "d": {"type": "string", "default": None},
        },
        "a",
    )
    assert {name: one.maybe for name, one in of_schema(shape).fields.items()} == {
        "a": False,
        "b": True,
        "c": False,
        "d": True,
    }


def test_minor_units_beside_a_currency_are_money_unless_the_name_is_taken() -> None:
    kinds = {
        name: one.kind
        for name, one in of_schema(fields({**MONEY, "fee_minor": NUMBER, "fee": TEXT})).fields.items()
    }
    assert kinds == {
        "amount_minor": "number",
        "currency": "text",
        "amount": "money",
        "fee_minor": "number",
        "fee": "text",
    }
    assert "amount" not in of_schema(fields({"amount_minor": NUMBER})).fields


def test_one_of_several_shapes_has_the_fields_of_each_and_those_that_stand_beside() -> None:
    shapes = [
        fields({"k": {"const": "a"}, "n": NUMBER}, "k", "n"),
        fields({"k": {"const": "b"}, "t": TEXT}, "k", "t"),
    ]
    found = of_schema({"oneOf": shapes})
    assert (found.names(), str(field({"oneOf": shapes}, "n"))) == (["k", "n", "t"], "a number")
    assert found.narrowed({"k": "a"}).names() == ["k", "n"]
    assert found.narrowed({"k": "c"}) == found

    beside = {"type": "object", "properties": {"id": TEXT}, "required": ["id"], "oneOf": shapes}
    assert of_schema(beside).narrowed({"k": "b"}).names() == ["id", "k", "t"]
    branches = {
        "type": "object",
        "properties": {"id": TEXT},
        "anyOf": [{"required": ["id"]}, {"required": ["x"]}],
    }
    assert of_schema(branches).names() == ["id"]


def test_a_schema_that_leads_back_to_itself_stays_open_and_is_read_at_once() -> None:
    names = [f"f{number}" for number in range(12)]
    node = {
        "type": "object",
        "properties": {name: {"$ref": "#/$defs/node"} for name in names},
        "required": names,
    }
    found = field({"$ref": "#/$defs/node", "$defs": {"node": node}}, "f0")
    assert found is not None
    assert found.kind == "any"


def test_an_amount_of_an_open_argument_is_money_only_if_it_is_a_whole_number() -> None:
    odd = tool(
        "lab.odd", "money", fields({"x": {}, "t": TEXT}), amount={"minor": "args.x", "currency": "args.t"}
    )
    assert isinstance(manifest.effects(odd).money({"x": True, "t": "EUR"}), Unclear)


def test_an_allow_that_names_nobody_fits_nobody() -> None:
    assert Who().fits("ana", "desk", frozenset({"support"})) is False


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("people.yaml", "  lead: {", "  laed: {"),
        ("gateway.yaml", "  desk: {owner: ana}", "  dsek: {owner: anna}"),
    ],
)
def test_a_policy_is_not_blamed_for_what_is_wrong_beside_it(file: str, old: str, new: str) -> None:
    there = {**folder(policy("crm.get: {allow: [lead]}")), file: FOLDER[file].replace(old, new)}
    assert {each.place.file for each in load(there)[1]} == {file}


def test_room_for_an_error_in_an_output_schema_is_no_part_of_a_good_answer() -> None:
    shape = {"type": "object", "properties": {"id": TEXT, "n": NUMBER}}
    roomy = {**shape, "anyOf": [{"required": ["id"]}, {"required": ["error"]}]}

    assert of_answer(roomy) == of_schema({**shape, "required": ["id"]})
    assert of_answer({**shape, "anyOf": [{"required": ["id"]}]}) == of_schema({**shape, "required": ["id"]})
    for other in (shape, {**shape, "anyOf": [{"required": ["id"]}, {"required": ["n"]}]}, None, True):
        assert of_answer(other) == of_schema(other)
