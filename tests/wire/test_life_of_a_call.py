"""One `tools/call` from a real MCP client to the tool server and back: allowed, denied, recorded."""

from pathlib import Path

import pytest
from mcp_types import CallToolResult

from house import Era, house, said, send, text
from lockkeep.errors import LockkeepError
from shop import Shop, error, ok

ERAS: tuple[Era, ...] = ("2026-07-28", "2025-11-25")
ONLY_READ = """\
api: lockkeep/v1
policy: shop
owner: lead
applies_to: {agents: [robot]}
tools:
  shop.read: {allow: [staff]}
"""


def denial(result: CallToolResult) -> tuple[bool, str, str]:
    return bool(result.is_error), text(result).splitlines()[0], said(result)["code"]


@pytest.mark.promise("P1")
@pytest.mark.parametrize("era", ERAS)
async def test_an_allowed_call_reaches_the_server_once_and_is_claimed_and_settled_on_the_record(
    tmp_path: Path, era: Era
) -> None:
    async with house(tmp_path) as home:
        result = await home.call("shop.write", {"id": "t1", "text": "hello"}, era=era)

        assert said(result) == {"applied": True, "id": "t1"}
        assert home.shop.effects == [("write", {"id": "t1", "text": "hello"})]
        assert [(record["type"], record.get("outcome")) for record in home.audit()[-2:]] == [
            ("call.claimed", None),
            ("call.settled", "succeeded"),
        ]
        assert home.sound()


@pytest.mark.promise("P1")
@pytest.mark.parametrize("era", ERAS)
async def test_what_no_rule_allows_is_denied_with_a_reason_and_never_sent(tmp_path: Path, era: Era) -> None:
    async with house(tmp_path, rules=ONLY_READ) as home:
        result = await home.call("shop.write", {"id": "t1", "text": "x"}, era=era)

        assert denial(result) == (True, "DENIED rule=policy.not_allowed retry=no", "policy.not_allowed")
        assert home.shop.effects == []
        assert home.states() == ["denied"]
        assert home.audit()[-1]["type"] == "call.denied"


@pytest.mark.promise("P1")
@pytest.mark.parametrize(
    ("tool", "arguments", "code"),
    [
        ("shop.nothing", {}, "arguments.unknown_tool"),
        (
            "shop.get_receipt",
            {"idempotency_key": "k"},
            "arguments.unknown_tool",
        ),  # a service tool is the gateway's own
        ("shop.write", {"id": "t1"}, "arguments.invalid"),
        ("shop.write", {"id": "t1", "text": "x", "bcc": "eve"}, "arguments.invalid"),
        ("shop.write", {"id": "t1", "text": "x", "idempotency_key": "mine"}, "arguments.invalid"),
        ("shop.write", {"id": 5, "text": True}, "arguments.invalid"),
        ("shop.read", {"id": 2**60}, "arguments.not_canonical"),
        ("evil\u202ename\x00", {}, "arguments.unknown_tool"),
    ],
)
async def test_what_does_not_fit_the_accepted_tool_is_denied_on_the_record(
    tmp_path: Path, tool: str, arguments: dict[str, object], code: str
) -> None:
    async with house(tmp_path) as home:
        result = await home.call(tool, arguments)

        assert (result.is_error, said(result)["code"]) == (True, code)
        assert home.shop.effects == []
        assert home.shop.reads == []
        assert (home.audit()[-1]["type"], home.audit()[-1]["code"]) == ("call.denied", code)


async def test_every_faulty_argument_is_named(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        result = await home.call("shop.pay", {"amount_minor": "10", "curency": "EUR", "currency": 5})

        assert [part in said(result)["reason"] for part in ("amount_minor", "curency", "currency", "id")] == [
            True
        ] * 4


async def test_a_list_holds_what_the_caller_may_use_in_a_stable_order(tmp_path: Path) -> None:
    async with (
        house(tmp_path, rules=ONLY_READ) as home,
        home.client() as robot,
        home.client(agent="other") as other,
    ):
        names = [tool.name for tool in (await robot.list_tools()).tools]
        others = [tool.name for tool in (await other.list_tools()).tools]

    assert (names, others) == (
        ["lockkeep_status", "lockkeep_wait", "shop_read"],
        ["lockkeep_status", "lockkeep_wait"],
    )


@pytest.mark.promise("P1")
async def test_hidden_arguments_are_filled_by_the_gateway_and_never_shown(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        async with home.client() as client:
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}
            await send(client, "shop.write", {"id": "t1", "text": "x"})

        assert sorted(tools["shop_write"].input_schema["properties"]) == ["id", "text"]
        (key,) = home.shop.receipts
        assert key.startswith("call_")


async def test_annotations_come_from_the_manifest(tmp_path: Path) -> None:
    async with house(tmp_path) as home, home.client() as client:
        tools = {tool.name: tool.annotations for tool in (await client.list_tools()).tools}

    hints = {
        name: (a.read_only_hint, a.destructive_hint)
        for name, a in tools.items()
        if a and name.startswith("shop_")
    }
    assert hints == {
        "shop_read": (True, False),
        "shop_write": (False, True),
        "shop_pay": (False, True),
        "shop_blunt": (False, True),
    }


@pytest.mark.parametrize("era", ERAS)
async def test_a_tools_own_error_is_passed_on_as_it_is(tmp_path: Path, era: Era) -> None:

    shop = Shop()

    async def refuse(_tool: str, _arguments: object) -> CallToolResult:
        return error("not_found")

    shop.behave = refuse
    async with house(tmp_path, shop) as home:
        result = await home.call("shop.write", {"id": "t1", "text": "x"}, era=era)

        assert (result.is_error, said(result)["error"]["code"]) == (True, "not_found")
        assert home.states() == ["failed"]


async def test_the_servers_own_meta_is_not_passed_on(tmp_path: Path) -> None:

    shop = Shop()

    async def talkative(_tool: str, _arguments: object) -> CallToolResult:
        said = ok({"id": "t1"})
        said.meta = {"secret": "build 7"}
        return said

    shop.behave = talkative
    async with house(tmp_path, shop) as home:
        result = await home.call("shop.read", {"id": "t1"})

    assert set(result.meta or {}) - {"io.modelcontextprotocol/serverInfo"} == {"lockkeep/call"}


@pytest.mark.promise("P1")
async def test_an_answer_that_breaks_the_pinned_schema_is_withheld_and_the_call_counts_as_done(
    tmp_path: Path,
) -> None:

    shop = Shop()

    async def lie(_tool: str, _arguments: object) -> CallToolResult:
        return ok({"applied": "yes", "secret": "canary"})

    shop.after = lie
    async with house(tmp_path, shop) as home:
        result = await home.call("shop.write", {"id": "t1", "text": "x"})
        again = await home.call("shop.write", {"id": "t1", "text": "x"})

        assert (said(result)["withheld"], "canary" in text(result) + str(said(result))) == (True, False)
        assert said(again)["withheld"]
        assert len(home.shop.effects) == 1


@pytest.mark.promise("P6")
async def test_a_person_without_an_agent_calls_no_tools(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        home.tokens["ana", "robot"] = await home.token("ana", None)
        with pytest.raises(BaseException) as refused:
            await home.call("shop.read", {"id": "t1"})

        assert not isinstance(refused.value, LockkeepError)
        assert home.shop.reads == []
        assert home.audit()[-1]["type"] == "request.refused"
