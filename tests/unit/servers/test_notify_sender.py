"""The sender, with a transport that does what the test says: each message goes once."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.unit.servers.desk import MONDAY
from tests.unit.servers.office import KEY, LENA, MAIL, change, outbox, rows

from lockkeep_servers.kit.arguments import parse
from lockkeep_servers.kit.findings import Finding
from lockkeep_servers.kit.receipts import Attempt
from lockkeep_servers.kit.times import stamp
from lockkeep_servers.notify import port
from lockkeep_servers.notify.adapters import store
from lockkeep_servers.notify.adapters.effects import TooLate
from lockkeep_servers.notify.adapters.embedded import EmbeddedMail
from lockkeep_servers.notify.adapters.mailroom import QueuedMailroom

# The sender, with a transport that does what the test says


class Scripted:
    """A transport that answers as told about the first letter, and takes all else; nobody can ask it what it took."""

    lease_s = 60

    def __init__(self, *answers: port.Delivery) -> None:
        self.answers = list(answers)
        self.seen: list[str] = []
        self.carried = 0
        self.before_the_last_look: Callable[[], Awaitable[Any]] | None = None
        self.goes_on = anyio.Event()
        self.goes_on.set()

    @asynccontextmanager
    async def session(self) -> AsyncGenerator[None]:
        yield

    async def examine(self) -> list[Finding]:
        return []

    async def deliver(self, letter: port.Letter, go: Callable[[], bool]) -> port.Delivery:
        self.carried += 1
        if self.before_the_last_look is not None:
            await self.before_the_last_look()
        if not go():
            return port.Held()
        self.seen.append(letter.reference)
        await self.goes_on.wait()
        about_the_first = letter.reference == self.seen[0]
        return self.answers.pop(0) if self.answers and about_the_first else port.Sent()

    async def find(self, reference: str) -> bool | None:
        return None


@dataclass
class Room:
    """A mailroom without MCP in front, and its clock."""

    mailroom: QueuedMailroom
    now: datetime

    async def send(self, key: str = KEY) -> str:
        ask = parse(port.Send, {**MAIL, "idempotency_key": key})
        return (await self.mailroom.send(ask, Attempt.of("send", ask))).id

    async def on_its_way(self, mail: "Scripted") -> str:
        """A message whose first byte has left."""
        id = await self.send()
        with anyio.fail_after(10):
            while not mail.seen:
                await anyio.sleep(0.005)
        return id

    async def until(self, id: str, *wanted: str) -> port.Message:
        with anyio.fail_after(10):
            while True:
                found = (await self.mailroom.status(port.Status(message_id=id))).messages[0]
                if found.state in wanted:
                    return found
                await anyio.sleep(0.005)

    async def pause(self, paused: bool) -> None:
        ask = port.PauseQueue(paused=paused, reason="drill")
        await self.mailroom.pause_queue(ask, Attempt.of("pause_queue", ask))


@asynccontextmanager
async def room(folder: Path, mail: port.Mail, now: datetime = MONDAY) -> AsyncGenerator[Room]:
    clock: list[Room] = []
    mailroom = QueuedMailroom(
        store(folder),
        lambda: clock[0].now if clock else now,
        mail=mail,
        chat=None,
        channels={},
        hold_s=0,
        rest_s=0,
    )
    async with mailroom.session():
        clock.append(Room(mailroom, now))
        yield clock[0]


async def test_what_is_refused_for_good_fails_and_is_not_tried_again(tmp_path: Path) -> None:
    mail = Scripted(port.Refused("smtp_550", permanent=True))
    async with room(tmp_path, mail) as desk:
        message = await desk.until(await desk.send(), "failed")
        desk.now += timedelta(hours=5)
        await desk.until(await desk.send("step-0002"), "sent")

    assert (message.why, len(mail.seen)) == ("smtp_550", 2)


async def test_what_is_refused_for_now_is_tried_again_later_and_later(tmp_path: Path) -> None:
    mail = Scripted(*[port.Refused("smtp_451")] * 3)
    async with room(tmp_path, mail) as desk:
        id = await desk.send()
        for tries, wait in enumerate((30, 120, 600), start=1):
            due = {"status": "queued", "not_before": stamp(desk.now + timedelta(seconds=wait))}
            with anyio.fail_after(10):
                while rows(tmp_path, f"SELECT status, not_before FROM messages WHERE id = '{id}'") != [due]:
                    await anyio.sleep(0.005)
            desk.now += timedelta(seconds=wait - 1)
            await desk.until(await desk.send(f"probe-{tries:04}"), "sent")
            assert mail.seen.count(mail.seen[0]) == tries
            desk.now += timedelta(seconds=1)
        message = await desk.until(id, "sent")

    assert (message.why, mail.seen.count(mail.seen[0])) == (None, 4)


async def test_what_is_refused_for_a_day_expires(tmp_path: Path) -> None:
    mail = Scripted(*[port.Refused("unreachable")] * 100)
    async with room(tmp_path, mail) as desk:
        id = await desk.send()
        with anyio.fail_after(10):
            while (await desk.until(id, "queued", "sending", "expired")).state != "expired":
                desk.now += timedelta(minutes=30)
                await anyio.sleep(0.005)
        tried = len(mail.seen)
        desk.now += timedelta(hours=5)
        await desk.until(id, "expired")

    assert tried == len(mail.seen)


async def test_what_may_have_gone_is_unknown_and_never_sent_again(tmp_path: Path) -> None:
    mail = Scripted(port.Doubtful("no_answer"))
    async with room(tmp_path, mail) as desk:
        id = await desk.send()
        message = await desk.until(id, "unknown")
        desk.now += timedelta(hours=5)
        await desk.until(await desk.send("step-0002"), "sent")
        assert (await desk.until(id, "unknown")).why == "no_answer"
        ask = port.Cancel(message_id=id, reason="x")
        with pytest.raises(TooLate):
            await desk.mailroom.cancel(ask, Attempt.of("cancel", ask))

    assert (message.why, len(mail.seen)) == ("no_answer", 2)


@pytest.mark.promise("P5")
async def test_a_pause_that_comes_before_the_first_byte_holds_the_message(tmp_path: Path) -> None:
    mail = Scripted()
    async with room(tmp_path, mail) as desk:

        async def pause() -> None:
            mail.before_the_last_look = None
            await desk.pause(True)

        mail.before_the_last_look = pause
        id = await desk.send()
        await desk.until(id, "queued")
        with anyio.fail_after(10):
            while mail.before_the_last_look is not None:
                await anyio.sleep(0.005)
        await desk.until(id, "queued")
        assert mail.seen == []

        await desk.pause(False)

        await desk.until(id, "sent")
    assert len(mail.seen) == 1


async def test_a_pause_says_what_was_already_on_its_way(tmp_path: Path) -> None:
    mail = Scripted()
    mail.goes_on = anyio.Event()
    async with room(tmp_path, mail) as desk:
        id = await desk.on_its_way(mail)
        ask = port.PauseQueue(paused=True, reason="drill")
        receipt = await desk.mailroom.pause_queue(ask, Attempt.of("pause_queue", ask))
        mail.goes_on.set()
        await desk.until(id, "sent")

    assert receipt.warnings == ["1 messages were already on their way."]


async def test_a_server_that_stops_lets_the_message_on_its_way_arrive_and_begins_no_other(
    tmp_path: Path,
) -> None:
    mail = Scripted()
    mail.goes_on = anyio.Event()
    async with room(tmp_path, mail) as desk:
        first = await desk.on_its_way(mail)
        second = await desk.send("step-0002")
        mail.goes_on.set()

    assert {row["id"]: row["status"] for row in rows(tmp_path, "SELECT * FROM messages")} == {
        first: "sent",
        second: "queued",
    }


async def test_a_server_that_stops_does_not_wait_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lockkeep_servers.notify.adapters.sender.STOP_S", 0.05)
    mail = Scripted()
    mail.goes_on = anyio.Event()
    with anyio.fail_after(5):
        async with room(tmp_path, mail) as desk:
            await desk.on_its_way(mail)

    assert [row["status"] for row in rows(tmp_path, "SELECT status FROM messages")] == ["sending"]


async def test_an_error_of_whoever_uses_the_mailroom_leaves_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(LookupError):
        async with room(tmp_path, Scripted()):
            raise LookupError


async def test_a_message_whose_sender_died_is_unknown_where_nobody_can_tell(tmp_path: Path) -> None:
    dead = Scripted()
    async with room(tmp_path, dead) as desk:
        await desk.pause(True)
        id = await desk.send()
    claimed = "UPDATE messages SET status = 'sending', claimed_by = 'dead', lease_until = '2027-03-01T07:01:00Z' WHERE id = ?"
    change(tmp_path, claimed, id)
    mail = Scripted()
    async with room(tmp_path, mail) as desk:
        await desk.pause(False)
        await desk.until(await desk.send("step-0002"), "sent")
        assert (await desk.until(id, "sending")).state == "sending"  # its sender may still be at it
        desk.now += timedelta(seconds=60)
        message = await desk.until(id, "unknown")

    assert (message.why, len(mail.seen)) == ("sender_died", 1)


async def test_a_sender_that_slept_through_its_lease_stops_at_the_last_look(tmp_path: Path) -> None:
    mail = Scripted()
    async with room(tmp_path, mail) as desk:

        async def sleep() -> None:
            mail.before_the_last_look = None
            desk.now += timedelta(seconds=61)
            change(tmp_path, "UPDATE messages SET status = 'unknown' WHERE id = ?", id)  # as others presume

        mail.before_the_last_look = sleep
        await desk.pause(True)
        id = await desk.send()
        await desk.pause(False)
        await desk.until(id, "sent")

    assert (mail.carried, len(mail.seen)) == (2, 1)


async def test_an_answer_that_comes_after_others_gave_up_still_counts(tmp_path: Path) -> None:
    mail = Scripted()
    mail.goes_on = anyio.Event()
    async with room(tmp_path, mail) as desk:
        id = await desk.on_its_way(mail)
        change(tmp_path, "UPDATE messages SET status = 'unknown' WHERE id = ?", id)
        mail.goes_on.set()
        await desk.until(id, "sent")


async def test_a_letter_brought_to_the_outbox_twice_is_there_once(tmp_path: Path) -> None:
    database = store(tmp_path)
    mail = EmbeddedMail(database, lambda: MONDAY)
    letter = port.Letter(LENA, "a", "b", "ref")
    async with database.session():
        said = [await mail.deliver(letter, lambda: True) for _ in range(2)]
        found = (await mail.find("ref"), await mail.find("else"))

    assert (said, found) == ([port.Sent(), port.Sent()], (True, False))
    assert outbox(tmp_path) == [(LENA, "a", "b")]


async def test_two_mailrooms_on_one_file_send_each_message_once(tmp_path: Path) -> None:
    one, other = Scripted(), Scripted()
    async with room(tmp_path, one) as here, room(tmp_path, other) as there:
        await here.pause(True)
        ids = [await here.send(f"step-{number:04}") for number in range(40)]
        await there.pause(False)
        for id in ids:
            await here.until(id, "sent")
            await there.until(id, "sent")

    assert len(one.seen) + len(other.seen) == len({*one.seen, *other.seen}) == 40
