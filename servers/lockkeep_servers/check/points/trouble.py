"""TC10: every fault for every writer; the code is of the closed set, and the receipt then tells the truth."""

from collections.abc import Mapping
from itertools import cycle
from typing import Any

from lockkeep_servers.check.cases import Write
from lockkeep_servers.check.desk import CODES, SURELY_NOT_APPLIED, Answer
from lockkeep_servers.check.results import Book
from lockkeep_servers.check.scene import Room, Scene, each_case
from lockkeep_servers.check.undoing import holds
from lockkeep_servers.kit.faults import AFTER, BEFORE, Trouble

FULL = "disk_full"
READS = ("unavailable", "rate_limited", "timeout_before", "malformed")


async def check(room: Room, book: Book) -> None:
    """Each case in each trouble, at the port; then once more, without any."""
    if not room.target.troubled:
        book.miss("faults", "No fault can be planted in a server that is not built here from a port.")
        return
    if room.target.writable:
        later = cycle(AFTER)

        async def play(case: Write) -> None:
            trouble = Trouble(tool=case.tool)
            async with room.scene(case, trouble) as scene:
                for kind in BEFORE:
                    await _hit(scene, trouble, kind, book)
            for kind in (next(later),) if room.sample else AFTER:
                trouble = Trouble(tool=case.tool)
                async with room.scene(case, trouble) as scene:
                    await _hit(scene, trouble, kind, book)
            if not room.sample:
                await _full(room, case, book)

        await each_case(room, book, play, room.each())
    await _reads(room, book)


async def _hit(scene: Scene, trouble: Trouble, kind: str, book: Book) -> None:
    """Call in trouble, ask for the receipt, look into the store, and call again without it."""
    key, before = scene.room.new_key(), await scene.seen()
    trouble.kind, trouble.hits = kind, 0
    answer = await scene.call(key)
    trouble.kind = ""
    if not trouble.hits:
        book.skip(kind, "The fault took no hold: the port has no method of the tool's name.", **scene.where)
        return
    await _truth(scene, key, kind, answer, before, book)


async def _full(room: Room, case: Write, book: Book) -> None:
    """The disk is full inside the transaction."""
    start, key = await room.prepared(case), room.new_key()
    full = {**start.environ, room.target.key("FAULT"): f"{FULL}:{case.tool}"}
    async with room.opened(full, now=start.now) as counter:
        before = await counter.scene(case, start).seen()
        answer = await counter.scene(case, start).call(key)
    if answer.ok:
        book.skip(FULL, "The fault took no hold.", tool=case.tool, case=case.name)
        return
    async with room.opened(start.environ, now=start.now) as counter:
        await _truth(counter.scene(case, start), key, FULL, answer, before, book)


async def _truth(scene: Scene, key: str, kind: str, answer: Answer, before: Any, book: Book) -> None:
    where = {"tool": scene.tool, "case": f"{scene.case.name}, {kind}"}
    book.expect(
        answer.code in CODES and not answer.wrong, "closed code", "The fault got no code of the closed set.",
        **where, expected="a closed code", got=answer.shown, fix="Turn every exception into one of the kit's errors.",
    )  # fmt: skip
    applied, told = await _told(scene, key)
    promised = answer.code in SURELY_NOT_APPLIED
    book.expect(
        not (promised and applied), "promise", "The code promises that nothing was applied; the receipt says it was.",
        **where, expected="not applied", got=told, fix="Answer unknown_outcome once the effect may have begun.",
    )  # fmt: skip
    if scene.sees:
        changed = await scene.seen() != before
        book.expect(
            changed == applied, "truth", "The receipt and the store disagree.", **where,
            expected="applied" if changed else "not applied", got=told,
            fix="Write receipt and effect in one transaction.",
        )  # fmt: skip
    if kind in BEFORE:
        return  # the same store serves the next fault
    again = await scene.call(key)
    book.expect(
        again.ok and again.content.get("replayed") is applied, "same key again",
        "After the fault the same key did not end in one effect.", **where,
        expected="replayed" if applied else "applied", got=again.shown, fix="Look for the key before the effect.",
    )  # fmt: skip


async def _told(scene: Scene, key: str) -> tuple[bool, str]:
    if not isinstance(scene.entry.get("verify"), Mapping):
        return False, "nobody can tell: there is no verify"
    told = await scene.verify(key)
    values = {"result": dict(told.content)}
    return told.ok and holds(str(scene.entry["verify"]["applied"]), values), told.shown


async def _reads(room: Room, book: Book) -> None:
    """A reader in trouble says so, and guesses nothing."""
    trouble = Trouble()
    async with room.opened(room.new({}), trouble) as counter:
        kinds = cycle(READS)
        for ask in room.cases.reads:
            for kind in (next(kinds),) if room.sample else READS:
                trouble.kind, trouble.tool, trouble.hits = kind, ask.tool, 0
                answer = await counter.ask(ask, {})
                trouble.kind = ""
                if trouble.hits:
                    book.expect(
                        not answer.ok and answer.code in CODES and not answer.wrong, "reader",
                        "A reader in trouble got no closed code.", tool=ask.tool, case=kind,
                        expected="a closed code", got=answer.shown, fix="Answer unavailable.",
                    )  # fmt: skip
