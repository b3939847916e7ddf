"""The steps of a write, one for each file: sent, found again, and taken back."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, TypedDict

from lockkeep_servers.calendar.adapters.caldav_draft import MARK, Draft
from lockkeep_servers.calendar.adapters.caldav_event import Pen
from lockkeep_servers.calendar.adapters.caldav_lines import FOLD, Line, read_calendar
from lockkeep_servers.calendar.adapters.caldav_rows import id_of, version_of
from lockkeep_servers.calendar.adapters.caldav_server import CalDavServer, Content, Stale
from lockkeep_servers.calendar.adapters.caldav_times import Zone
from lockkeep_servers.kit.errors import Conflict, ToolError, UnknownOutcome
from lockkeep_servers.kit.receipts import Effect
from lockkeep_servers.kit.results import Undo
from lockkeep_servers.kit.vendor import Sign

MOVING = ("DTSTAMP", "LAST-MODIFIED", "SEQUENCE", MARK)  # what each change and its undo leave behind
TOUCHED = Undo(possible="no", note="Somebody else changed it since.")


class Step(TypedDict):
    """A file before and after. Without `before` it is new, without `after` it goes."""

    url: str
    before: str | None
    before_etag: str
    after: str | None
    etag: str  # of the file as we left it; empty until then, or if somebody else changed it since


class Steps(TypedDict):
    """What a plan keeps beside its effect, as JSON."""

    calendar: str
    mark: str
    main: str  # the address of the file whose version the receipt names
    version: str  # that version, if no step changes it
    steps: list[Step]


def steps_of(drafts: Sequence[Draft], mark: str) -> list[Step]:
    """Return the steps that make the files of these drafts."""
    return [
        Step(
            url=draft.href,
            before=draft.file.text if draft.file else None,
            before_etag=draft.file.etag if draft.file else "",
            after=draft.written(mark),
            etag="",
        )
        for draft in drafts
    ]


def steps_back(steps: Sequence[Step], mark: str, now: datetime, zone: Zone) -> list[Step]:
    """Return the steps that undo these: changed files first, so that nothing is missing in between."""
    back = [
        Step(url=step["url"], before=step["after"], before_etag=step["etag"], after=after, etag="")
        for step in steps
        if (after := _as_before(step, mark, now, zone)) is not None or step["before"] is None
    ]
    return sorted(back, key=lambda step: step["after"] is None)


def _as_before(step: Step, mark: str, now: datetime, zone: Zone) -> str | None:
    """Return the file as it was, with a sequence behind that of the change."""
    if step["before"] is None:
        return None
    root, left = read_calendar(step["before"]), read_calendar(step["after"] or step["before"])
    numbers = [
        text for event in left.components("VEVENT") if (text := event.value("SEQUENCE")[:9]).isdecimal()
    ]
    pen = Pen(root, zone, now)
    for event in root.components("VEVENT"):
        pen.stamp(event, max(map(int, numbers), default=0) + 1)
    root.components("VEVENT")[0].put(Line.made(MARK, mark))
    return str(root)


def as_left(step: Step, content: Content) -> bool:
    """Tell whether a file says what the step left, were it only because a later change was taken back."""
    if content.etag == step["etag"]:
        return True
    return (
        bool(step["etag"]) and step["after"] is not None and _meaning(content.text) == _meaning(step["after"])
    )


def event_id(text: str) -> str:
    """Return the id of the event of a file."""
    return id_of(read_calendar(text).components("VEVENT")[0].value("UID"))


class StepSender:
    """Answers `Vendor`: each step is sent under the condition that its file is as it was read."""

    def __init__(self, server: CalDavServer) -> None:
        self._server = server

    async def send(self, plan: Effect) -> Effect:
        """Send the steps in order; when one is refused, those before it are taken back."""
        images: Steps = plan.images
        done: list[Step] = []
        current: dict[str, str] = {}
        for step in images["steps"]:
            try:
                left, current[step["url"]] = await self._sent(step, images["mark"])
            except UnknownOutcome:
                raise
            except ToolError:
                await self._take_back(done)
                raise
            done.append(left)
        return _effect(plan, done, current)

    async def find_effect(self, plan: Effect) -> Effect | Sign:
        """Compare every file with what it was and what it should be."""
        images: Steps = plan.images
        seen = [await self._found(step, images["mark"]) for step in images["steps"]]
        done = [one for one in seen if not isinstance(one, Sign)]
        if len(done) == len(seen):
            return _effect(plan, [left for left, _ in done], {left["url"]: etag for left, etag in done})
        if Sign.UNSURE in seen:
            return Sign.UNSURE
        return Sign.PARTLY if done else Sign.ABSENT

    async def _sent(self, step: Step, mark: str) -> tuple[Step, str]:
        """Return the step as done, and the ETag its file has now."""
        try:
            if step["after"] is None:
                await self._server.delete(step["url"], step["before_etag"])
                return step, ""
            etag = await self._server.put(step["url"], step["after"], step["before_etag"] or None)
        except Stale:
            found = await self._looked(step, mark)
            if isinstance(found, Sign):
                raise Conflict(None, []) from None
            return found
        if etag:
            return {**step, "etag": etag}, etag
        found = await self._looked(step, mark)
        if isinstance(found, Sign):
            raise UnknownOutcome
        return found

    async def _looked(self, step: Step, mark: str) -> tuple[Step, str] | Sign:
        """After something was sent, a look that fails leaves it open what became of that."""
        try:
            return await self._found(step, mark)
        except ToolError:
            raise UnknownOutcome from None

    async def _found(self, step: Step, mark: str) -> tuple[Step, str] | Sign:
        """Return the step as done with the ETag its file has now, or what else is there."""
        content = await self._server.fetch(step["url"])
        if content is None:
            if step["after"] is None:
                return step, ""
            return Sign.ABSENT if step["before"] is None else Sign.UNSURE
        if step["before"] is not None and content.etag == step["before_etag"]:
            return Sign.ABSENT
        marked = re.search(rf"^{MARK}:{re.escape(mark)}\s*$", content.text, re.MULTILINE) is not None
        if step["after"] is None or not (marked or step["before"] is None):
            return Sign.UNSURE
        ours = _lines(content.text) == _lines(step["after"])
        return {**step, "etag": content.etag if ours else ""}, content.etag

    async def _take_back(self, done: Sequence[Step]) -> None:
        for step in reversed(done):
            try:
                if step["after"] is None:
                    await self._server.put(step["url"], step["before"] or "", None)
                elif not step["etag"]:
                    raise UnknownOutcome  # somebody changed it since: what we did cannot be told from that
                elif step["before"] is None:
                    await self._server.delete(step["url"], step["etag"])
                else:
                    await self._server.put(step["url"], step["before"], step["etag"])
            except (Stale, ToolError):
                raise UnknownOutcome from None


def _effect(plan: Effect, done: Sequence[Step], current: Mapping[str, str]) -> Effect:
    images: dict[str, Any] = {**plan.images, "steps": list(done)}
    etag = current.get(images["main"], "")
    changed = any(step["after"] is not None and not step["etag"] for step in done)
    version = version_of(etag) if etag else images["version"]
    return replace(plan, version=version, images=images, undo=TOUCHED if changed else plan.undo)


def _meaning(text: str) -> list[str]:
    return [line for line in _lines(text) if not line.startswith(MOVING)]


def _lines(text: str) -> list[str]:
    """Return what a file says, however a server has sorted and folded it."""
    return sorted(line.rstrip() for line in FOLD.sub("", text).splitlines() if line.strip())
