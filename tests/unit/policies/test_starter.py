"""The policies we ship, against the tools our servers list, decide every case of their test files as expected."""

import re
from collections.abc import Mapping
from datetime import date
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import pytest

from lockkeep.app import embedded_environment
from lockkeep.cli.start import STARTERS, starter_files
from lockkeep.model import Request, Tool, ToolCall
from lockkeep.policy.bundle import PolicySet, load
from lockkeep.policy.cases import cases
from lockkeep.policy.files import gatewayfile
from lockkeep.policy.lint import lint
from lockkeep.policy.positions import Problems, parse
from lockkeep.prepare import known_of, prepare
from lockkeep.upstream import Lock, Supervisor, accept, propose, read_lock, write_lock

TODAY = date(2026, 11, 20)


async def catalog(gateway: str, data: Path) -> str:
    """The embedded servers' tools as they are."""
    root = parse("gateway.yaml", gateway, Problems())
    assert root is not None
    integrations = gatewayfile.read(root, Problems()).integrations
    supervisor = Supervisor(
        integrations.values(), on_change=lambda _: None, environ=embedded_environment(data)
    )
    lock = Lock()
    async with supervisor.running():
        await supervisor.wait_ready(15)
        for each in integrations.values():
            listing = supervisor.listing(each.name)
            assert listing is not None
            proposal = propose(each, listing)
            lock = accept(lock, proposal, proposal.hash)
    return write_lock(lock)


@cache
def tools() -> str:
    """Every embedded server's tools, asked for once."""
    with TemporaryDirectory() as data:
        return anyio.run(catalog, starter_files(["all"])["gateway.yaml"], Path(data))


def loads(texts: Mapping[str, str], lock: str) -> PolicySet:
    loaded, found = load({**texts, "catalog.lock.json": lock})
    assert loaded is not None, "\n".join(map(str, found))
    return loaded


async def shipped(data: Path) -> PolicySet:
    """What a plain `lockkeep init` writes."""
    texts = starter_files([])
    return loads(texts, await catalog(texts["gateway.yaml"], data))


def chosen(*names: str) -> PolicySet:
    """What `lockkeep init --starter NAME …` writes, with the tools of no more servers than its gateway.yaml names."""
    texts = starter_files(names)
    root = parse("gateway.yaml", texts["gateway.yaml"], Problems())
    assert root is not None
    there = gatewayfile.read(root, Problems()).integrations
    lock = read_lock(tools())
    return loads(texts, write_lock(Lock({name: lock.integrations[name] for name in there})))


async def decided(loaded: PolicySet) -> list[cases.Result]:
    def prepared(request: Request, tool: Tool, roles: frozenset[str]) -> ToolCall:
        return prepare(request, known_of(loaded, tool, roles))

    problems = Problems()
    found = cases.read(loaded.files, problems)
    assert problems.found == []
    return [await cases.run(loaded, each, prepared) for each in found]


def rules_of(loaded: PolicySet) -> set[str]:
    """Every entry, change and result rule by its id."""
    found = [
        {*(rule.id for rule in each.rules), *(cut.rule for cut in each.cuts), *(shown.rule for shown in each.shown)}
        for each in loaded.rules.values()
    ]  # fmt: skip
    return set[str]().union(*found)


def test_a_plain_init_stays_small() -> None:
    texts = starter_files([])

    assert sorted(texts) == ["gateway.yaml", "leads.yaml", "people.yaml", "tests/leads.test.yaml"]
    assert re.findall(r"^  (\w+): \{in_process", texts["gateway.yaml"], re.M) == ["crm", "calendar"]


async def test_the_small_starter_is_decided_as_expected_and_every_rule_fires(tmp_path: Path) -> None:
    await fine(await shipped(tmp_path))


@pytest.mark.parametrize("name", STARTERS)
def test_each_starter_alone_is_decided_as_expected_and_every_rule_fires(name: str) -> None:
    anyio.run(fine, chosen(name))


def test_all_of_them_together_are_decided_as_expected_and_every_rule_fires() -> None:
    anyio.run(fine, chosen("all"))


async def fine(loaded: PolicySet) -> None:
    results = await decided(loaded)

    assert [f"{each.case.name}: {each.why}" for each in results if each.why] == []
    assert rules_of(loaded) - {rule for each in results for rule in each.fired} == set()


def test_of_gateway_and_people_a_starter_writes_what_its_policies_speak_of() -> None:
    texts = starter_files(["rebooking"])

    assert re.findall(r"^  ([\w-]+):", texts["gateway.yaml"], re.M) == [
        "carrier",
        "commerce",
        "crm",
        "notify",
        "rebooker",
    ]
    assert re.findall(r"^  ([\w-]+):", texts["people.yaml"], re.M) == [
        "ADMIN", "admins", "logistics", "logistics-lead", "hazmat-desk",
    ]  # fmt: skip


def test_the_large_starter_names_every_agent_group_and_integration_that_it_has() -> None:
    texts = starter_files(["all"])
    source = Path(__file__).parents[3] / "policies" / "all"

    assert {name: texts[name] for name in ("gateway.yaml", "people.yaml")} == {
        name: (source / name).read_text(encoding="utf-8") for name in ("gateway.yaml", "people.yaml")
    }


@pytest.mark.parametrize("name", STARTERS)
def test_each_starter_begins_with_a_few_lines_in_plain_words(name: str) -> None:
    text = starter_files([name])[f"{name}.yaml"].removeprefix(
        "# yaml-language-server: $schema=.schemas/policy.json\n"
    )
    head = text.partition("api:")[0].splitlines()

    assert 3 <= len(head) <= 6
    assert all(line.startswith("# ") for line in head)
    assert not re.search(r"\b(deny|ask|allow)-\d", text)  # names instead of numbers


def test_once_people_are_entered_lint_finds_nothing_to_mend() -> None:
    """Three people in every group, since two of finance must agree to a large invoice."""
    texts = dict(starter_files(["all"]))
    groups = re.findall(r"^  ([a-z-]+):", texts["people.yaml"].partition("\ngroups:")[2], re.M)
    staff = "".join(
        f"  {who}-{group}: {{groups: [{group}]}}\n" for group in groups for who in ("ana", "bo", "cy")
    )
    texts["people.yaml"] = texts["people.yaml"].replace("\ngroups:", f"\n{staff}groups:", 1)
    texts["leads.yaml"] = re.sub(
        r"  # lint: allow few-approvers .*", "", texts["leads.yaml"]
    )  # as it says itself
    loaded = loads(texts, tools())

    fired = {rule for each in anyio.run(decided, loaded) for rule in each.fired}

    found = lint(loaded, TODAY, since={}, fired=fired)
    assert [str(each) for each in found] == []
