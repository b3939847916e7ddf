"""All ten points over one server, one after another."""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import cast

from lockkeep_servers.check.cases import Cases
from lockkeep_servers.check.nursery import Nursery
from lockkeep_servers.check.points import (
    hostile,
    keys,
    kills,
    listing,
    manifest,
    pages,
    receipts,
    refusals,
    rehearsal,
    trouble,
    undo,
)  # fmt: skip
from lockkeep_servers.check.results import POINTS, Book, Check, Report, with_gaps
from lockkeep_servers.check.scene import Room, Tell
from lockkeep_servers.check.target import Target
from lockkeep_servers.kit.manifest import ManifestError
from lockkeep_servers.kit.settings import SettingError
from lockkeep_servers.kit.sqlite import StoreError

logger = logging.getLogger(__name__)
Point = Callable[[Room, Book], Awaitable[None]]
NEEDS_CASES = ("TC5", "TC6", "TC7", "TC8", "TC9", "TC10")


class CannotReach(RuntimeError):
    """The server cannot be spoken to at all. The sentence says what came instead."""


async def _listed(room: Room, book: Book) -> None:
    room.tell("TC1 schemas and manifest")
    listing.look(room, book)
    await manifest.look(room, book)


LOOKS: Mapping[str, Point] = {
    "TC1": _listed,
    "TC2": refusals.check,
    "TC3": pages.check,
    "TC4": hostile.check,
    "TC5": keys.check,
    "TC6": kills.check,
    "TC7": receipts.check,
    "TC8": undo.check,
    "TC9": rehearsal.check,
    "TC10": trouble.check,
}


async def check(
    target: Target,
    cases: Cases,
    *,
    points: Sequence[str] = tuple(POINTS),
    sample: bool = False,
    nursery: Nursery | None = None,
    tell: Tell = lambda _: None,
) -> Report:
    """Return everything these points found. A sample plays the first case of each tool, in fewer ways."""
    began = time.monotonic()
    target.now = cases.now
    own = nursery or Nursery()
    if "TC6" in points and target.forkable and cases.writes:
        own.warm(target.reference)
    room = Room(target, cases, own, sample, tell)
    checks: list[Check] = []
    try:
        name = await _met(room)
        for point in points:
            checks += await _one(room, point)
    finally:
        target.stores.clear()
        if nursery is None:
            own.close()
    whole = not sample and tuple(points) == tuple(POINTS)
    found = with_gaps(checks, cases.gaps, target.adapter, whole=whole)
    took = round(time.monotonic() - began, 1)
    return Report(
        server=name, adapter=target.adapter, checks=found, points=tuple(points), took_s=took, gaps=cases.gaps
    )


async def _met(room: Room) -> str:
    """Learn the tools, and what the server calls itself where it has no name here."""
    try:
        async with room.fresh() as counter:
            room.know(await counter.desk.tools())
            said = counter.desk.client.server_info
    except (SettingError, StoreError, ManifestError):
        raise
    except Exception as error:
        raise CannotReach(f"{room.target.name} does not answer: {_cause(error)}.") from error
    return said.name if said is not None and not room.target.folder else room.target.name


def _cause(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = cast(BaseExceptionGroup[BaseException], error).exceptions[0]
    return f"{type(error).__name__} {error}".strip().rstrip(".")


async def _one(room: Room, point: str) -> list[Check]:
    book = Book(point)
    if point in NEEDS_CASES and not room.target.writable:
        book.miss(
            "sandbox", "Writers are not called here: say --sandbox if this back end is there for tests."
        )
    elif point in NEEDS_CASES and not room.cases.writes:
        book.miss(
            "cases", "No cases: there is no conformance.yaml beside the server.", fix="Give --cases FILE."
        )
    else:
        await _looked(room, book)
    return book.checks


async def _looked(room: Room, book: Book) -> None:
    """What breaks the connection, or the kit itself, ends this point and no other."""
    try:
        await LOOKS[book.point](room, book)
    except Exception as error:
        logger.exception("%s of %s", book.point, room.target.name)
        book.expect(
            False,
            "finished",
            "The point could not be tried to its end.",
            got=_cause(error),
            fix="See whether the server ended; then run this point alone with --point.",
        )
