"""A CalDAV server: where its calendars are, what is in them, and one file of them read or written."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import unquote, urljoin, urlsplit

from lockkeep_servers.calendar.adapters import caldav_xml as xml
from lockkeep_servers.calendar.adapters.caldav_rows import File, read_file
from lockkeep_servers.calendar.adapters.caldav_times import Zone, default_zone
from lockkeep_servers.calendar.adapters.caldav_xml import CALDAV, DAV, Resource
from lockkeep_servers.kit.errors import NotFound, Unavailable
from lockkeep_servers.kit.http import Answer, Ask, Http

BATCH_FILES, BATCH_BYTES = 200, 500_000  # of one request; an answer of 5 MB at most comes back
USUAL_BYTES, LARGEST_FILE = 10_000, 4_000_000
ABOUT = (
    "resourcetype", "displayname", "current-user-privilege-set", "C:calendar-timezone",
    "C:supported-calendar-component-set",
)  # fmt: skip
WRITING = ({"all"}, {"write"}, {"write-content", "bind"})


class Stale(Exception):
    """The file is not as it was expected; nothing was written."""


@dataclass(frozen=True)
class Collection:
    """One calendar."""

    id: str
    url: str  # ends with a slash
    zone: Zone
    rights: frozenset[str] | None  # None: the server does not say

    @property
    def writable(self) -> bool:
        return self.rights is None or any(needed <= self.rights for needed in WRITING)

    @property
    def readable(self) -> bool:
        return self.rights is None or bool(self.rights & {"all", "read"})


@dataclass(frozen=True)
class Content:
    """What a file holds, and the ETag it holds it under."""

    etag: str
    text: str


class CalDavServer:
    """Reads go by ETags: what did not change is not fetched again, and what did is never missed."""

    def __init__(self, http: Http, url: str) -> None:
        self._http = http
        self._url = url
        self._collections: Mapping[str, Collection] = {}
        self._known: dict[str, Mapping[str, File]] = {}
        self.invites = False  # it sends invitations by itself, for events that have an organizer

    async def collections(self) -> Mapping[str, Collection]:
        """Return the calendars at the address: itself, those in it, or those of the user it knows us as."""
        answer = await self._http.read(Ask("OPTIONS", self._url))
        self.invites = "calendar-auto-schedule" in answer.headers.get("dav", "")
        here = await self._about(self._url, 0, *ABOUT, "current-user-principal", "C:calendar-home-set")
        found = [one for one in here if _is_calendar(one)] or await self._within(self._url)
        if not found and here:
            home = here[0].link(f"{CALDAV}calendar-home-set") or await self._home(here[0])
            found = await self._within(urljoin(self._url, home)) if home else []
        made = (self._collection(one) for one in found)
        self._collections = {one.id: one for one in made}
        return self._collections

    async def collection(self, id: str) -> Collection:
        """Return the calendar of that id, which is the last part of its address."""
        found = self._collections.get(id) or (await self.collections()).get(id)
        if found is None:
            raise NotFound("calendar")
        return found

    async def files(self, collection: Collection) -> Mapping[str, File]:
        """Return all files of a calendar by their addresses, as they are now."""
        listed = await self._about(collection.url, 1, "getetag", "getcontentlength", "resourcetype")
        before = self._known.get(collection.id, {})
        there: dict[str, File] = {}
        missing: dict[str, int] = {}
        for one in listed:
            href, etag = urljoin(collection.url, one.href), one.text(f"{DAV}getetag")
            if f"{DAV}collection" in one.inner(f"{DAV}resourcetype") or not etag:
                continue
            if href in before and before[href].etag == etag:
                there[href] = before[href]
            else:
                length = one.text(f"{DAV}getcontentlength")
                missing[href] = int(length[:9]) if length.isdecimal() else USUAL_BYTES
        for batch in _batches(missing):
            there |= {file.href: file for file in await self._batch(collection, batch, missing)}
        self._known[collection.id] = there
        return there

    async def fetch(self, url: str) -> Content | None:
        """Return one file as it is now, without text if that is none; None if there is no file."""
        answer = await self._http.read(Ask("GET", url, expect=(404, 410)))
        if answer.status in (404, 410):
            return None
        etag = answer.headers.get("etag", "")
        if answer.status != 200 or not etag:
            raise Unavailable("The answer of the back end cannot be read.")
        return Content(etag, _text(answer))

    async def put(self, url: str, text: str, etag: str | None) -> str:
        """Write one file that has this ETag, or without one is not there yet. Returns its ETag; empty if not told.

        Raises:
            Stale: it is otherwise there.
        """
        condition = {"If-Match": etag} if etag else {"If-None-Match": "*"}
        headers = {"Content-Type": "text/calendar; charset=utf-8", **condition}
        answer = await self._http.write(Ask("PUT", url, headers, text.encode()))
        return _written(answer)

    async def delete(self, url: str, etag: str) -> None:
        """Remove one file that has this ETag.

        Raises:
            Stale: it has another.
        """
        _written(await self._http.write(Ask("DELETE", url, {"If-Match": etag})))

    async def date(self) -> datetime | None:
        """Return what time it is there."""
        return (await self._http.read(Ask("OPTIONS", self._url))).date

    async def _about(self, url: str, depth: int, *names: str) -> list[Resource]:
        headers = {"Depth": str(depth), "Content-Type": "application/xml; charset=utf-8"}
        answer = await self._http.read(Ask("PROPFIND", url, headers, xml.properties(*names), expect=(404,)))
        if answer.status == 404:
            self._collections = {}
            raise NotFound("calendar")
        if answer.status != 207:
            raise Unavailable("The back end does not speak CalDAV at this address.")
        return xml.resources(answer.body)

    async def _within(self, url: str) -> list[Resource]:
        return [one for one in await self._about(url, 1, *ABOUT) if _is_calendar(one)]

    async def _home(self, here: Resource) -> str:
        principal = here.link(f"{DAV}current-user-principal")
        if not principal:
            return ""
        found = await self._about(urljoin(self._url, principal), 0, "C:calendar-home-set")
        return found[0].link(f"{CALDAV}calendar-home-set") if found else ""

    def _collection(self, found: Resource) -> Collection:
        url = urljoin(self._url, found.href).rstrip("/") + "/"
        privileges = f"{DAV}current-user-privilege-set"
        rights = frozenset(name.rpartition("}")[2] for name in found.inner(privileges))
        return Collection(
            unquote(urlsplit(url).path.rstrip("/").rpartition("/")[2])[:100],
            url,
            default_zone(found.text(f"{CALDAV}calendar-timezone")),
            rights if privileges in found.properties else None,
        )

    async def _batch(
        self, collection: Collection, urls: Sequence[str], sizes: Mapping[str, int]
    ) -> list[File]:
        contents: Mapping[str, Content] = {}
        if sizes[urls[0]] <= BATCH_BYTES:
            contents = await self._contents(collection, urls)
        found: list[File] = []
        for url in urls:
            content = contents.get(url)
            if content is None and sizes[url] <= LARGEST_FILE:
                content = await self.fetch(url)
                if content is None:
                    continue  # it went away meanwhile
            if content is None:
                found.append(File(url, "", "", (), whole=False))
            else:
                found.append(read_file(collection.id, url, content.etag, content.text, collection.zone))
        return found

    async def _contents(self, collection: Collection, urls: Sequence[str]) -> Mapping[str, Content]:
        """Return what one request fetches; files it does not bring are asked for one by one."""
        headers = {"Depth": "1", "Content-Type": "application/xml; charset=utf-8"}
        body = xml.many(urlsplit(url).path for url in urls)
        answer = await self._http.read(Ask("REPORT", collection.url, headers, body))
        try:
            answered = xml.resources(answer.body) if answer.status == 207 else []
        except Unavailable:  # one file with a character that XML cannot carry spoils all of it
            answered = []
        return {
            urljoin(collection.url, one.href): Content(one.text(f"{DAV}getetag"), data.text)
            for one in answered
            if (data := one.properties.get(f"{CALDAV}calendar-data")) is not None and data.text
        }


def _is_calendar(found: Resource) -> bool:
    kinds = found.properties.get(f"{CALDAV}supported-calendar-component-set")
    events = kinds is None or any(kind.get("name", "").upper() == "VEVENT" for kind in kinds)
    return events and f"{CALDAV}calendar" in found.inner(f"{DAV}resourcetype")


def _batches(sizes: Mapping[str, int]) -> Iterator[list[str]]:
    batch: list[str] = []
    room = BATCH_BYTES
    for url, size in sizes.items():
        if batch and (size > room or len(batch) == BATCH_FILES):
            yield batch
            batch, room = [], BATCH_BYTES
        batch.append(url)
        room -= size
    if batch:
        yield batch


def _text(answer: Answer) -> str:
    try:
        return answer.body.decode()
    except UnicodeDecodeError:
        return ""


def _written(answer: Answer) -> str:
    if answer.status in (404, 409, 410, 412):
        raise Stale
    if answer.status >= 400:
        raise Unavailable("The back end refused the event.")
    return answer.headers.get("etag", "")
