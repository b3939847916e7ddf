"""TC8: taken back by the manifest, the world is as it was; what others did meanwhile is kept; too late is too late."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

from lockkeep_servers.check import store
from lockkeep_servers.check.cases import Write
from lockkeep_servers.check.desk import Answer
from lockkeep_servers.check.moving import moves, still
from lockkeep_servers.check.results import Book
from lockkeep_servers.check.scene import Room, Scene, each_case
from lockkeep_servers.check.undoing import fill, image, plan

WINDOW = re.compile(r"(\d+)([dhm])")
UNITS = {"d": "days", "h": "hours", "m": "minutes"}
Entry = Mapping[str, Any]


@dataclass(frozen=True)
class Done:
    """What was done, and the call that takes it back."""

    scene: Scene
    answer: Answer
    tool: str
    arguments: Mapping[str, Any]
    key: str  # of the undo, which is a step of its own

    @property
    def where(self) -> dict[str, str]:
        return self.scene.where

    async def undo(self) -> Answer:
        name = self.scene.room.key_of(self.tool)
        return await self.scene.desk.call(self.tool, {**({name: self.key} if name else {}), **self.arguments})


async def check(room: Room, book: Book) -> None:
    """Each case done and taken back; taken back after somebody else; taken back too late."""

    async def play(case: Write) -> None:
        async with room.scene(case) as scene:
            before, rows = await scene.shown(), rows_of(scene)
            done = await _done(scene, book)
            if done is None:
                return
            changed = not scene.sees or await scene.shown() != before or rows_of(scene) != rows
            book.expect(
                changed, "changes something", "The call changed nothing that can be seen.", **done.where,
                fix="Let the case change something, and its `snapshot` show it.",
            )  # fmt: skip
            await _taken_back(done, before, rows, book)
        if case.between is not None:
            async with room.scene(case) as scene:
                await _after_others(scene, book)
        if case.late:
            async with room.scene(case) as scene:
                await _too_late(scene, book)

    await each_case(room, book, play, room.each())


async def _done(scene: Scene, book: Book | None) -> Done | None:
    """Make the call, and work out its undo; None where there is none, and the receipt says so, too."""
    values: dict[str, Any] = {"args": scene.meant(), **await _read_before(scene)}
    answer = await scene.call()
    values["result"] = dict(answer.content)
    entry, where = scene.entry, scene.where
    if not answer.ok:
        if book is not None:
            book.expect(False, "call", "The case was refused.", **where, expected="ok", got=answer.shown)
        return None
    possible = cast(Entry, answer.content.get("undo", {})).get("possible")
    said: Any = entry.get("undo")
    none = not isinstance(said, Mapping) or cast(Entry, said).get("restores") == "none"
    if none or possible == "no":
        if book is not None:
            book.expect(
                possible in ("no", None) or not none, "says so", "The receipt promises an undo nobody knows.",
                **where, expected="undo.possible: no", got=possible, fix="Say in the receipt what the manifest says.",
            )  # fmt: skip
        return None
    planned = plan(entry, {**values, "before": image(entry, values)})
    if planned is None:
        if book is not None:
            book.expect(
                False, "undo case", "The manifest has no undo for this call, the receipt promises one.", **where,
                expected="a case whose `when` holds", got=answer.shown, fix="Add the case to the manifest.",
            )  # fmt: skip
        return None
    return Done(scene, answer, *planned, scene.room.new_key())


async def _read_before(scene: Scene) -> dict[str, Any]:
    """What a manifest without receipts reads ahead of the call."""
    said: Any = scene.entry.get("before")
    if not isinstance(said, Mapping):
        return {}
    ask = cast(Entry, said)
    given = fill(ask.get("with", {}), {"args": scene.meant()})
    content = (await scene.desk.call(str(ask["tool"]), given)).content
    keep = cast(list[str], ask.get("keep", []))
    return {"before": {name: content.get(name) for name in keep} if keep else dict(content)}


async def _taken_back(done: Done, before: Any, rows: Any, book: Book) -> None:
    scene, where = done.scene, done.where
    undone = await done.undo()
    if not book.expect(
        undone.ok, "undo", "The undo of the manifest was refused.", **where, expected="ok", got=undone.shown,
        fix="Correct `undo.cases` of the manifest, or the tool it names.",
    ):  # fmt: skip
        return
    before, after = (still(shown, scene.case.ignore) for shown in (before, await scene.shown()))
    book.expect(
        after == before, "as it was", "After the undo the reads show something else than before.", **where,
        expected=_difference(before, after)[0], got=_difference(before, after)[1],
        fix="Restore every field, or declare it under `ignore`.",
    )  # fmt: skip
    if rows is not None:
        ids = (
            {str(answer.content.get("id")) for answer in (done.answer, undone)}
            if _residue(scene)
            else set[str]()
        )
        left = rows_left(rows, rows_of(scene), ids)
        book.expect(
            not left, "rows as they were", "After the undo the store holds other rows than before.", **where,
            got=left[:2], fix="Restore every column; name tables of history under `history` in conformance.yaml.",
        )  # fmt: skip
    seen = await scene.seen()
    twice = await done.undo()
    book.expect(
        twice.content == {**undone.content, "replayed": True} and await scene.seen() == seen, "undo twice",
        "The same undo twice was not done once.", **where, expected="replayed: true", got=twice.shown,
        fix="Let the undo's tool take a key.",
    )  # fmt: skip


async def _after_others(scene: Scene, book: Book) -> None:
    """Somebody changed it since: the undo is a conflict, and their change stays."""
    done = await _done(scene, None)
    if done is None or scene.case.between is None:
        return
    values = {**scene.named, "args": scene.meant(), "result": dict(done.answer.content)}
    theirs = await scene.ask(scene.case.between, values)
    if not book.expect(
        theirs.ok, "others", "What others do between was refused.", **done.where, expected="ok",
        got=theirs.shown, fix="Correct `between` in conformance.yaml.",
    ):  # fmt: skip
        return
    seen = await scene.seen()
    undone = await done.undo()
    book.expect(
        undone.closed and undone.code == "conflict", "conflict", "An undo ran over what others did.", **done.where,
        expected="conflict", got=undone.shown, fix="Let the undo expect the version the call left.",
    )  # fmt: skip
    if scene.sees:
        book.expect(
            await scene.seen() == seen, "theirs kept", "An undo changed what others did.", **done.where,
            fix="Compare the version before anything is written.",
        )  # fmt: skip


async def _too_late(scene: Scene, book: Book) -> None:
    done = await _done(scene, None)
    if done is None:
        return
    if scene.desk.clock is None:
        book.skip("too late", "Time cannot be moved here.", **done.where)
        return
    scene.desk.clock.later(_window(scene.entry) + timedelta(days=1))
    seen = await scene.seen()
    undone = await done.undo()
    book.expect(
        undone.closed and undone.code == scene.case.late, "too late", "After its window the undo was not refused.",
        **done.where, expected=scene.case.late, got=undone.shown, fix="Compare the time of the call with the window.",
    )  # fmt: skip
    if scene.sees:
        book.expect(
            await scene.seen() == seen, "too late, no effect", "An undo that came too late left something behind.",
            **done.where, fix="Check the window before anything is written.",
        )  # fmt: skip


def _window(entry: Entry) -> timedelta:
    said = str(cast(Entry, entry["undo"]).get("window", "30d"))
    found = WINDOW.fullmatch(said)
    return timedelta(**{UNITS[found[2]]: int(found[1])}) if found else timedelta(days=30)


def _residue(scene: Scene) -> bool:
    return cast(Entry, scene.entry["undo"]).get("restores") == "compensates"


def rows_of(scene: Scene) -> Any:
    """What an undo has to bring back of an embedded store whose tables of history are known."""
    target, history = scene.room.target, scene.room.cases.history
    if not target.embedded or not history:
        return None
    found = store.tables(target.store_of(scene.desk.environ))
    columns = {column for rows in found.values() for row in rows for column in row}
    return store.lasting(found, history, {name for name in columns if moves(name, scene.case.ignore)})


def rows_left(before: Any, after: Any, residue: Collection[str]) -> list[str]:
    """Rows that are there now and were not, or the other way round; but for those of the things that may stay."""
    found: list[str] = []
    for name, rows in after.items():
        new = [row for row in rows if row not in before[name]]
        gone = [row for row in before[name] if row not in rows]
        found += [f"{name}: now {row}" for row in new if not set(residue) & set(row.values())]
        found += [f"{name}: was {row}" for row in gone if not set(residue) & set(row.values())]
    return [line[:300] for line in found]


def _difference(before: Any, after: Any) -> tuple[Any, Any]:
    """The smallest parts that differ."""
    one: Any = before
    other: Any = after
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        one, other = cast(Entry, before), cast(Entry, after)
        for name in (*one, *other):
            if one.get(name) != other.get(name):
                left, right = _difference(one.get(name), other.get(name))
                return {name: left}, {name: right}
    if isinstance(before, list) and isinstance(after, list):
        one, other = cast(list[Any], before), cast(list[Any], after)
        for left, right in zip(one, other, strict=False):
            if left != right:
                return _difference(left, right)
        return f"{len(one)} entries", f"{len(other)} entries"
    return one, other
