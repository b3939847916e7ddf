"""TC9: a dry run leaves the store byte for byte as it was, and says what the call would do."""

from collections.abc import Mapping
from typing import Any, cast

from lockkeep_servers.check.cases import Write
from lockkeep_servers.check.desk import Answer
from lockkeep_servers.check.moving import still
from lockkeep_servers.check.results import Book
from lockkeep_servers.check.scene import Room, Scene, each_case


async def check(room: Room, book: Book) -> None:
    """Each case rehearsed, then done."""

    async def play(case: Write) -> None:
        if "dry_run" not in room.takes(case.tool):
            book.expect(
                False, "dry run", "This writer has no dry run.", tool=case.tool, case=case.name,
                fix="Take dry_run: all checks and reads, no effect.",
            )  # fmt: skip
            return
        async with room.scene(case) as scene:
            await _rehearsed(scene, book)

    await each_case(room, book, play, room.each())


async def _rehearsed(scene: Scene, book: Book) -> None:
    where = scene.where
    before = await scene.seen()
    predicted = await scene.call(dry_run=True)
    after = await scene.seen()
    book.expect(
        predicted.ok and predicted.content.get("applied") is False, "dry run", "The dry run was not answered.",
        **where, expected="applied: false", got=predicted.shown, fix="Answer a dry run with the receipt it would have.",
    )  # fmt: skip
    if scene.sees:
        book.expect(
            before == after, "nothing applied", "A dry run left something in the store.", **where,
            fix="Roll the transaction back.",
        )  # fmt: skip
    else:
        book.skip("nothing applied", "Nothing of the store can be seen.", **where)
    done = await scene.call()
    wanted, got = (_image(answer, scene.case.ignore) for answer in (predicted, done))
    book.expect(
        done.ok and wanted == got and done.content.get("replayed") is False, "predicts",
        "The call did something else than its dry run said, or its key was used up.", **where,
        expected=wanted, got=got if done.ok else done.shown, fix="Let both go through the same code.",
    )  # fmt: skip


def _image(answer: Answer, ignore: frozenset[str]) -> Mapping[str, Any]:
    content = cast(Mapping[str, Any], still(dict(answer.content), ignore))
    return {name: content.get(name) for name in ("before", "after")}
