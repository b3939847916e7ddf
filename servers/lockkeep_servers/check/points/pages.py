"""TC3: walked through while rows arrive, a listing loses nothing and doubles nothing."""

from collections.abc import Mapping
from typing import Any, cast

from lockkeep_servers.check.cases import Pages
from lockkeep_servers.check.desk import MOST_PAGES
from lockkeep_servers.check.results import Book
from lockkeep_servers.check.scene import Counter, Room, Unprepared
from lockkeep_servers.check.undoing import CannotFill

SMALL, LARGE = 3, 50


async def check(room: Room, book: Book) -> None:
    """Each tool that takes a cursor is walked through."""
    paged = [tool for tool in room.tools if "cursor" in room.takes(tool)]
    cases = {case.ask.tool: case for case in room.cases.pages}
    if not paged:
        book.expect(True, "pages", "")
    for tool in paged:
        room.tell(f"TC3 {tool}")
        if tool in cases and not room.may(*(step.ask for step in cases[tool].prepare)):
            book.skip("pages", "Its case writes first, and writers are not called here.", tool=tool)
        elif tool in cases:
            async with room.fresh(cases[tool].settings) as counter:
                await _walked(counter, cases[tool], book)
        elif room.cases.there:
            book.expect(
                False, "pages", "This listing has no case.", tool=tool,
                fix="Add it to `pages` in conformance.yaml.",
            )  # fmt: skip
        else:
            book.miss("pages", "No cases: a listing needs one.", tool=tool, fix="Give --cases FILE.")


async def _walked(counter: Counter, case: Pages, book: Book) -> None:
    tool = case.ask.tool
    try:
        named = await counter.prepared(case.prepare)
        arguments = counter.filled(case.ask, named)
    except (Unprepared, CannotFill) as error:
        book.expect(
            False, "case", f"The listing cannot be played: {str(error).rstrip('.')}.", tool=tool,
            fix="Correct it in conformance.yaml.",
        )  # fmt: skip
        return
    arrive, why = _arrivals(counter, case, named)
    if why:
        book.expect(
            False,
            "case",
            f"No row can arrive: {why}.",
            tool=tool,
            fix="Correct `arrive` in conformance.yaml.",
        )
    there = await _all(counter, case, arguments)
    if not book.expect(
        len(there) > SMALL, "rows", "There are too few rows to page through.", tool=tool,
        expected=f"more than {SMALL}", got=len(there), fix="List more, or prepare some.",
    ):  # fmt: skip
        return
    seen, arrived, wrong = await _while_rows_arrive(counter, case, arguments, arrive)
    missing = [key for key in there if key not in seen]
    doubled = sorted({str(key) for key in seen if seen.count(key) > 1})
    book.expect(
        not missing and not wrong, "nothing lost", "Rows that were there were not shown, or a page failed.",
        tool=tool, expected=len(there), got=wrong or f"{len(missing)} missing, such as {missing[:1]}",
        fix="Page by a key that never moves, not by position.",
    )  # fmt: skip
    book.expect(
        not doubled, "nothing doubled", "A row was shown twice.", tool=tool, got=doubled[:3],
        fix="Page by a key that never moves, not by position.",
    )  # fmt: skip
    if not arrived:
        book.skip("rows arrive", "No row could arrive meanwhile.", tool=tool)
    await _cursors(counter, arguments, tool, book)


def _arrivals(counter: Counter, case: Pages, named: Mapping[str, Any]) -> tuple[list[dict[str, Any]], str]:
    """The arguments of the rows that are to arrive, or why there are none."""
    if case.arrive is None or not counter.room.target.writable:
        return [], ""
    try:
        tags = [f"arrival{place}" for place in range(SMALL)]
        return [counter.filled(case.arrive, {**named, "tag": tag}) for tag in tags], ""
    except CannotFill as error:
        return [], str(error).rstrip(".")


async def _all(counter: Counter, case: Pages, arguments: Mapping[str, Any]) -> list[Any]:
    limit = {"limit": LARGE} if "limit" in counter.room.takes(case.ask.tool) else {}
    pages = await counter.desk.pages(case.ask.tool, {**arguments, **limit})
    return [_key(case, row) for page in pages for row in _rows(case, page.content)]


async def _while_rows_arrive(
    counter: Counter, case: Pages, arguments: Mapping[str, Any], arrive: list[dict[str, Any]]
) -> tuple[list[Any], int, str]:
    """Return the keys in the order they were shown, how many rows came in between, and what went wrong."""
    limit = {"limit": SMALL} if "limit" in counter.room.takes(case.ask.tool) else {}
    seen: list[Any] = []
    arrived, cursor = 0, None
    for _ in range(MOST_PAGES):
        more = {} if cursor is None else {"cursor": cursor}
        answer = await counter.desk.call(case.ask.tool, {**arguments, **limit, **more})
        if not answer.ok:
            return seen, arrived, answer.shown
        seen += [_key(case, row) for row in _rows(case, answer.content)]
        cursor = answer.content.get("next_cursor")
        if cursor is None:
            return seen, arrived, ""
        if case.arrive is not None and arrived < len(arrive):
            came = await counter.desk.call(case.arrive.tool, arrive[arrived])
            if not came.ok:
                return seen, arrived, f"{case.arrive.tool}: {came.shown}"
            arrived += 1
    return seen, arrived, f"no end after {MOST_PAGES} pages"


async def _cursors(counter: Counter, arguments: Mapping[str, Any], tool: str, book: Book) -> None:
    """A cursor that is none is refused, and so are limits beyond the bounds."""
    asked: list[tuple[str, Mapping[str, Any]]] = [("foreign cursor", {"cursor": "bm90IG91cnM"})]
    if "limit" in counter.room.takes(tool):
        asked += [("limit 0", {"limit": 0}), ("limit 51", {"limit": LARGE + 1})]
    for name, more in asked:
        answer = await counter.desk.call(tool, {**arguments, **more})
        book.expect(
            answer.closed and answer.code == "invalid", name, "It was taken.", tool=tool, expected="invalid",
            got=answer.shown, fix="Refuse it with invalid.",
        )  # fmt: skip


def _rows(case: Pages, content: Mapping[str, Any]) -> list[Any]:
    return cast(list[Any], content.get(case.items, []))


def _key(case: Pages, row: Any) -> tuple[Any, ...]:
    return tuple(_at(row, path) for path in case.key)


def _at(row: Any, path: str) -> Any:
    for name in path.split("."):
        row = cast(Mapping[str, Any], row).get(name) if isinstance(row, Mapping) else None
    return row
