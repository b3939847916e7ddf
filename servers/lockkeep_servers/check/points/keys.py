"""TC5: a key used twice has one effect and one receipt; with other arguments it is a conflict; sixteen at once are one."""

from collections.abc import Mapping
from typing import Any, cast

import anyio

from lockkeep_servers.check import store
from lockkeep_servers.check.cases import Write
from lockkeep_servers.check.desk import Answer
from lockkeep_servers.check.results import Book
from lockkeep_servers.check.samples import kind_of
from lockkeep_servers.check.scene import Room, Scene, each_case

CALLERS = 16


async def check(room: Room, book: Book) -> None:
    """Each case once, again, otherwise, and sixteen times together."""

    async def play(case: Write) -> None:
        if not room.key_of(case.tool):
            book.expect(
                False, "takes a key", "This writer takes no key, so a retry does it twice.", tool=case.tool,
                case=case.name, fix="Take an idempotency_key and name it in the manifest's `idempotency`.",
            )  # fmt: skip
            return
        async with room.scene(case) as scene:
            once = await _twice(scene, book)
        if once is not None:
            async with room.scene(case) as scene:
                await _together(scene, book, once)

    await each_case(room, book, play, room.each())


async def _twice(scene: Scene, book: Book) -> Any:
    """Return how large the store is after one effect; None if there was none."""
    where = scene.where
    first = await scene.call()
    if not book.expect(
        first.ok and first.content.get("replayed") is False, "first call", "The case was refused.", **where,
        expected="applied, not replayed", got=first.shown, fix="Correct the case, or the server.",
    ):  # fmt: skip
        return None
    seen = await scene.seen()
    second = await scene.call()
    book.expect(
        second.content == {**first.content, "replayed": True}, "same key", "The same key got another receipt.",
        **where, expected="the stored receipt, replayed: true", got=second.shown,
        fix="Store the receipt with its key, in the transaction of the effect.",
    )  # fmt: skip
    other = _otherwise(scene)
    if other is None:
        book.expect(
            False, "other arguments", "The case has no text that could be said otherwise.", **where,
            fix="Say `other:` in conformance.yaml.",
        )  # fmt: skip
    else:
        refused = await scene.call(**other)
        book.expect(
            refused.closed and refused.code == "idempotency_conflict", "other arguments",
            "The key was taken for other arguments.", **where, expected="idempotency_conflict",
            got=refused.shown, fix="Compare a digest of the arguments with the one stored.",
        )  # fmt: skip
    if scene.sees:
        book.expect(
            await scene.seen() == seen, "one effect", "A repeat left something behind.", **where,
            fix="Look for the key before the effect, in its transaction.",
        )  # fmt: skip
    else:
        book.skip("one effect", "Nothing of the store can be seen.", **where)
    return size(seen)


def _otherwise(scene: Scene) -> Mapping[str, Any] | None:
    """What the case says, or one free text said differently."""
    if scene.case.other is not None:
        return scene.case.other
    for name, part in scene.room.takes(scene.tool).items():
        plain = kind_of(part) == "string" and not {"enum", "const", "format", "pattern"} & set(part)
        if plain and isinstance(scene.arguments.get(name), str) and not name.endswith("id"):
            return {name: f"{scene.arguments[name]} 2"}
    return None


async def _together(scene: Scene, book: Book, once: Any) -> None:
    where = scene.where
    answers: list[Answer] = []

    async def one() -> None:
        answers.append(await scene.call())

    async with anyio.create_task_group() as callers:
        for _ in range(CALLERS):
            callers.start_soon(one)
    done = [answer for answer in answers if answer.ok]
    first = [answer for answer in done if answer.content.get("replayed") is False]
    others = {answer.code for answer in answers if not answer.ok}
    alike = {str({**answer.content, "replayed": None}) for answer in done}
    book.expect(
        len(first) == 1 and len(alike) == 1 and others <= {"in_progress"}, "sixteen at once",
        "Sixteen callers with one key did not get one receipt.", **where,
        expected="one applied, the others replayed or in_progress",
        got=f"{len(first)} applied, {len(alike)} receipts, {', '.join(sorted(others)) or 'no errors'}",
        fix="Take the key in the transaction of the effect, with a unique index.",
    )  # fmt: skip
    if scene.sees:
        now = size(await scene.seen())
        book.expect(
            now == once, "sixteen, one effect", "Sixteen callers with one key left more than one effect.",
            **where, expected=once, got=now, fix="Take the key in the transaction of the effect.",
        )  # fmt: skip


def size(seen: Any) -> Any:
    """How many rows there are, wherever rows are seen."""
    if isinstance(seen, Mapping):
        return store.counts(cast(store.Tables, seen))
    return [_rows(each) for each in cast(list[Any], seen)]


def _rows(content: Any) -> int:
    parts = cast(Mapping[str, Any], content).values() if isinstance(content, Mapping) else ()
    return sum(len(cast(list[Any], part)) for part in parts if isinstance(part, list))
