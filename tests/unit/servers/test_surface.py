"""What a server shows: slim schemas, honest hints, one manifest, budgets kept, pages that agree (TC1, TS14)."""

import json
from pathlib import Path
from typing import Any, cast

import jsonschema_rs
import pytest
from mcp_types import Tool
from tests.unit.servers.desk import BUILDS, Desk, environ_of

import lockkeep_servers
from lockkeep_servers.kit.manifest import EFFECT, ManifestError, read_manifest
from lockkeep_servers.kit.schema import KEYWORDS

SERVERS = Path(lockkeep_servers.__file__).parent
CLASSES = ("read", "note", "write", "money", "customer_visible", "irreversible")


def bytes_of(value: Any) -> int:
    return len(json.dumps(value, separators=(",", ":")).encode())


async def tools_of(desk: Desk) -> list[Tool]:
    return (await desk.client.list_tools()).tools


def effect_of(tool: Tool) -> dict[str, Any]:
    assert tool.meta is not None
    return tool.meta[EFFECT]


async def test_the_list_keeps_its_budgets(desk: Desk) -> None:
    exported = [tool for tool in await tools_of(desk) if effect_of(tool).get("export", True)]
    listed = [tool.model_dump(by_alias=True, exclude_none=True, mode="json") for tool in exported]

    assert len(exported) <= 10
    assert [tool.name for tool in exported if len(tool.description or "") > 160] == []
    assert bytes_of(listed) <= 18 * 1024
    assert sum(bytes_of(tool["inputSchema"]) for tool in listed) <= 7 * 1024


async def test_schemas_are_standard_and_slim(desk: Desk) -> None:
    for tool in await tools_of(desk):
        assert tool.output_schema is not None
        for schema in (tool.input_schema, tool.output_schema):
            jsonschema_rs.Draft202012Validator(schema)
            assert words_of(schema) <= KEYWORDS
            assert "null" not in json.dumps(schema.get("default", {}))
        assert tool.input_schema["additionalProperties"] is False


def words_of(schema: Any) -> set[str]:
    """Return the keywords of a schema, but not the names of properties."""
    found: set[str] = set()
    if isinstance(schema, list):
        for part in cast(list[Any], schema):
            found |= words_of(part)
    elif isinstance(schema, dict):
        for key, part in cast(dict[str, Any], schema).items():
            found.add(key)
            if key == "properties":
                found |= words_of(list(part.values()))
            elif key not in ("enum", "const", "default", "required"):
                found |= words_of(part)
    return found


async def test_hints_say_what_the_manifest_says(desk: Desk) -> None:
    for tool in await tools_of(desk):
        effect, hints = effect_of(tool), tool.annotations
        assert hints is not None
        assert effect["class"] in CLASSES
        assert hints.read_only_hint == (effect["class"] == "read")
        assert effect["class"] == "read" or "undo" in effect


async def test_every_writer_has_a_key_a_dry_run_and_a_way_to_find_out(desk: Desk) -> None:
    for tool in await tools_of(desk):
        effect = effect_of(tool)
        if effect["class"] == "read" or tool.name == "get_receipt":
            continue
        names = set(tool.input_schema["properties"])
        assert {"idempotency_key", "dry_run"} <= names
        assert effect["hidden"] == ["idempotency_key", "dry_run"]
        assert effect["idempotency"]["arg"] == "idempotency_key"
        assert effect["verify"]["tool"] == "get_receipt"
        assert ("version" in effect) == ("expected_version" in names)


async def test_no_answer_breaks_its_schema(crm: Desk, calendar: Desk) -> None:
    span = {"from": "2027-03-01T00:00:00Z", "to": "2027-03-08T00:00:00Z"}
    asked: list[tuple[Desk, str, dict[str, Any]]] = [
        (crm, "search", {"kind": "lead", "stage": "new"}),
        *((crm, "get", {"kind": kind, "id": id}) for kind, id in (("lead", "led_2"), ("deal", "del_1"), ("company", "cmp_1"), ("contact", "con_1"))),
        (crm, "list_owners", {}),
        (crm, "enrich_company", {"domain": "alpenmilch.example"}),
        (calendar, "list_events", {"calendar": "rep_1", **span}),
        (calendar, "free_busy", {"calendars": ["rep_1", "nobody"], **span}),
        (calendar, "find_slots", {"participants": ["rep_1"], "duration_min": 30, "tz": "Europe/Berlin", **span}),
        (calendar, "get_event", {"calendar": "rep_1", "event_id": "evt_1001"}),
    ]  # fmt: skip
    for desk, tool, arguments in asked:
        schema = next(one.output_schema for one in await tools_of(desk) if one.name == tool)
        assert schema is not None
        answer = await desk.ok(tool, **arguments)
        assert [str(fault) for fault in jsonschema_rs.Draft202012Validator(schema).iter_errors(answer)] == []


def test_a_tool_without_a_manifest_entry_stops_the_start(tmp_path: Path) -> None:
    file = tmp_path / "manifest.yaml"
    file.write_text("tools: {move_van: {class: write, undo: none}}", encoding="utf-8")

    assert read_manifest(file, "fleet", ["move_van"])["move_van"].effect == {"class": "write", "undo": "none"}
    with pytest.raises(ManifestError, match="find_van"):
        read_manifest(file, "fleet", ["move_van", "find_van"])


def test_a_writer_that_does_not_say_how_it_is_undone_stops_the_start(tmp_path: Path) -> None:
    file = tmp_path / "manifest.yaml"
    file.write_text("tools: {move_van: {class: write}}", encoding="utf-8")

    with pytest.raises(ManifestError, match="undo"):
        read_manifest(file, "fleet", ["move_van"])


@pytest.mark.parametrize("server", BUILDS)
def test_no_server_names_a_vendor_or_knows_mcp_in_its_adapters(server: str, tmp_path: Path) -> None:
    BUILDS[server](environ_of(server, tmp_path))

    texts = {
        file.name: file.read_text(encoding="utf-8") for file in (SERVERS / server / "adapters").glob("*.py")
    }
    assert [name for name, text in texts.items() if "import mcp" in text or "from mcp" in text] == []
    source = (SERVERS / server / "server.py").read_text(encoding="utf-8").lower()
    assert [word for word in ("hubspot", "google", "sqlite", "radicale", "tryton") if word in source] == []
