"""Slack over HTTP: buttons vote for the person the account belongs to, once, on what was shown, up to what rules allow (P3, P4)."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.backends.fakes.slack import TOKEN
from tests.backends.fakes.slack_app import SIGNING_SECRET, SlackApp, signed, slack_app

from house import House, said
from lockkeep.notify.slackcard import APPROVE, DENY, OPEN
from told import KNOWN, PAY, RULES, WHO, ask, telling, until

SLACK = "  ops: {{kind: slack, channel: C0OPS, token: env:SLACK_TOKEN, signing_secret: env:SLACK_SECRET, api: '{url}'}}\n"
BO, CY = WHO["bo"], WHO["cy"]
TWO = RULES.replace("        from: [lead]\n", "        any_of: [lead, finance]\n        count: 2\n")


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_TOKEN", TOKEN)
    monkeypatch.setenv("SLACK_SECRET", SIGNING_SECRET)


@dataclass
class Room:
    """A gateway, a workspace, and one approval that waits there."""

    home: House
    slack: SlackApp
    asked: dict[str, Any] = field(default_factory=dict[str, Any])

    async def press(self, user: str = BO, action: str = APPROVE, **changed: Any) -> httpx2.Response:
        """A press of a button; what is changed in the payload, and `sending` in the request."""
        sending = changed.pop("sending", {})
        return await self.slack.send(self.home.url, self.slack.pressed(action, user, **changed), **sending)

    async def forge(self, value: str, user: str = BO, action: str = APPROVE) -> httpx2.Response:
        actions = [{"type": "button", "action_id": action, "value": value}]
        return await self.press(user, actions=actions)

    @property
    def value(self) -> str:
        row = self.home.store.read.one("approval_get", id=self.asked["approval_id"])
        assert row is not None
        return f"{row['id']}:{row['bound'][:16]}"

    @property
    def votes(self) -> list[tuple[str, str, str]]:
        found = [each for each in self.home.audit() if each["type"] == "approval.voted"]
        return [(each["person"], each["decision"], each["channel"]) for each in found]

    @property
    def refusals(self) -> list[str]:
        return [each["reason"] for each in self.home.audit() if each["type"] == "approval.refused"]


@asynccontextmanager
async def room(
    folder: Path, arguments: Mapping[str, Any] = PAY, *, tool: str = "shop.pay", rules: str = RULES
) -> AsyncGenerator[Room]:
    async with slack_app() as slack, telling(folder, SLACK.format(url=slack.url), rules=rules) as home:
        found = Room(home, slack)
        found.asked = await ask(home, dict(arguments), tool)
        await until(lambda: bool(slack.messages))
        yield found


@pytest.mark.promise("P2", "P3", "P4")
async def test_somebody_asked_presses_once_the_gateway_runs_it_and_the_message_says_so(
    tmp_path: Path,
) -> None:
    async with room(tmp_path) as here:
        before, text = here.slack.buttons(), here.slack.messages[0]["text"]
        answer = await here.press()
        await until(lambda: here.home.states() == ["succeeded"])
        await until(lambda: bool(here.slack.updates))
        again = await here.press(action=APPROVE, actions=[{"action_id": APPROVE, "value": here.value}])

        assert (answer.status_code, again.status_code) == (200, 200)
        assert here.home.shop.effects == [("pay", PAY)]
        assert here.votes == [("bo", "approve", "slack")]
        assert text == "shop.pay, 500.00 EUR waits for people"
        assert [*before] == [APPROVE, DENY, OPEN]
        assert before[APPROVE]["value"] == here.value
        assert before[OPEN]["url"] == f"{here.home.url}/inbox/{here.asked['approval_id']}"
        assert [*here.slack.buttons()] == [OPEN]
        assert "approved" in here.slack.messages[0]["text"]
        assert len(here.slack.messages) == 1
        told = [each["text"] for each in here.slack.whispers]
        assert told[0].startswith("Your yes is taken: shop.pay is approved.")
        assert told[1].startswith("Your vote was not taken: it is already ")


async def test_a_no_in_slack_ends_it_and_a_message_about_two_people_says_who_is_missing(
    tmp_path: Path,
) -> None:
    async with room(tmp_path, rules=TWO) as here:
        await here.press(BO)
        await here.press(CY, DENY)
        await until(lambda: here.home.states() == ["denied"])

        assert here.votes == [("bo", "approve", "slack"), ("cy", "deny", "slack")]
        assert here.slack.whispers[0]["text"].endswith("Still needed: finance or lead.")
        assert here.slack.whispers[0]["user"] == BO


@pytest.mark.promise("P4")
@pytest.mark.parametrize(
    ("limit", "amount", "currency", "buttons"),
    [
        ("500 EUR", 50_000, "EUR", True), ("500 EUR", 50_001, "EUR", False), ("500.01 EUR", 50_001, "EUR", True),
        ("500 USD", 50_000, "EUR", False), ("all", 99_000_000, "EUR", True), ("", 50_000, "EUR", False), ("499.99 EUR", 50_000, "EUR", False),
    ],
)  # fmt: skip
async def test_money_has_buttons_up_to_what_the_rule_says_and_a_link_above(
    tmp_path: Path, limit: str, amount: int, currency: str, buttons: bool
) -> None:
    rules = RULES.replace(
        "        slack_up_to: 500 EUR\n", f"        slack_up_to: {limit}\n" if limit else ""
    )
    async with room(
        tmp_path, {"id": "p1", "amount_minor": amount, "currency": currency}, rules=rules
    ) as here:
        assert [*here.slack.buttons()] == ([APPROVE, DENY, OPEN] if buttons else [OPEN])
        await here.forge(here.value)
        if buttons:
            await until(lambda: here.home.states() == ["succeeded"])
        else:
            assert (here.home.states(), here.votes, here.home.shop.effects) == (["pending_approval"], [], [])
            assert here.refusals == [
                "This is decided in the inbox: the rules do not let a call like this be decided here."
            ]


@pytest.mark.full
@pytest.mark.promise("P4")
@pytest.mark.parametrize(
    ("asks", "why"),
    [
        ("{from: [lead], say: S}", ""),
        ("{from: [lead], reason: required, say: S}", "a rule wants a reason with every yes"),
        ("{confirm: requester, say: S}", "the person who asks confirms in the inbox, or on the command line"),
    ],
)
async def test_what_a_button_cannot_say_is_decided_elsewhere(tmp_path: Path, asks: str, why: str) -> None:
    rules = RULES.replace("{from: [lead], say: Somebody looks at it.}", asks)
    async with room(tmp_path, {"id": "t1", "text": "x"}, tool="shop.write", rules=rules) as here:
        assert [*here.slack.buttons()] == ([OPEN] if why else [APPROVE, DENY, OPEN])
        if why:
            await here.forge(here.value)
            assert here.refusals == [f"This is decided in the inbox: {why}."]
            assert here.home.states() == ["pending_approval"]


# -- attacks -----------------------------------------------------------------------------------------------------

Attempt = Callable[[Room], Awaitable[httpx2.Response]]
NOBODY, NOT_ASKED = "belongs to nobody in people.yaml", "you are in none of the groups that are asked"
OWN = "nobody agrees to their own call, nor to one of their own agent"
STALE, OTHER = (
    "it is not what you were shown; look at it again",
    "out of date, or was not written by the gateway",
)


def sending(**changed: Any) -> Attempt:
    return lambda here: here.press(sending=changed)


def minutes_off(seconds: int) -> Attempt:
    async def attempt(here: Room) -> httpx2.Response:
        return await here.press(sending={"stamp": str(int(here.home.clock().timestamp()) + seconds)})

    return attempt


async def other_body(here: Room) -> httpx2.Response:
    return await here.press(sending={"body": b"payload=%7B%22type%22%3A%22block_actions%22%7D"})


async def moved_stamp(here: Room) -> httpx2.Response:
    old = str(int(here.home.clock().timestamp()) - 1000)
    return await here.press(sending={"stamp": old, "sent_stamp": str(int(old) + 1000)})


async def of_another_approval(here: Room) -> httpx2.Response:
    other = await ask(here.home, {**PAY, "id": "p2"})
    return await here.forge(f"{other['approval_id']}:{here.value.partition(':')[2]}")


async def expired(here: Room) -> httpx2.Response:
    here.home.clock.ahead = timedelta(hours=9)
    return await here.press(sending={"stamp": str(int(here.home.clock().timestamp()))})


async def decided(here: Room) -> httpx2.Response:
    await here.home.vote(here.asked["approval_id"], "cy", "deny")
    return await here.forge(here.value)


async def by_name(here: Room) -> httpx2.Response:
    bo = {"username": "bo", "name": "bo", "email": "bo@acme.example", "profile": {"email": "bo@acme.example"}}
    user = {"id": "U404", "team_id": "T1", **bo}
    return await here.slack.send(here.home.url, {**here.slack.pressed(APPROVE, BO), "user": user})


async def gone_person(here: Room) -> httpx2.Response:
    people = KNOWN.replace('bo: {accounts: ["slack:T1/U2", ', "bo: {accounts: [")
    assert people != KNOWN
    await here.home.rules(people=people)
    return await here.press()


async def left_the_group(here: Room) -> httpx2.Response:
    await here.home.rules(
        people=KNOWN.replace(
            '"email:bo@acme.example"], groups: [lead]', '"email:bo@acme.example"], groups: [staff]'
        )
    )
    return await here.press()


async def two_at_once(here: Room) -> httpx2.Response:
    one = {"type": "button", "action_id": APPROVE, "value": here.value}
    return await here.press(actions=[one, one])


async def _parts() -> AsyncGenerator[bytes]:
    yield b"payload=1"


async def without_a_limit(here: Room) -> httpx2.Response:
    async with httpx2.AsyncClient(trust_env=False) as http:
        return await http.post(f"{here.home.url}/notify/slack", content=_parts())


async def large(here: Room) -> httpx2.Response:
    return await here.press(sending={"body": b"payload=" + b"x" * 300_000})


async def fetched(here: Room) -> httpx2.Response:
    async with httpx2.AsyncClient(trust_env=False) as http:
        return await http.get(f"{here.home.url}/notify/slack", params={"payload": here.value})


def pressed_by(user: str, **changed: Any) -> Attempt:
    return lambda here: here.press(user, **changed)


def forged(change: Callable[[str], str]) -> Attempt:
    return lambda here: here.forge(change(here.value))


ATTACKS: dict[str, tuple[Attempt, int, str]] = {  # -> the status, and words of the refusal on record; none: nothing is
    "no signature": (sending(headers={"x-slack-signature": None}), 401, ""),
    "an empty signature": (sending(signature=""), 401, ""),
    "a wrong signature": (sending(signature="v0=" + "0" * 64), 401, ""),
    "another secret": (sending(secret="guessed"), 401, ""),
    "another version": (sending(signature="v1=" + "0" * 64), 401, ""),
    "a signature that is no text": (sending(signature="v0=\xff\xfe"), 401, ""),
    "no time": (sending(headers={"x-slack-request-timestamp": None}), 401, ""),
    "a time that is none": (sending(stamp="soon"), 401, ""),
    "a time with a sign": (sending(stamp="-1"), 401, ""),
    "five minutes and a second late": (minutes_off(-301), 401, ""),
    "five minutes and more ahead": (minutes_off(303), 401, ""),
    "a time moved after signing": (moved_stamp, 401, ""),
    "a body changed after signing": (other_body, 401, ""),
    "too large": (large, 413, ""),
    "without its length": (without_a_limit, 413, ""),
    "a link instead of a press": (fetched, 405, ""),
    "another name of this machine": (sending(headers={"host": "evil.example"}), 421, ""),
    "an account of nobody": (pressed_by("U404"), 200, NOBODY),
    "the same id in another workspace": (pressed_by(BO, team="T2"), 200, NOBODY),
    "our person, pressing elsewhere": (pressed_by(BO, team="T2", home="T1"), 200, "only in the workspace"),
    "somebody else's name and address": (by_name, 200, NOBODY),
    "an id that is a path": (pressed_by(f"X/../{BO}"), 200, ""),
    "an id in small letters": (pressed_by(BO.lower()), 200, ""),
    "an account that was taken away": (gone_person, 200, NOBODY),
    "somebody who left the group": (left_the_group, 200, NOT_ASKED),
    "the requester": (pressed_by(WHO["ana"]), 200, OWN),
    "the owner of the agent": (pressed_by(WHO["olga"]), 200, OWN),
    "somebody who is not asked": (pressed_by(WHO["dee"]), 200, NOT_ASKED),
    "another digest": (forged(lambda value: value.partition(":")[0] + ":" + "0" * 16), 200, STALE),
    "half a digest": (forged(lambda value: value[:-8]), 200, OTHER),
    "no digest": (forged(lambda value: value.partition(":")[0]), 200, OTHER),
    "an id cut short": (forged(lambda value: value[:9] + value[value.index(":") :]), 200, OTHER),
    "the button of another approval": (of_another_approval, 200, STALE),
    "an approval that is not there": (forged(lambda value: "apr_none:" + "0" * 16), 200, OTHER),
    "a button that is not ours": (pressed_by(BO, action="confirm"), 200, ""),
    "two presses in one": (two_at_once, 200, ""),
    "a press of another kind": (pressed_by(BO, type="view_submission"), 200, ""),
    "after it expired": (expired, 200, "it "),
    "after it was decided": (decided, 200, "it is already denied"),
}  # fmt: skip


@pytest.mark.promise("P3", "P4")
@pytest.mark.parametrize("name", ATTACKS)
async def test_an_attack_on_a_channel_is_no_vote(tmp_path: Path, name: str) -> None:
    attempt, status, words = ATTACKS[name]
    async with room(tmp_path) as here:
        answer = await attempt(here)

        assert answer.status_code == status
        assert (here.votes == [], here.home.shop.effects) == (name != "after it was decided", [])
        assert "approved" not in [
            row["state"] for row in here.home.store.read.all("approvals_list", state=None, count=9)
        ]
        if words:
            assert words in here.refusals[-1]
            await until(lambda: any(words in each["text"] for each in here.slack.whispers))
        else:
            assert here.refusals == []
        if status == 401:
            await until(lambda: here.home.audit()[-1]["type"] == "request.refused")


@pytest.mark.promise("P2", "P4")
async def test_a_press_that_is_sent_again_is_one_vote(tmp_path: Path) -> None:
    async with room(tmp_path, rules=TWO) as here:
        payload, stamp = here.slack.pressed(APPROVE, BO), str(int(here.home.clock().timestamp()))
        replays = [await here.slack.send(here.home.url, payload, stamp=stamp) for _ in range(3)]
        signed_anew = await here.slack.send(here.home.url, payload, stamp=str(int(stamp) + 1))
        other = await here.slack.send(here.home.url, here.slack.pressed(APPROVE, CY), stamp=stamp)

        assert [each.status_code for each in [*replays, signed_anew, other]] == [200] * 5
        assert here.votes == [("bo", "approve", "slack"), ("cy", "approve", "slack")]
        assert here.refusals == ["you have voted already"]
        await until(lambda: here.home.states() == ["succeeded"])
        assert len(here.home.shop.effects) == 1


@pytest.mark.full
async def test_what_slack_refuses_is_said_in_plain_words_and_tried_again(tmp_path: Path) -> None:
    words = {
        "429": "Slack wants fewer messages", "not_in_channel": "the Slack app is not in the channel; invite it there",
        "500": "Slack answered 500", "html": "Slack's answer cannot be read", "redirect": "Slack answered 302", "list": "Slack's answer cannot be read",
        "invalid_auth": "Slack does not know the token", "reset": "Slack does not answer: RemoteProtocolError",
    }  # fmt: skip
    for code, sentence in words.items():
        async with slack_app() as slack:
            slack.breaks = [code]
            async with telling(tmp_path / code, SLACK.format(url=slack.url)) as home:
                await ask(home)
                await until(lambda: bool(home.troubles()))
                assert home.troubles() == [f"ops: 1 message not delivered yet: {sentence}"]
                home.clock.ahead = timedelta(seconds=10)
                await until(lambda: bool(slack.messages))


@pytest.mark.full
async def test_an_approval_that_was_decided_before_slack_came_back_is_not_posted(tmp_path: Path) -> None:
    async with slack_app() as slack:
        slack.breaks = ["503"]
        async with telling(tmp_path, SLACK.format(url=slack.url)) as home:
            asked = await ask(home)
            await home.vote(asked["approval_id"], "bo", "deny")
            home.clock.ahead = timedelta(minutes=5)
            await until(lambda: not home.store.read.all("deliveries_due", channel="ops", now="9"))
            assert slack.messages == []
            assert (
                said(await home.call("lockkeep_wait", {"approval_id": asked["approval_id"]}))["code"]
                == "approval.denied"
            )


def test_the_fake_signs_as_slack_documents_it() -> None:
    body = b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    expected = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
    assert signed("8f742231b10e8888abcd99yyyzzz85a5", "1531420618", body) == expected


@pytest.mark.full
async def test_when_nobody_decides_more_people_are_told_and_every_message_is_renewed_in_the_end(
    tmp_path: Path,
) -> None:
    escalating = RULES.replace(
        "        slack_up_to", "        escalate: [{after: 1h, to: [finance]}]\n        slack_up_to"
    )
    async with room(tmp_path, rules=escalating) as here:
        here.home.clock.ahead = timedelta(minutes=61)
        await until(lambda: len(here.slack.messages) == 2)
        stamp = str(int(here.home.clock().timestamp()))
        await here.press(WHO["dee"], sending={"stamp": stamp})
        await until(lambda: len(here.slack.updates) == 2)

        assert here.votes == [("dee", "approve", "slack")]
        assert len({each["ts"] for each in here.slack.updates}) == 2
        assert [[*here.slack.buttons(number)] for number in (0, 1)] == [[OPEN], [OPEN]]


@pytest.mark.full
async def test_without_a_way_to_hear_buttons_there_are_none(tmp_path: Path) -> None:
    deaf = SLACK.replace("signing_secret: env:SLACK_SECRET, ", "")
    async with slack_app() as slack, telling(tmp_path, deaf.format(url=slack.url)) as home:
        await ask(home)
        await until(lambda: bool(slack.messages))
        unheard = await slack.send(home.url, slack.pressed(APPROVE, BO))

        assert [*slack.buttons()] == [OPEN]
        assert "buttons are not heard here" in slack.messages[0]["blocks"][1]["text"]["text"]
        assert (unheard.status_code, home.states()) == (401, ["pending_approval"])
