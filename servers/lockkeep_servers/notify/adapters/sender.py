"""Sends what is due, one message at a time; of several processes on one file, each message is sent by one."""

import logging
import secrets
import traceback
from collections.abc import Awaitable, Callable
from datetime import timedelta

import anyio

from lockkeep_servers.kit.clock import Clock
from lockkeep_servers.kit.errors import ToolError
from lockkeep_servers.kit.faults import Fault
from lockkeep_servers.kit.sqlite import Database, Row, Transaction
from lockkeep_servers.kit.times import parse_time, stamp
from lockkeep_servers.notify.checks import quiet_until
from lockkeep_servers.notify.port import EXPIRE_H, Delivery, Doubtful, Held, Letter, Mail, Refused, Sent

logger = logging.getLogger(__name__)
POLL_S = 1.0  # another process may have queued something
REST_S = 10.0  # after a start: a gateway that starts under a stop has this long to pause the queue
STOP_S = 10.0  # what a message on its way gets when the server stops
PATIENCE_S = 30.0  # between two looks at what could not be settled
LATE = timedelta(minutes=15)  # a message this late keeps quiet hours again
RETRIES_S = (30, 120, 600, 1800)
DELIVER = "deliver"  # what the faults of a test call this


class Sender:
    """One process's share of the queue, for as long as it runs."""

    def __init__(
        self, database: Database, clock: Clock, mail: Mail, fault: Fault,
        settle_posts: Callable[[], Awaitable[bool]], rest_s: float = REST_S,
    ) -> None:  # fmt: skip
        self._database = database
        self._clock = clock
        self._mail = mail
        self._fault = fault
        self._settle_posts = settle_posts
        self._started = clock()
        self._rest = timedelta(seconds=rest_s)
        self._who = secrets.token_hex(12)
        self._woken = anyio.Event()
        self._carrying = anyio.CancelScope(shield=True)
        self._stopping = False
        self._looked = float("-inf")

    def wake(self) -> None:
        """Look now, not at the next turn."""
        self._woken.set()

    def stop(self) -> None:
        """No further message is begun; the one on its way gets a moment to arrive."""
        self._stopping = True
        self._carrying.deadline = min(self._carrying.deadline, anyio.current_time() + STOP_S)
        self.wake()

    async def run(self) -> None:
        """Send what is due until stopped."""
        while not self._stopping:
            self._woken = anyio.Event()
            patience = POLL_S if await self._sound() else PATIENCE_S
            with anyio.move_on_after(patience):
                await self._woken.wait()

    async def _sound(self) -> bool:
        """Work until nothing waits. The broad except: one message, or a full disk, must not end the sending."""
        try:
            while await self._step():
                pass
            await self._look_at_posts()
        except Exception as error:  # texts of exceptions quote payloads, so only type and frames are logged
            frames = " < ".join(
                f"{f.name}:{f.lineno}" for f in reversed(traceback.extract_tb(error.__traceback__))
            )
            logger.error("the sender stumbled: type=%s at=%s", type(error).__name__, frames)  # noqa: TRY400
            return False
        return True

    async def _step(self) -> bool:
        """Do the next thing that waits; False if there was nothing to do."""
        rests = self._started <= self._clock() < self._started + self._rest
        if self._stopping or rests or not self._database.read(self._waits):
            return False
        with anyio.CancelScope(shield=True) as self._carrying:
            row = await self._database.write(self._claim)
            if row is not None:
                await self._carry(row)
                return True
        return not self._carrying.cancelled_caught and await self._recover()

    def _waits(self, tx: Transaction) -> bool:
        asked = {"now": stamp(self._clock()), "too_late": self._too_late()}
        return bool(tx.rows("something_waits", **asked)[0]["yes"])

    def _too_late(self) -> str:
        return stamp(self._clock() - timedelta(hours=EXPIRE_H))

    def _claim(self, tx: Transaction) -> Row | None:
        """Return the next message, ours alone from here on; None if the queue is paused or nothing is due."""
        now = self._clock()
        tx.run("expire", now=stamp(now), too_late=self._too_late())
        while (row := tx.row("next_due", now=stamp(now))) is not None:
            late = now - parse_time(row["due_at"]) > LATE
            if row["suppressed"]:
                tx.run("give_up", id=row["id"], why="suppressed", now=stamp(now))
            elif late and (allowed := quiet_until(row, now)) is not None:
                tx.run("postpone", id=row["id"], not_before=stamp(allowed), now=stamp(now))
            else:
                until = stamp(now + timedelta(seconds=self._mail.lease_s))
                tx.run("claim", id=row["id"], who=self._who, until=until, now=stamp(now))
                return row
        return None

    async def _carry(self, row: Row) -> None:
        """The claim is on record: hand the letter over, and write down what became of it."""
        self._fault.hit("crash_before", DELIVER)
        letter = Letter(row["recipient"], row["subject"], row["body"], row["reference"])
        delivery = await self._mail.deliver(letter, lambda: self._may_go(row))
        self._fault.hit("crash_inside", DELIVER)
        await self._database.write(lambda tx: self._settle(tx, row, delivery))
        self._fault.hit("crash_after", DELIVER)
        logger.info("message=%s delivery=%s", row["id"], type(delivery).__name__.lower())

    def _may_go(self, row: Row) -> bool:
        """The last look, right before the first byte; a store that cannot tell says no."""
        asked = {"id": row["id"], "who": self._who, "now": stamp(self._clock())}
        try:
            found = self._database.read(lambda tx: tx.rows("may_go", **asked))
        except ToolError:
            return False
        return not self._stopping and bool(found[0]["yes"])

    def _settle(self, tx: Transaction, row: Row, delivery: Delivery) -> None:
        now = self._clock()
        ours = {"id": row["id"], "who": self._who, "now": stamp(now)}
        match delivery:
            case Sent():
                tx.run("settle", **ours, status="sent", why=None)
            case Doubtful(why):
                tx.run("settle", **ours, status="unknown", why=why)
            case Refused(why, permanent=True):
                tx.run("settle", **ours, status="failed", why=why)
            case Refused(why):
                attempts: int = row["attempts"]
                wait = timedelta(seconds=RETRIES_S[min(attempts, len(RETRIES_S) - 1)])
                tx.run("put_back", **ours, why=why, not_before=stamp(now + wait), uncounted=0)
            case Held():
                tx.run("put_back", **ours, why=None, not_before=stamp(now), uncounted=1)

    async def _recover(self) -> bool:
        """Settle what somebody who died left behind; True if a message was among it."""
        rows = self._database.read(lambda tx: tx.rows("lapsed", now=stamp(self._clock())))
        for row in rows:
            went = await self._mail.find(row["reference"])
            await self._database.write(lambda tx, row=row, went=went: self._settle_lapsed(tx, row, went))
        return bool(rows)

    async def _look_at_posts(self) -> None:
        """What the service outside could not tell is not asked of it every second."""
        now = anyio.current_time()
        if now - self._looked >= PATIENCE_S and await self._settle_posts():
            self._looked = now

    def _settle_lapsed(self, tx: Transaction, row: Row, went: bool | None) -> None:
        theirs = {"id": row["id"], "who": row["claimed_by"], "now": stamp(self._clock())}
        if went is None:
            tx.run("presume_unknown", **theirs)
        elif went:
            tx.run("settle", **theirs, status="sent", why=None)
        else:
            tx.run("put_back", **theirs, why=None, not_before=theirs["now"], uncounted=1)
