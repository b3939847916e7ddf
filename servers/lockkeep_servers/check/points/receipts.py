"""TC7: a receipt tells committed, absent and fenced apart; a fenced key never runs; a stale version writes nothing."""

from collections.abc import Mapping
from typing import Any, cast

from lockkeep_servers.check.cases import Write
from lockkeep_servers.check.desk import Answer
from lockkeep_servers.check.results import Book
from lockkeep_servers.check.scene import Room, Scene, each_case
from lockkeep_servers.check.undoing import holds


async def check(room: Room, book: Book) -> None:
    """Each case: nothing known of the key, the key closed, a version that never was, and the call itself."""

    async def play(case: Write) -> None:
        async with room.scene(case) as scene:
            before = await scene.seen()
            verify: Any = scene.entry.get("verify")
            if not isinstance(verify, Mapping):
                book.expect(
                    False, "verify", "Nobody can ask what became of this call.", tool=case.tool, case=case.name,
                    fix="Offer get_receipt and name it in the manifest's `verify`.",
                )  # fmt: skip
                return
            stale = await _stale(scene, before, book)
            called = await _told(scene, cast(Mapping[str, Any], verify), book)
            if stale is not None:
                _refused(stale, created=called.content.get("before") is None, scene=scene, book=book)

    await each_case(room, book, play, room.each())


async def _told(scene: Scene, verify: Mapping[str, Any], book: Book) -> Answer:
    """Ask about an unused key, a fenced one and one that was used; return how that call was answered."""
    where = scene.where

    def tell(name: str, answer: Answer, applied: bool, not_applied: bool) -> None:
        values = {"result": dict(answer.content)}
        got = {name: holds(str(verify[name]), values) for name in ("applied", "not_applied")}
        book.expect(
            answer.ok and got == {"applied": applied, "not_applied": not_applied}, name,
            "The receipt does not tell what became of the key.", **where,
            expected=f"applied: {applied}, not_applied: {not_applied}", got=answer.shown,
            fix="Keep the state of every key, in the transaction of its effect.",
        )  # fmt: skip

    tell("absent", await scene.verify(scene.room.new_key()), applied=False, not_applied=False)
    if cast(Mapping[str, Any], verify.get("with", {})).get("fence") is True:
        await _fenced(scene, tell, book)
    else:
        book.skip("fenced", "The manifest's verify has no fence.", **where)
    called = await scene.call()
    told = await scene.verify(fence=True)
    tell("committed", told, applied=True, not_applied=False)
    receipt: Any = told.content.get("receipt")
    book.expect(
        called.ok and receipt == {**called.content, "replayed": False}, "same receipt",
        "The receipt is not the one the call was answered with.", **where, expected=called.shown,
        got=told.shown, fix="Store the receipt as it was answered.",
    )  # fmt: skip
    return called


async def _fenced(scene: Scene, tell: Any, book: Book) -> None:
    where, key = scene.where, scene.room.new_key()
    tell("fenced", await scene.verify(key, fence=True), applied=False, not_applied=True)
    before = await scene.seen()
    late = await scene.call(key)
    book.expect(
        late.closed and late.code == "cancelled", "a fenced key", "A fenced key ran.", **where,
        expected="cancelled", got=late.shown, fix="Refuse a key that was closed, before the effect.",
    )  # fmt: skip
    if scene.sees:
        book.expect(
            await scene.seen() == before, "a fenced key, no effect", "A fenced key left something behind.",
            **where, fix="Refuse a key that was closed, before the effect.",
        )  # fmt: skip


async def _stale(scene: Scene, before: Any, book: Book) -> Answer | None:
    """Name a version that never was; nothing may be written. None where no version can be named."""
    version: Any = scene.entry.get("version")
    if not isinstance(version, Mapping):
        return None
    argument = str(cast(Mapping[str, Any], version)["arg"])
    answer = await scene.call(scene.room.new_key(), **{argument: scene.case.stale})
    if scene.sees:
        book.expect(
            await scene.seen() == before, "stale version, no effect", "A stale version left something behind.",
            **scene.where, fix="Compare the version in the statement that writes.",
        )  # fmt: skip
    return answer


def _refused(answer: Answer, *, created: bool, scene: Scene, book: Book) -> None:
    """What was not there yet has no version, so expecting one is `not_found`."""
    codes = ("conflict", "not_found") if created else ("conflict",)
    book.expect(
        answer.closed and answer.code in codes, "stale version", "A stale version was not a conflict.",
        **scene.where, expected=" or ".join(codes), got=answer.shown,
        fix="Compare the version in the statement that writes.",
    )  # fmt: skip
