"""Nine ways to agree to one's own call, and none that works (A3, V1, V2)."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import anyio
import pytest
from tests.crash.command import Ran, command

from house import GATEWAY, PEOPLE, House, house
from lockkeep.ledger import callers, delegations
from lockkeep.ledger.approvals import Refusal, Voted
from waiting import RULES, approval_of, asked, edited, paid, row


async def lend(home: House, who: str, to: str) -> None:
    rules = home.gateway.in_force.current
    assert rules is not None
    people, now = rules.people.persons, home.clock()
    await home.store.write(
        lambda tx: delegations.lend(
            tx, people[who], to, groups=[], starts=now, ends=now + timedelta(days=1), reason="r", people=people, now=now
        )
    )  # fmt: skip


async def votes_at_the_command_line(home: House, folder: Path, approval: str, token: str) -> Ran:
    environ = {"LOCKKEEP_DATA": str(folder / "data"), "LOCKKEEP_TOKEN": token, "PATH": ""}
    digest = row(home, approval)["bound"][:12]
    return await command(environ, "approvals", "approve", approval, "--digest", digest)


async def requester(home: House, _: Path) -> object:
    return await home.vote(await asked(home, {"user": "bo"}), "bo")


async def owner(home: House, _: Path) -> object:
    return await home.vote(await asked(home), "olga")


async def requesters_stand_in(home: House, _: Path) -> object:
    await lend(home, "ana", "bo")
    return await home.vote(await asked(home), "bo")


async def owners_stand_in(home: House, _: Path) -> object:
    await lend(home, "olga", "bo")
    return await home.vote(await asked(home), "bo")


async def editor(home: House, _: Path) -> object:
    return await home.vote(await approval_of(home, await edited(home, await asked(home), "bo", 800)), "bo")


async def editors_stand_in(home: House, _: Path) -> object:
    made = await edited(home, await asked(home), "bo", 800)
    await lend(home, "bo", "cy")
    return await home.vote(await approval_of(home, made), "cy")


async def editor_before_the_last(home: House, _: Path) -> object:
    """bo changes it, cy changes something about that, and bo says yes to what is his in part."""
    first = await approval_of(home, await edited(home, await asked(home), "bo", 800))
    return await home.vote(await approval_of(home, await edited(home, first, "cy", 790)), "bo")


async def editor_of_what_was_asked_again(home: House, _: Path) -> object:
    """What was edited is agreed to, a fact moves, and people are asked anew: its editor is still its editor."""
    home.shop.things["p1"] = {"id": "p1", "owner": "x"}
    approval = await approval_of(home, await edited(home, await asked(home), "bo", 800))
    home.shop.things["p1"] = {"id": "p1", "owner": "y"}
    await home.vote(approval, "cy")
    with anyio.fail_after(10):
        while not (again := home.store.read.all("approvals_list", state="pending", count=9)):
            await anyio.sleep(0.02)
    return await home.vote(again[0]["id"], "bo")


async def agents_token(home: House, folder: Path) -> object:
    """bo's own agent holds a token in his name."""
    approval = await asked(home)
    return await votes_at_the_command_line(home, folder, approval, await home.token("bo", "other"))


async def service_account(home: House, folder: Path) -> object:
    approval = await asked(home)
    return await votes_at_the_command_line(home, folder, approval, await home.token("ci-runner", None))


async def unmapped(home: House, _: Path) -> object:
    return await home.vote(await asked(home), "nobody")


async def owner_who_became_one_later(home: House, _: Path) -> object:
    """The yes was given before the agent became the voter's own: it counts no more."""
    approval = await asked(home, amount_minor=6000)
    assert isinstance(await home.vote(approval, "bo"), Voted)
    await home.rules(gateway=GATEWAY.replace("robot: {owner: olga}", "robot: {owner: bo}"))
    with anyio.fail_after(10):
        while (now := home.gateway.in_force.current) is None or now.gateway.agents["robot"] != "bo":
            await anyio.sleep(0.02)
    said = await home.vote(approval, "dee")
    return Refusal("") if said == Voted("pending", ("lead",)) else said


PATHS: tuple[Callable[[House, Path], Awaitable[object]], ...] = (
    editor_before_the_last, requester, owner, requesters_stand_in, owners_stand_in, editor, editors_stand_in,
    editor_of_what_was_asked_again, agents_token, service_account, unmapped, owner_who_became_one_later,
)  # fmt: skip


@pytest.mark.promise("P4")
@pytest.mark.parametrize("path", PATHS, ids=lambda each: each.__name__)
async def test_nobody_agrees_to_what_is_their_own(
    tmp_path: Path, path: Callable[[House, Path], Awaitable[object]]
) -> None:
    async with house(tmp_path, rules=RULES) as home:
        heard = await path(home, tmp_path)

        assert isinstance(heard, Refusal) or (isinstance(heard, Ran) and heard.code == 2), heard
        assert paid(home) == []
        assert home.sound()
        if not isinstance(heard, Refusal):
            assert "approval.refused" in [each["type"] for each in home.audit()]


@pytest.mark.promise("P4")
async def test_a_second_account_of_one_human_is_that_human(tmp_path: Path) -> None:
    """Whatever the account, people.yaml names the person: a token is a person's, and it is the person who asked."""
    async with house(
        tmp_path, rules=RULES, people=PEOPLE.replace("ana: {groups: [staff]}", "ana: {groups: [lead]}")
    ) as home:
        approval = await asked(home)
        second = await home.store.write(
            lambda tx: callers.create_token(
                tx, token_id="tok_second", user="ana", agent=None, by="test", now=home.clock()
            )
        )
        ran = await votes_at_the_command_line(home, tmp_path, approval, second)

        assert (ran.code, paid(home)) == (1, [])
        assert "own call" in ran.err
