"""HTTP to a back end: only to the addresses it was given, within limits, and never again what may have happened."""

from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from ssl import SSLContext

import anyio
import httpx2

from lockkeep_servers.kit.errors import Auth, Forbidden, RateLimited, ToolError, Unavailable, UnknownOutcome

TRIES = 3
LONGEST_PAUSE_S = 3600
USUAL_PAUSE_S = 30
DONE_ELSEWHERE = 303  # it may be done, and another address tells of it
# With these, nothing has left the machine.
NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
Origin = tuple[str, str, int | None]  # scheme, host, port


@dataclass(frozen=True)
class Limits:
    """How long and how much one request may take."""

    connect_s: float = 5
    read_s: float = 20  # between two pieces of an answer; the whole of it may take twice as long
    largest: int = 5_000_000  # bytes of an answer
    pause_s: float = 0.2  # before the second try; doubled before the third


@dataclass(frozen=True)
class Ask:
    """One request. `expect` names statuses from 400 on that are answers, too."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    content: bytes | None = field(default=None, repr=False)
    expect: Collection[int] = ()


@dataclass(frozen=True)
class Answer:
    """What came back, read to its end."""

    status: int
    headers: httpx2.Headers
    body: bytes = field(repr=False)

    @property
    def date(self) -> datetime | None:
        """What time it is at the back end."""
        return _date(self.headers.get("date", ""))


class _Unreadable(Exception):
    """It answered, but not in a form we read: too large, packed, or a page for people."""


class Http:
    """Reads are tried three times; a write is tried again only if nothing of it left the machine.

    A status of 400 to 499 comes back as an answer, except 401, 403 and 429: only the adapter knows what it means.
    """

    def __init__(
        self,
        allowed: Collection[str],  # the addresses a back end lives at, such as https://api.example
        *,
        auth: tuple[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        limits: Limits | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._allowed = frozenset(_origin(httpx2.URL(url)) for url in allowed)
        self._limits = limits or Limits()
        self._auth = auth
        self._headers = {**(headers or {}), "Accept-Encoding": "identity"}
        self._transport = transport
        self._clients: list[httpx2.AsyncClient] = []
        self._users = 0

    @asynccontextmanager
    async def session(self) -> AsyncGenerator[None]:
        """Open while anyone uses it; the last to leave closes."""
        if self._users == 0:
            # A connection kept from an earlier request may be closed at the other end, and a write that is lost
            # on it looks like one that was sent. So each write has a connection of its own.
            self._clients = [self._client(kept=20), self._client(kept=0)]
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            if self._users == 0:
                clients, self._clients = self._clients, []
                with anyio.CancelScope(shield=True):
                    for client in clients:
                        await client.aclose()

    async def read(self, ask: Ask) -> Answer:
        """Return the answer.

        Raises:
            Auth, Forbidden, RateLimited: the back end said so.
            Unavailable: after three tries there was no answer we could read.
        """
        return await self._tried(ask, Unavailable("The back end gave no answer we can read."), repeat=True)

    async def write(self, ask: Ask, *, keyed: bool = False) -> Answer:
        """Return the answer. `keyed`: the back end takes our key, so it may be sent again.

        Raises:
            Auth, Forbidden, RateLimited, Unavailable: it was surely not applied.
            UnknownOutcome: it was sent, and what came back does not say what became of it.
        """
        return await self._tried(ask, UnknownOutcome(), repeat=keyed)

    async def _tried(self, ask: Ask, broken: Unavailable | UnknownOutcome, *, repeat: bool) -> Answer:
        writes = isinstance(broken, UnknownOutcome)
        if not self._clients:
            raise Unavailable("The connection to the back end is closed.")
        if not self._may_ask(ask.url):
            raise Unavailable("The back end named an address that is not its own.")
        failure: ToolError = Unavailable("The back end cannot be reached.")
        for attempt in range(TRIES):
            if attempt:
                await anyio.sleep(self._limits.pause_s * 2 ** (attempt - 1))
            try:
                answer = await self._once(self._clients[writes], ask)
            except NEVER_SENT:
                continue  # and `failure` stays what an earlier try made it
            except (httpx2.TransportError, TimeoutError):
                failure = broken
            except _Unreadable:
                raise broken from None
            else:
                if answer.status < 500 or answer.status in ask.expect:
                    unsure = failure is broken or answer.status == DONE_ELSEWHERE
                    return _understood(answer, ask.expect, broken if writes and unsure else None)
                failure = broken
            if not repeat:
                break
        raise failure

    async def _once(self, client: httpx2.AsyncClient, ask: Ask) -> Answer:
        with anyio.fail_after(self._limits.connect_s + 2 * self._limits.read_s):
            async with client.stream(
                ask.method, ask.url, headers=ask.headers, content=ask.content
            ) as response:
                packed = response.headers.get("content-encoding", "identity") not in ("", "identity")
                body = bytearray()
                async for piece in response.aiter_raw():
                    body += piece
                    if packed or len(body) > self._limits.largest:
                        raise _Unreadable
                if body and response.is_success and "html" in response.headers.get("content-type", ""):
                    raise _Unreadable  # a page for people, such as a login, where an answer was due
                return Answer(response.status_code, response.headers, bytes(body))

    def _client(self, *, kept: int) -> httpx2.AsyncClient:
        pool = httpx2.Limits(max_connections=20, max_keepalive_connections=kept)
        return httpx2.AsyncClient(
            auth=self._auth,
            headers=self._headers,
            transport=self._transport or httpx2.AsyncHTTPTransport(_trusted(), trust_env=False, limits=pool),
            timeout=httpx2.Timeout(self._limits.read_s, connect=self._limits.connect_s),
            follow_redirects=False,
            trust_env=False,
        )

    def _may_ask(self, url: str) -> bool:
        """Whatever addresses a back end hands out, nothing goes elsewhere; known before a name is looked up."""
        try:
            return _origin(httpx2.URL(url)) in self._allowed
        except httpx2.InvalidURL:
            return False


@cache
def _trusted() -> SSLContext:
    """Who is believed; reading it takes longer than most requests."""
    return httpx2.create_ssl_context(trust_env=False)


def _origin(url: httpx2.URL) -> Origin:
    return url.scheme, url.host.lower(), url.port or {"http": 80, "https": 443}.get(url.scheme)


def _understood(answer: Answer, expect: Collection[int], doubt: ToolError | None) -> Answer:
    """Return an answer for the adapter. With a `doubt`, it may have been applied all the same: a no proves nothing."""
    if answer.status in expect or 200 <= answer.status < 300:
        return answer
    if doubt is not None:
        raise doubt
    match answer.status:
        case 401:
            raise Auth
        case 403:
            raise Forbidden
        case 429:
            raise RateLimited(_pause(answer))
        case status if status < 400:
            raise Unavailable("The back end sends us elsewhere.")
        case _:
            return answer


def _pause(answer: Answer) -> int:
    """Return the seconds of Retry-After, whichever way they are said."""
    said = answer.headers.get("retry-after", "")
    if said.isascii() and said.isdigit():
        return min(max(int(said[:6]), 1), LONGEST_PAUSE_S)
    until, now = _date(said), answer.date
    if until is None or now is None:
        return USUAL_PAUSE_S
    return int(min(max((until - now).total_seconds(), 1), LONGEST_PAUSE_S))


def _date(said: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(said)
    except (ValueError, OverflowError):
        return None
    return date.replace(tzinfo=date.tzinfo or UTC)
