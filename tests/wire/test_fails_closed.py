"""Whatever goes wrong in a guard denies with a reason (P6); a broken policy set changes nothing (P12)."""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp_types import CallToolResult

from house import ALLOW_ALL, House, house, said
from lockkeep.errors import StoreUnavailable
from lockkeep.ledger import generations
from lockkeep.pipeline import GATES
from lockkeep.policy.bundle import load
from shop import Shop, ok

WRITE = {"id": "t1", "text": "x"}
LOOK = """\
api: lockkeep/v1
policy: look
owner: lead
applies_to: {everywhere: true}
read:
  thing: {call: shop.read(id), timeout: 1s}
tools:
  shop.read: {allow: anyone}
  shop.write:
    allow: anyone
    deny:
      - name: frozen
        when: has(thing.frozen) && thing.frozen
        say: "{thing.id} is frozen, worth {thing.value}."
        fix: Thaw it first.
"""


async def boom(*_: Any, **__: Any) -> Any:
    raise RuntimeError("canary-secret")


async def never(*_: Any, **__: Any) -> Any:
    await anyio.sleep_forever()


@pytest.mark.promise("P6")
@pytest.mark.parametrize("gate", GATES)
async def test_a_gate_that_raises_denies_and_its_words_reach_nobody(
    tmp_path: Path, gate: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with house(tmp_path) as home:
        home.gateway.pipeline.gates[gate] = boom  # pyright: ignore[reportIndexIssue]
        result = await home.call("shop.write", WRITE)

        assert (said(result)["code"], home.shop.effects) == ("gate_failed", [])
        assert "canary-secret" not in str(result)
        assert "canary-secret" not in str(home.audit())


@pytest.mark.promise("P6")
async def test_an_approval_gate_that_raises_denies(tmp_path: Path) -> None:
    rules = ALLOW_ALL.replace(
        "shop.*: {allow: [staff, lead, finance]}", "shop.*:\n    allow: anyone\n    ask: {from: [lead]}"
    )
    async with house(tmp_path, rules=rules) as home:
        object.__setattr__(home.gateway.pipeline, "approval", boom)
        result = await home.call("shop.write", WRITE)

        assert (said(result)["code"], home.shop.effects) == ("gate_failed", [])


@pytest.mark.promise("P6")
@pytest.mark.parametrize("step", ["receive", "close", "claim"])
async def test_a_ledger_that_fails_before_the_claim_denies(tmp_path: Path, step: str) -> None:
    async with house(
        tmp_path, rules=ALLOW_ALL if step != "close" else ALLOW_ALL.replace("staff, ", "")
    ) as home:

        async def down(*_: Any) -> Any:
            raise StoreUnavailable("disk full")

        setattr(home.gateway.ledger, step, down)
        result = await home.call("shop.write", WRITE)

        assert (said(result)["code"], home.shop.effects) == ("gateway_failed", [])


@pytest.mark.promise("P2", "P6")
async def test_a_settle_that_fails_leaves_the_call_unknown_and_the_sweep_finds_out(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        original = home.gateway.ledger.settle
        home.gateway.ledger.settle = boom  # pyright: ignore[reportAttributeAccessIssue]
        result = await home.call("shop.write", WRITE)
        home.gateway.ledger.settle = original
        with anyio.fail_after(10):
            while home.states() != ["succeeded"]:
                await anyio.sleep(0.05)

        assert said(result)["status"] == "unknown"
        assert len(home.shop.effects) == 1


@pytest.mark.promise("P6")
async def test_without_a_policy_set_everything_is_denied(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        home.gateway.in_force.current = None
        home.gateway.in_force.refresh = lambda: False
        result = await home.call("shop.write", WRITE)

        assert said(result)["code"] in ("policy.none_loaded", "arguments.unknown_tool")
        assert home.shop.effects == []


def lies(content: Mapping[str, Any]) -> Callable[[str, Mapping[str, Any]], Awaitable[CallToolResult | None]]:
    async def say(tool: str, _arguments: Mapping[str, Any]) -> CallToolResult | None:
        return ok(content) if tool == "read" else None

    return say


async def hang_on_reads(tool: str, _arguments: Mapping[str, Any]) -> CallToolResult | None:
    return await never() if tool == "read" else None


async def raise_on_reads(tool: str, _arguments: Mapping[str, Any]) -> CallToolResult | None:
    return await boom() if tool == "read" else None


@pytest.mark.promise("P6")
@pytest.mark.parametrize(
    "behave", [hang_on_reads, raise_on_reads, lies({"id": 5}), lies({"frozen": "yes", "id": "t1"}), lies({})]
)
async def test_a_fact_that_cannot_be_read_denies(tmp_path: Path, behave: Any) -> None:
    shop = Shop()
    async with house(tmp_path, shop, rules=LOOK) as home:
        shop.behave = behave
        result = await home.call("shop.write", WRITE)

        assert (said(result)["code"], said(result)["retry"], shop.effects) == (
            "policy.lookup_failed",
            "later",
            [],
        )


async def test_a_look_up_decides_and_its_facts_are_told(tmp_path: Path) -> None:
    shop = Shop(things={"t1": {"id": "t1", "frozen": True, "value_minor": 950, "currency": "EUR"}})
    async with house(tmp_path, shop, rules=LOOK) as home:
        frozen = said(await home.call("shop.write", WRITE))
        other = await home.call("shop.write", {"id": "t2", "text": "x"})

        assert (frozen["rule"], frozen["reason"], frozen["fix"], frozen["retry"]) == (
            "look/shop.write/frozen",
            "t1 is frozen, worth 9.50 EUR.",
            "Thaw it first.",
            "changed",
        )
        assert said(other)["applied"]


async def activate(home: House, files: Mapping[str, str]) -> None:
    current = generations.newest(home.store.read)
    await home.store.write(
        lambda tx: generations.activate(tx, files, after=current, by="test", reason="", now=home.clock())
    )


@pytest.mark.promise("P12")
async def test_a_set_that_does_not_load_leaves_the_last_good_one_deciding_nothing_new(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        current = generations.current(home.store.read)
        assert current is not None
        await activate(home, {**current.files, "rules.yaml": "api: lockkeep/v1\npolicy: ["})
        with anyio.move_on_after(0.5):
            await anyio.sleep_forever()
        result = await home.call("shop.write", WRITE)

        assert home.gateway.in_force.current is not None
        assert home.gateway.in_force.current.generation == 1
        assert (said(result)["status"], home.shop.effects) == (
            "denied",
            [],
        )  # the claim does not trust an older set


@pytest.mark.promise("P12")
@pytest.mark.parametrize(
    "broken",
    [
        {"rules.yaml": "api: lockkeep/v1\npolicy: shop\nowner: nobody\napplies_to: {everywhere: true}\n"},
        {"people.yaml": "api: lockkeep/v1\npeople: {ana: {groups: [gone]}}\n"},
        {"gateway.yaml": "api: lockkeep/v1\ngateway: x\nintegrations: {shop: {}}\n"},
        {"catalog.lock.json": "{"},
        {"extra.yaml": "hello: 1\n"},
    ],
)
def test_one_broken_file_refuses_the_whole_set(broken: dict[str, str]) -> None:
    from house import GATEWAY, PEOPLE

    good = {"gateway.yaml": GATEWAY, "people.yaml": PEOPLE}
    loaded, problems = load({**good, **broken})

    assert load(good)[1] == []
    assert (loaded, len(problems) > 0) == (None, True)


@pytest.mark.promise("P12")
async def test_a_new_set_counts_from_the_next_call_on(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        before = await home.call("shop.write", WRITE)
        await home.rules(rules=ALLOW_ALL.replace("staff, ", ""))
        after = await home.call("shop.write", {"id": "t2", "text": "x"})

        assert (said(before)["applied"], said(after)["code"]) == (True, "policy.not_allowed")


@pytest.mark.promise("P6", "P12")
async def test_rules_that_change_between_the_gates_and_the_claim_are_asked_again(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        original, done = home.gateway.pipeline.gates["policy"], list[int]()

        async def then_changed(call: Any) -> Any:
            verdict = await original(call)
            if not done:
                done.append(1)
                await home.rules(rules=ALLOW_ALL.replace("staff, ", ""))
            return verdict

        home.gateway.pipeline.gates["policy"] = then_changed  # pyright: ignore[reportIndexIssue]
        result = await home.call("shop.write", WRITE)

        assert (said(result)["code"], home.shop.effects) == ("policy.not_allowed", [])


@pytest.mark.promise("P6")
async def test_rules_that_never_stand_still_end_in_a_denial(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        original, count = home.gateway.pipeline.gates["policy"], list[int]()

        async def then_changed(call: Any) -> Any:
            verdict = await original(call)
            count.append(1)
            await home.rules(rules=ALLOW_ALL + f"description: n{len(count)}\n")
            return verdict

        home.gateway.pipeline.gates["policy"] = then_changed  # pyright: ignore[reportIndexIssue]
        result = await home.call("shop.write", WRITE)

        assert (said(result)["code"], home.shop.effects, len(count)) == ("changed_meanwhile", [], 3)


@pytest.mark.promise("P11")
async def test_a_server_that_is_down_is_a_clear_denial_at_once_and_heals_by_itself(tmp_path: Path) -> None:
    from lockkeep.upstream import Pace

    assert Pace is not None
    builds = {"broken": False}
    shop = Shop()

    def build(_name: str) -> Callable[[Mapping[str, str]], Any]:
        def make(environ: Mapping[str, str]) -> Any:
            if builds["broken"]:
                raise ConnectionRefusedError
            return shop.build(environ)

        return make

    async with house(tmp_path, shop, servers=build) as home:
        builds["broken"] = True
        await home.gateway.supervisor.restart("shop")
        down = said(await home.call("shop.write", WRITE))
        builds["broken"] = False
        with anyio.fail_after(15):
            while not home.gateway.supervisor.state("shop").up:
                await anyio.sleep(0.05)
        up = said(await home.call("shop.write", WRITE))

        assert (down["code"], down["retry"], up["applied"]) == ("integration_down", "later", True)


@pytest.mark.promise("P6")
async def test_a_tool_that_changed_after_it_was_accepted_is_closed_and_the_others_go_on(
    tmp_path: Path,
) -> None:
    shop = Shop()
    async with house(tmp_path, shop) as home:
        shop.tools = [
            tool.model_copy(update={"description": "now it also deletes"}) if tool.name == "write" else tool
            for tool in shop.tools
        ]
        await home.gateway.supervisor.restart("shop")
        changed = said(await home.call("shop.write", WRITE))
        other = await home.call("shop.read", {"id": "t1"})

        assert (changed["code"], other.is_error, shop.effects) == ("arguments.tool_changed", False, [])
