"""Whatever the gateway answers fits the output schema it lists: a host that checks errors, too, shows them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import jsonschema_rs
import pytest
from mcp_types import CallToolResult

from house import house, said
from shop import Shop, error

RULES = """\
api: lockkeep/v1
policy: shop
owner: lead
applies_to: {everywhere: true}
tools:
  shop.read:
    allow: anyone
    deny: [{when: id == "denied", say: Not this one.}]
  shop.write:
    allow: anyone
    deny: [{when: id == "denied", say: Not this one.}]
    ask: [{when: id == "asked", from: [lead]}]
"""


def shop() -> Shop:
    found = Shop()

    async def behave(tool: str, arguments: Mapping[str, Any]) -> CallToolResult | None:
        match arguments.get("id"):
            case "refused":
                return error("unavailable")
            case "lost":
                raise ConnectionResetError
            case _:
                return None

    found.behave = behave
    return found


@pytest.mark.parametrize(("tool", "id", "status"), [
    ("shop.read", "fine", "fine"),
    ("shop.read", "denied", "denied"),
    ("shop.read", "refused", "error"),
    ("shop.read", "lost", "failed"),
    ("shop.write", "denied", "denied"),
    ("shop.write", "asked", "pending_approval"),
    ("shop.write", "refused", "error"),
    ("shop.write", "lost", "unknown"),
    ("shop.write", 7, "denied"),
])  # fmt: skip
async def test_every_answer_fits_the_listed_output_schema(
    tmp_path: Path, tool: str, id: Any, status: str
) -> None:
    async with house(tmp_path, shop()) as home:
        await home.rules(rules=RULES)
        async with home.client() as client:
            with anyio.fail_after(20):
                listed = {each.name: each for each in (await client.list_tools()).tools}
        answer = said(await home.call(tool, {"id": id, **({} if tool == "shop.read" else {"text": "x"})}))
        schema = listed[tool.replace(".", "_")].output_schema

        assert schema is not None
        assert [str(fault) for fault in jsonschema_rs.Draft202012Validator(schema).iter_errors(answer)] == []
        assert answer.get("status", next(iter(answer)) if status == "error" else "fine") == status
