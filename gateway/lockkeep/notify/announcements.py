"""Delivers what the outbox holds: each notice to each channel, at least once, until it is taken or a day is over."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import anyio
from anyio.abc import TaskGroup

from lockkeep.ledger import Ledger, outbox
from lockkeep.model import stamp
from lockkeep.notify.channels import channel_of
from lockkeep.notify.notices import notice_of
from lockkeep.notify.port import Answering, Channel, Listening, Undelivered
from lockkeep.notify.votes import Votes
from lockkeep.policy.bundle import PolicySet
from lockkeep.policy.files.channels import ChannelEntry
from lockkeep.policy.inforce import InForce
from lockkeep.store import Row, Tx

logger = logging.getLogger(__name__)
TICK = 0.25  # seconds between two looks at the outbox
LIMIT = 60.0  # for one try
TIDY = 3600.0


@dataclass
class _Open:
    """A channel at work."""

    entry: ChannelEntry
    channel: Channel
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    not_before: float = 0.0  # the other side wants nothing more until then


@dataclass(kw_only=True)
class Announcements:
    """Each channel is served by a task of its own: a slow one holds up no other, and none holds up a call."""

    ledger: Ledger
    in_force: InForce
    url: str
    clock: Callable[[], datetime]
    build: Callable[[ChannelEntry, Callable[[], datetime]], Channel] = channel_of
    _open: dict[str, _Open] = field(default_factory=dict[str, _Open])
    _tidied: float = 0.0

    @property
    def votes(self) -> Votes:
        return Votes(self.ledger, self.in_force, self.clock)

    async def run(self) -> None:
        """Until the gateway stops."""
        async with anyio.create_task_group() as tasks:
            while True:
                try:
                    await self._follow(tasks)
                    await self._share()
                    await self._tidy()
                except Exception:
                    logger.exception("the outbox could not be looked through")
                await anyio.sleep(TICK)

    async def answer(self, body: bytes, at: str, signature: str) -> bool:
        """Whether one of the channels had this request signed; then it was heard."""
        for each in list(self._open.values()):
            if isinstance(each.channel, Answering) and await each.channel.answer(
                body, at, signature, self.clock(), self.votes.cast
            ):
                return True
        return False

    async def _follow(self, tasks: TaskGroup) -> None:
        """The channels at work are those of the rules in force."""
        rules = self.in_force.current
        wanted = rules.gateway.notify if rules is not None else dict[str, ChannelEntry]()
        for name, each in list(self._open.items()):
            if wanted.get(name) != each.entry:
                each.scope.cancel()
                del self._open[name]
        for row in self.ledger.store.read.all("listening"):
            if row["channel"] not in self._open:
                await self._hears(row["channel"], "")
        for name, entry in wanted.items():
            if name not in self._open:
                self._open[name] = opened = _Open(entry, self.build(entry, self.clock))
                tasks.start_soon(self._serve, opened)

    async def _serve(self, opened: _Open) -> None:
        """What is due, and what the channel itself hears."""
        with opened.scope:
            async with anyio.create_task_group() as tasks:
                if isinstance(opened.channel, Listening) and opened.channel.listens:
                    tasks.start_soon(self._listen, opened.entry.name, opened.channel)
                while True:
                    try:
                        if anyio.current_time() >= opened.not_before:
                            await self._deliver(opened)
                    except Exception:
                        logger.exception("channel %s could not be served", opened.entry.name)
                    await anyio.sleep(TICK)

    async def _deliver(self, opened: _Open) -> None:
        name = opened.entry.name
        for row in self.ledger.store.read.all("deliveries_due", channel=name, now=stamp(self.clock())):
            rules = self.in_force.current
            if rules is None:
                return
            place, no = await self._try(opened.channel, row, rules)
            await self._note(row, place, no)
            if no is not None and no.after is not None:
                opened.not_before = anyio.current_time() + no.after
                return

    async def _try(
        self, channel: Channel, row: Row, rules: PolicySet
    ) -> tuple[str | None, Undelivered | None]:
        """Where it stands now, or why it was not taken."""
        read = self.ledger.store.read
        try:
            notice = notice_of(read, row, rules, self.url, self.clock())
            if notice is None:
                return None, None
            places = read.all("delivery_places", about=row["about"], channel=row["channel"])
            with anyio.fail_after(LIMIT):
                return await channel.deliver(notice, tuple(each["place"] for each in places)), None
        except Undelivered as error:
            return None, error
        except TimeoutError:
            return None, Undelivered("no answer within a minute")
        except Exception as error:  # a channel of others, or a mistake of ours: the next ones are tried
            logger.exception("channel %s could not take notice %s", row["channel"], row["id"])
            return None, Undelivered(f"it failed: {type(error).__name__}")

    async def _note(self, row: Row, place: str | None, no: Undelivered | None) -> None:
        def noted(tx: Tx) -> None:
            if no is None:
                outbox.sent(tx, row, place)
            else:
                outbox.failed(tx, row, str(no), self.clock(), no.after)

        await self.ledger.store.write(noted)

    async def _listen(self, name: str, channel: Listening) -> None:
        """A channel that hears buttons, until it is closed; what breaks is begun again."""

        async def said(problem: str) -> None:
            await self._hears(name, problem)

        while True:
            try:
                await channel.listen(self.votes.cast, said)
            except Undelivered as error:
                await said(str(error))
            except Exception as error:
                logger.exception("channel %s stopped listening", name)
                await said(f"it stopped listening: {type(error).__name__}")
            await anyio.sleep(5)

    async def _hears(self, name: str, problem: str) -> None:
        """Written when it changes."""
        known = {row["channel"]: row["problem"] for row in self.ledger.store.read.all("listening")}
        if known.get(name, "") != problem:
            await self.ledger.store.write(lambda tx: outbox.listening(tx, name, problem, self.clock()))

    async def _share(self) -> None:
        """Every new notice becomes a delivery for each channel that wants it."""
        rows = self.ledger.store.read.all("notices_new")
        if rows and self.in_force.current is not None:
            await self.ledger.store.write(
                lambda tx: [outbox.share(tx, row, self._wanting(row), self.clock()) for row in rows]
            )

    def _wanting(self, row: Row) -> list[str]:
        told = "approvals" if row["event"] in outbox.APPROVALS else "alarms"
        return [name for name, each in self._open.items() if told in each.entry.about]

    async def _tidy(self) -> None:
        """What is too late is given up; what is long over is forgotten."""
        names, now = list(self._open), self.clock()
        if outbox.late(self.ledger.store.read, names, now):
            await self.ledger.store.write(lambda tx: outbox.give_up(tx, names, now))
        if now.timestamp() - self._tidied > TIDY:
            self._tidied = now.timestamp()
            await self.ledger.store.write(lambda tx: outbox.forget(tx, now), durable=False)
