"""TC2: what must be refused is refused with its code, and nothing is applied."""

from collections.abc import Mapping
from typing import Any, cast

from lockkeep_servers.check.cases import Refusal
from lockkeep_servers.check.results import Book
from lockkeep_servers.check.samples import sample_of
from lockkeep_servers.check.scene import Counter, Room, Unprepared
from lockkeep_servers.check.undoing import CannotFill

NOWHERE = "zzz_0000000"
GENERATED = "generated"


async def check(room: Room, book: Book) -> None:
    """Refusals of the cases, those every server must make, and a refusal for each check the manifest names."""
    room.tell("TC2 refusals")
    async with room.fresh() as counter:
        for tool in room.tools:
            await _strangers(counter, tool, book)
    for alike in _grouped(room, book):
        await _together(room, alike, book)
    if room.cases.there:
        _named(room, book)


def _grouped(room: Room, book: Book) -> list[list[Refusal]]:
    """Refusals that start from the same store; a refusal leaves it as it was, a warning does not."""
    groups: dict[Any, list[Refusal]] = {}
    for place, refusal in enumerate(room.cases.refusals):
        if not room.may(refusal.ask, *(step.ask for step in refusal.prepare)):
            book.skip("closed code", "Writers are not called here.", **_where(refusal))
            continue
        start = repr((refusal.prepare, sorted(refusal.settings.items()), place if refusal.warns else ""))
        groups.setdefault(start, []).append(refusal)
    return list(groups.values())


async def _together(room: Room, alike: list[Refusal], book: Book) -> None:
    async with room.fresh(alike[0].settings) as counter:
        try:
            named = await counter.prepared(alike[0].prepare)
        except (Unprepared, CannotFill) as error:
            for refusal in alike:
                _unplayable(refusal, error, book)
            return
        for refusal in alike:
            await _played(counter, refusal, named, book)


def _unplayable(refusal: Refusal, error: Exception, book: Book) -> None:
    book.expect(
        False, "case", f"The refusal cannot be played: {str(error).rstrip('.')}.", **_where(refusal),
        fix="Correct it in conformance.yaml.",
    )  # fmt: skip


def _where(refusal: Refusal) -> dict[str, str]:
    return {"tool": refusal.ask.tool, "case": refusal.check or refusal.code or refusal.warns}


async def _strangers(counter: Counter, tool: str, book: Book) -> None:
    """An argument nobody knows is named; an id nobody has is refused. Both without a case."""
    room = counter.room
    if tool not in room.readers and not room.target.writable:
        book.skip("unknown argument", "Writers are not called here.", tool=tool)
        return
    await _unknown_argument(counter, tool, book)
    ids = [name for name in room.needs(tool) if name == "id" or name.endswith("_id")]
    if not ids or room.cases.there:
        return  # the cases say it better
    arguments = {**sample_of(room.tools[tool].input_schema), **dict.fromkeys(ids, NOWHERE)}
    answer = await counter.desk.call(tool, arguments)
    book.expect(
        answer.closed and not answer.ok, "unknown id", "An id nobody has was not refused with a closed code.",
        tool=tool, case=GENERATED, expected="not_found", got=answer.shown, fix="Raise NotFound.",
    )  # fmt: skip


async def _unknown_argument(counter: Counter, tool: str, book: Book) -> None:
    arguments = {**sample_of(counter.room.tools[tool].input_schema), "no_such_argument": 1}
    answer = await counter.desk.call(tool, arguments)
    named = "no_such_argument" in str(answer.details)
    book.expect(
        answer.closed and answer.code == "invalid" and named, "unknown argument",
        "An unknown argument was not refused by its name.", tool=tool,
        expected="invalid, naming no_such_argument", got=answer.shown, fix="Check arguments strictly.",
    )  # fmt: skip


async def _played(counter: Counter, refusal: Refusal, named: Mapping[str, Any], book: Book) -> None:
    where = _where(refusal)
    try:
        before = await counter.picture()
        answer = await counter.ask(refusal.ask, named)
        after = await counter.picture()
    except (Unprepared, CannotFill) as error:
        return _unplayable(refusal, error, book)
    if refusal.warns:
        warned = [str(each) for each in cast(list[Any], answer.content.get("warnings", []))]
        book.expect(
            answer.ok and any(each.startswith(refusal.warns) for each in warned), "warning",
            "The check gave no warning.", **where, expected=f"{refusal.warns}: ...", got=warned or answer.shown,
            fix="Put it into `warnings` of the receipt, beginning with the check's name.",
        )  # fmt: skip
        return
    _refused(refusal, answer.closed, answer.code, answer.details, answer.shown, where, book)
    if counter.sees:
        book.expect(
            before == after, "nothing applied", "A refused call left something behind.", **where,
            fix="Check everything before the first effect, in one transaction.",
        )  # fmt: skip
    else:
        book.skip("nothing applied", "Nothing of the store can be seen.", **where)


def _refused(
    refusal: Refusal, closed: bool, code: str, details: Mapping[str, Any], shown: str,
    where: Mapping[str, str], book: Book,
) -> None:  # fmt: skip
    book.expect(
        closed and code == refusal.code, "closed code", "It was not refused as it must be.", **where,
        expected=refusal.code, got=shown, fix=f"Refuse it with {refusal.code}.",
    )  # fmt: skip
    if refusal.check and code == refusal.code:
        named = details.get("check")
        book.expect(
            named in (refusal.check, None) and (named is not None or code != "check_failed"), "check named",
            "The refusal names another check, or none.", **where, expected=refusal.check, got=named,
            fix="Name the check in details.check.",
        )  # fmt: skip


def _named(room: Room, book: Book) -> None:
    """Each check of the manifest is seen to work for one of its tools; an unknown id for one reader or writer."""
    seen = {each.check or each.warns for each in room.cases.refusals}
    checks = {
        check: tool for tool in room.tools for check in cast(list[str], room.effect(tool).get("checks", []))
    }
    for check, tool in checks.items():
        book.expect(
            check in seen, "every check", f"No refusal shows that {check} is enforced.", tool=tool, case=check,
            fix="Add a line with `check:` (or `warns:`) to `refusals` in conformance.yaml.",
        )  # fmt: skip
    book.expect(
        any(each.code == "not_found" for each in room.cases.refusals), "every check",
        "No refusal shows what an unknown id gets.", case="not_found",
        fix="Add a line with `code: not_found` to `refusals` in conformance.yaml.",
    )  # fmt: skip
