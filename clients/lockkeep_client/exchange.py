"""One POST to the gateway and the frames that come back. It is never sent twice."""

import json
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, cast

import httpx2

from lockkeep_client.settings import is_loopback
from lockkeep_client.wire import VERSION

MAX_EVENT = 64 * 1024 * 1024
# A gateway, or a proxy before it, that answers so has run nothing. Any other odd status leaves doubt.
UNDECIDED = frozenset(
    {301, 302, 307, 308, 400, 401, 403, 404, 405, 406, 411, 413, 414, 415, 421, 426, 429, 431}
)
_BEFORE_SENDING = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
    httpx2.UnsupportedProtocol,
)


class NotSent(Exception):
    """No connection came about, so the gateway never saw the frame."""


class Lost(Exception):
    """The frame was sent and no answer to it came back: what happened is not known."""


class Refused(Exception):
    """The frame was turned away before anything was decided."""

    def __init__(self, status: int, headers: Mapping[str, str], body: str) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.headers = headers
        self.body = body


@dataclass(frozen=True)
class Frame:
    """One JSON-RPC message as it came, and as it reads."""

    raw: bytes
    message: dict[str, Any]
    headers: Mapping[str, str]

    @property
    def is_answer(self) -> bool:
        """True for the result or the error that ends the exchange."""
        return "method" not in self.message


Each = Callable[[Frame], Awaitable[None]]


class Exchange:
    """Connections to one endpoint, with the token of the moment."""

    def __init__(self, url: str, token: Callable[[], str | None]) -> None:
        self.url = url
        self._token = token
        self._http = httpx2.AsyncClient(
            # Idle connections end before uvicorn's own 5 s do: no call starts on one that is just being closed.
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=20, keepalive_expiry=3),
            timeout=httpx2.Timeout(
                connect=5, pool=5, write=30, read=None
            ),  # callers set the limit on the answer
            trust_env=not is_loopback(url),  # a proxy has no business with loopback
            verify=_trusted(url),
            headers={
                "user-agent": f"lockkeep-client/{VERSION}",
                "accept": "application/json, text/event-stream",
                "content-type": "application/json",
            },
        )

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.__aexit__(kind, error, trace)

    async def post(self, frame: bytes, headers: Mapping[str, str], each: Each) -> None:
        """Every frame that came back went to `each`, in order; the last one was the answer, if one is owed."""
        try:
            async with self._http.stream(
                "POST", self.url, content=frame, headers=self._with_token(headers)
            ) as response:
                await _read(response, each)
        except _BEFORE_SENDING as error:
            raise NotSent(f"{type(error).__name__}: {error}") from None
        except (httpx2.TransportError, httpx2.DecodingError, httpx2.StreamError, httpx2.SSEError) as error:
            raise Lost(type(error).__name__) from None  # its text may quote what was sent

    async def delete(self, headers: Mapping[str, str]) -> None:
        """A session the gateway gave is ended, as far as it listens."""
        try:
            await self._http.delete(self.url, headers=self._with_token(headers))
        except httpx2.HTTPError:
            return

    def _with_token(self, headers: Mapping[str, str]) -> dict[str, str]:
        token = self._token()
        return {**headers, **({"authorization": f"Bearer {token}"} if token else {})}


def _trusted(url: str) -> ssl.SSLContext | bool:
    """The usual certificates; none for plain loopback, which saves the 60 ms that loading them takes."""
    plain = url.startswith("http:") and is_loopback(url)
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if plain else True


async def _read(response: httpx2.Response, each: Each) -> None:
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if response.status_code == 202:
        return
    if response.status_code == 200 and kind == "text/event-stream":
        await _read_stream(response, each)
        return
    body = await response.aread()
    message = parsed(body) if kind == "application/json" else None
    if response.status_code not in (401, 403) and message is not None and message.get("jsonrpc") == "2.0":
        await each(Frame(body, message, response.headers))
    elif response.status_code in UNDECIDED:
        raise Refused(response.status_code, response.headers, body[:4096].decode("utf-8", "replace"))
    else:
        raise Lost(f"HTTP {response.status_code} {kind or 'without content'}")


async def _read_stream(response: httpx2.Response, each: Each) -> None:
    async for event in httpx2.EventSource(response, max_event_size=MAX_EVENT):
        if event.event != "message" or not event.data:
            continue
        raw = event.data.encode("utf-8", "replace")
        message = parsed(raw)
        if message is None:
            raise Lost("an event that is no JSON object")
        frame = Frame(raw, message, response.headers)
        await each(frame)
        if frame.is_answer:
            return
    raise Lost("the stream ended without an answer")


def parsed(raw: bytes) -> dict[str, Any] | None:
    """The JSON object in these bytes, or None."""
    try:
        value: object = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None
