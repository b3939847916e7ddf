"""Hosts see the pinned input without what is the gateway's own, and closed."""

from typing import Any

import jsonschema_rs
import pytest

from lockkeep.model import Tool
from lockkeep.upstream import exported_schema


def tool(schema: dict[str, Any], *hidden: str) -> Tool:
    return Tool(
        name="crm.x",
        integration="crm",
        server_name="x",
        exported="crm_x",
        title=None,
        description="",
        input=schema,
        output=None,
        annotations={},
        effect={"class": "write", "hidden": list(hidden)},
        pin="p",
    )


def test_hidden_arguments_and_headers_are_gone_and_nested_objects_stay_as_they_are() -> None:
    schema = {
        "type": "object",
        "properties": {
            "id": {"type": "string", "x-mcp-header": "Id"},
            "x-mcp-header": {"type": "string"},
            "address": {"type": "object", "additionalProperties": True, "default": {"x-mcp-header": 1}},
            "idempotency_key": {"type": "string"},
            "dry_run": {"type": "boolean"},
            "trace": {"type": "string"},
        },
        "required": ["id", "idempotency_key", "trace"],
        "$defs": {"x-mcp-header": {"type": "string", "x-mcp-header": "No"}},
    }

    assert exported_schema(tool(schema, "trace")) == {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "x-mcp-header": {"type": "string"},
            "address": {"type": "object", "additionalProperties": True, "default": {"x-mcp-header": 1}},
        },
        "required": ["id"],
        "$defs": {"x-mcp-header": {"type": "string"}},
        "additionalProperties": False,
    }
    assert schema["required"] == ["id", "idempotency_key", "trace"]


@pytest.mark.parametrize(
    ("schema", "exported"),
    [
        ({}, {"type": "object", "additionalProperties": False}),
        (
            {
                "type": "object",
                "properties": {"dry_run": {}},
                "required": ["dry_run"],
                "additionalProperties": True,
            },
            {"type": "object", "properties": {}, "additionalProperties": False},
        ),
    ],
)
def test_nothing_undeclared_fits_any_tool(schema: dict[str, Any], exported: dict[str, Any]) -> None:
    assert exported_schema(tool(schema)) == exported


def test_what_only_a_branch_declares_still_fits_and_nothing_else_does() -> None:
    branches = {
        "type": "object",
        "properties": {"id": {"type": "string"}},
        "anyOf": [
            {"properties": {"email": {"type": "string"}}, "required": ["email"]},
            {"properties": {"phone": {"type": "string"}}, "required": ["phone"]},
        ],
    }

    validator = jsonschema_rs.validator_for(exported_schema(tool(branches)), offline=True)

    arguments = ({"id": "1", "email": "a"}, {"id": "1"}, {"email": "a", "bcc": "b"})
    assert [validator.is_valid(each) for each in arguments] == [True, False, False]
