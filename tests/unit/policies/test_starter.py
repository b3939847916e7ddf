"""The policies we ship, against the tools our servers list, decide every case of their test file as expected."""

from importlib.resources import files
from pathlib import Path

from lockkeep.app import embedded_environment
from lockkeep.model import Request, Tool, ToolCall
from lockkeep.policy import cases, gatewayfile
from lockkeep.policy.bundle import PolicySet, load
from lockkeep.policy.positions import Problems, parse
from lockkeep.prepare import known_of, prepare
from lockkeep.upstream import Lock, Supervisor, accept, propose, write_lock

SHIPPED = ("gateway.yaml", "people.yaml", "leads.yaml", "tests/leads.test.yaml")


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


async def shipped(data: Path) -> PolicySet:
    source = files("lockkeep_policies")
    texts = {name: source.joinpath(*name.split("/")).read_text(encoding="utf-8") for name in SHIPPED}
    loaded, found = load({**texts, "catalog.lock.json": await catalog(texts["gateway.yaml"], data)})
    assert loaded is not None, "\n".join(map(str, found))
    return loaded


async def test_the_shipped_cases_are_decided_as_expected_and_make_every_rule_fire(tmp_path: Path) -> None:
    loaded = await shipped(tmp_path)

    def prepared(request: Request, tool: Tool, roles: frozenset[str]) -> ToolCall:
        return prepare(request, known_of(loaded, tool, roles))

    problems = Problems()
    found = cases.read(loaded.files, problems)
    results = [await cases.run(loaded, each, prepared) for each in found]
    rules = {rule.id for each in loaded.rules.values() for rule in each.rules}

    assert problems.found == []
    assert [f"{each.case.name}: {each.why}" for each in results if each.why] == []
    assert rules - {rule for each in results for rule in each.fired} == set()
