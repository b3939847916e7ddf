"""A server in one file: what its functions say is what it lists, checks and answers."""

from typing import Annotated, Any, Literal

import pytest
from mcp import Client
from pydantic import Field

from lockkeep_servers.kit import Invalid, NotFound, Result, Server
from lockkeep_servers.kit.manifest import ManifestError

CANARY = "hunter2-canary"


class Van(Result):
    id: str
    depot: str


def fleet() -> Server:
    server = Server("fleet", keys=("TOKEN",))

    @server.tool(class_="read")
    async def list_vans(limit: Annotated[int, Field(ge=1)] = 10) -> list[str]:
        """List the vans."""
        return ["van_1"][:limit]

    @server.tool(class_="write", undo="none", subject="args.van_id", hints=["destructive"])
    async def move_van(van_id: str, depot: Literal["north", "south"]) -> Van:
        """Move a van."""
        if van_id != "van_1":
            raise NotFound("van")
        if depot == "south":
            raise ValueError(CANARY)
        return Van(id=van_id, depot=depot)

    @server.tool(class_="read")
    async def told() -> str | None:
        """Say the setting."""
        return server.setting("TOKEN")

    return server


async def answer(server: Server, tool: str, environ: dict[str, str] | None = None, **given: Any) -> Any:
    async with Client(server.build(environ or {})) as client:
        result = await client.call_tool(tool, given)
        assert result.is_error == ("error" in result.structured_content)
        return result.structured_content


async def test_types_are_the_schema_and_the_decorator_is_the_manifest() -> None:
    async with Client(fleet().build({})) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    move = tools["move_van"]

    assert move.input_schema["properties"]["depot"] == {"enum": ["north", "south"], "type": "string"}
    assert move.input_schema["required"] == ["van_id", "depot"]
    assert move.output_schema is not None
    assert move.output_schema["anyOf"] == [{"required": ["id", "depot"]}, {"required": ["error"]}]
    assert move.meta == {"lockkeep/effect": {"class": "write", "undo": "none", "subject": "args.van_id"}}
    assert move.annotations is not None
    assert (move.annotations.read_only_hint, move.annotations.destructive_hint) == (False, True)
    assert tools["list_vans"].output_schema == {
        "type": "object",
        "properties": {"result": {"type": "array", "items": {"type": "string"}}},
        "anyOf": [{"required": ["result"]}, {"required": ["error"]}],
    }


async def test_a_function_answers_with_its_result_or_an_error_of_the_closed_set() -> None:
    server = fleet()

    assert await answer(server, "list_vans") == {"result": ["van_1"]}
    assert await answer(server, "move_van", van_id="van_1", depot="north") == {
        "id": "van_1",
        "depot": "north",
    }
    unknown = await answer(server, "move_van", van_id="van_9", depot="north")
    wrong = await answer(server, "move_van", van_id=7, depot="east")
    crashed = await answer(server, "move_van", van_id="van_1", depot="south")

    assert unknown["error"]["code"] == "not_found"
    assert [each["field"] for each in wrong["error"]["details"]["fields"]] == ["van_id", "depot"]
    assert crashed["error"]["code"] == "unknown_outcome"
    assert CANARY not in str(crashed)


async def test_a_setting_comes_from_the_environment() -> None:
    assert await answer(fleet(), "told", {"LOCKKEEP_FLEET_TOKEN": "t1"}) == {"result": "t1"}
    assert await answer(fleet(), "told") == {"result": None}
    with pytest.raises(RuntimeError):
        fleet().setting("TOKEN")


async def no_docstring() -> str:
    return ""


async def no_return():
    """Said."""


async def no_type(van) -> str:  # pyright: ignore[reportMissingParameterType, reportUnknownParameterType]
    """Said."""
    return str(van)  # pyright: ignore[reportUnknownArgumentType]


def not_async() -> str:
    """Said."""
    return ""


async def fine() -> str:
    """Said."""
    raise Invalid({})


WRONG: list[tuple[Any, dict[str, Any], str]] = [
    (no_docstring, {"class_": "read"}, "docstring"),
    (no_return, {"class_": "read"}, "returns"),
    (no_type, {"class_": "read"}, "parameter van"),
    (not_async, {"class_": "read"}, "async"),
    (fine, {"class_": "red"}, "class must be"),
    (fine, {"class_": "write"}, "undone"),
    (fine, {"class_": "read", "hints": ["fast"]}, "no hint"),
]


@pytest.mark.parametrize(("function", "said", "words"), WRONG)
def test_what_is_no_tool_says_what_to_change(function: Any, said: dict[str, Any], words: str) -> None:
    with pytest.raises(ManifestError, match=words):
        Server("fleet").tool(**said)(function)


def test_two_tools_do_not_share_a_name() -> None:
    server = Server("fleet")
    server.tool(class_="read")(fine)
    with pytest.raises(ManifestError, match="twice"):
        server.tool(class_="read")(fine)
