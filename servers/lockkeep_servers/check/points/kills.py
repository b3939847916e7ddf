"""TC6: killed before, inside or after the effect, a call that is made again with its key ends in one effect."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import anyio

from lockkeep_servers.check.cases import Write
from lockkeep_servers.check.desk import Answer
from lockkeep_servers.check.nursery import CAN_FORK, Stillborn
from lockkeep_servers.check.points.keys import size
from lockkeep_servers.check.results import Book
from lockkeep_servers.check.scene import Counter, Prepared, Room, Scene, each_case
from lockkeep_servers.check.undoing import holds
from lockkeep_servers.kit.faults import CRASHES


async def check(room: Room, book: Book) -> None:
    """Each case killed at each place, in a process of its own, then made again."""
    if why := _impossible(room):
        book.miss("kill -9", why)
        return

    async def play(case: Write) -> None:
        if not room.key_of(case.tool):
            book.expect(
                False, "takes a key", "This writer takes no key, so nobody can tell after a crash.",
                tool=case.tool, case=case.name, fix="Take an idempotency_key.",
            )  # fmt: skip
            return
        async with room.scene(case) as scene:
            await scene.call()
            once = size(await scene.seen())
        async with anyio.create_task_group() as doomed:  # each dies in a process and a store of its own
            for kind in CRASHES:
                doomed.start_soon(_killed, room, case, kind, once, book)

    cases = room.each()
    await each_case(room, book, play, cases[:1] if room.sample else cases)


def _impossible(room: Room) -> str:
    if not room.target.forkable or not room.target.troubled:
        return (
            "A server that runs elsewhere, or keeps everything in memory, cannot be killed and found again."
        )
    if not room.target.writable:
        return "Writers are not called here."
    return "" if CAN_FORK else "This system cannot fork."


async def _killed(room: Room, case: Write, kind: str, once: object, book: Book) -> None:
    where = {"tool": case.tool, "case": f"{case.name}, {kind}"}
    start, key = await room.prepared(case), room.new_key()
    before = None if room.target.embedded else await _seen(room, case, start)
    doomed = {**start.environ, room.target.key("FAULT"): f"{kind}:{case.tool}"}
    try:
        async with room.nursery.born(room.target.reference, doomed, start.now or room.target.now) as desk:
            died = await Counter(room, desk).scene(case, start).call(key)
    except* Stillborn:
        died = Answer("not_started", wrong="the process did not start, or takes no FAULT")
    if not book.expect(
        died.code == "protocol_error", "killed", "The process was not killed where it should have been.",
        **where, expected="no answer: the process is dead", got=died.shown,
        fix="Hit the fault of LOCKKEEP_..._FAULT around the effect, as the kit's Receipts do.",
    ):  # fmt: skip
        return
    async with room.opened(start.environ, now=start.now) as counter:
        scene = replace(counter.scene(case, start), key=key)
        if isinstance(scene.entry.get("verify"), Mapping):
            await _told(scene, kind, before, where, book)
        await _retried(scene, once, where, book)


async def _seen(room: Room, case: Write, start: Prepared) -> Any:
    async with room.opened(start.environ, now=start.now) as counter:
        return await counter.scene(case, start).seen()


async def _told(scene: Scene, kind: str, before: Any, where: dict[str, str], book: Book) -> None:
    """The receipt says what happened. Where effect and receipt are not one transaction, the effect shows that itself."""
    answer = await scene.verify()
    values = {"result": dict(answer.content)}
    applied, not_applied = (
        holds(str(scene.entry["verify"][name]), values) for name in ("applied", "not_applied")
    )
    if scene.room.target.embedded:
        happened = kind == "crash_after"
        true = applied == happened and not (happened and not_applied)
    else:
        happened = scene.sees and await scene.seen() != before
        true = not (applied and not happened) and not (not_applied and happened)
    book.expect(
        answer.ok and true, "receipt after the kill", "The receipt does not say what happened.", **where,
        expected="applied" if happened else "not applied", got=answer.shown,
        fix="Write receipt and effect in one transaction, or look for the effect before answering.",
    )  # fmt: skip


async def _retried(scene: Scene, once: object, where: dict[str, str], book: Book) -> None:
    """The same key again ends in one effect, whatever had happened."""
    retried = await scene.call()
    if (
        retried.code == "unknown_outcome"
        and scene.desk.clock
        and isinstance(scene.entry.get("verify"), Mapping)
    ):
        wait: Any = (await scene.verify()).content.get("retry_after_s")  # what was sent may still arrive
        scene.desk.clock.later(timedelta(seconds=wait if isinstance(wait, int) else 0))
        retried = await scene.call()
    replayed = await scene.call()
    book.expect(
        retried.ok and replayed.content == {**retried.content, "replayed": True}, "retry after the kill",
        "The same key did not end in one receipt.", **where, expected="applied, then replayed",
        got=f"{retried.shown}; {replayed.shown}", fix="Look for what a dead process left before starting again.",
    )  # fmt: skip
    if scene.sees:
        now = size(await scene.seen())
        book.expect(
            now == once, "one effect after the kill", "A kill and a retry left another store than one call.",
            **where, expected=once, got=now, fix="Write receipt and effect in one transaction.",
        )  # fmt: skip
