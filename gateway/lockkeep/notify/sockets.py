"""Slack's Socket Mode: an outgoing WebSocket over which buttons are heard, without a public address. Needs `slack_sdk`.

The SDK's client works in threads of its own. What it hears is handled in our event loop, and confirmed only afterwards:
if this process dies in between, Slack sends it again.
"""

import logging
import os
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, cast
from urllib.parse import urlsplit

import anyio
from anyio.from_thread import BlockingPortal
from slack_sdk.socket_mode.builtin.client import SocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.web import WebClient

from lockkeep.model import Json
from lockkeep.notify.port import Undelivered
from lockkeep.notify.reach import LOOPBACK
from lockkeep.notify.trust import trusted

LOOK_S, LONGEST_REST = 0.5, 60.0
HOSTS = ("slack.com", "slack-gov.com")
LOST = "the connection to Slack is lost; it is made again by itself"
Connect = Callable[[], Awaitable[str]]
Heard = Callable[[Json, str], Awaitable[None]]


async def listen(
    connect: Connect, heard: Heard, said: Callable[[str], Awaitable[None]], ca_file: str | None
) -> None:
    """Until it is cancelled: connected, and connected again whenever that ends."""
    context = await trusted("socket", ca_file)
    async with BlockingPortal() as portal:
        client = _Client(portal, connect, heard, context)
        rest = LOOK_S
        try:
            while True:
                problem = await _connected(client)
                await said(problem)
                rest = min(rest * 2, LONGEST_REST) if problem else LOOK_S
                await anyio.sleep(rest)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(client.end)


async def _connected(client: "_Client") -> str:
    """What keeps it from hearing; empty if it hears."""
    if client.is_connected() and not client.is_cut():
        return ""
    try:
        await anyio.to_thread.run_sync(client.connect_to_new_endpoint)
    except Undelivered as error:
        return str(error)
    except Exception as error:
        return f"{LOST} ({type(error).__name__})"
    return "" if client.is_connected() else LOST


def _slacks(url: str) -> bool:
    """Encrypted, to Slack: on any port but 443 the SDK would speak in the clear. On this machine a test may."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 443
    ours = host in HOSTS or host.endswith(tuple(f".{name}" for name in HOSTS))
    return (parts.scheme == "wss" and ours and port == 443) or (parts.scheme == "ws" and host in LOOPBACK)


class _Quiet(logging.Logger):
    """The SDK writes addresses with tickets, and what it hears, into its log."""

    def __init__(self) -> None:
        super().__init__("lockkeep.notify.sockets", logging.CRITICAL + 1)


class _Client(SocketModeClient):
    """The SDK's client: our way to an address, our way to hear, no proxy, no log."""

    def __init__(
        self, portal: BlockingPortal, connect: Connect, heard: Heard, context: ssl.SSLContext
    ) -> None:
        self._portal, self._connect, self._heard = portal, connect, heard
        web = WebClient(ssl=context, logger=_Quiet())
        super().__init__(
            app_token="", logger=_Quiet(), web_client=web, auto_reconnect_enabled=False, concurrency=1
        )  # the app's token stays with `connect`
        self.proxy = None  # the SDK takes one from the environment
        cast(Any, self).socket_mode_request_listeners.append(_hear)

    def issue_new_wss_url(self) -> str:
        url = self._portal.call(self._connect)
        if not _slacks(url):
            raise Undelivered("Slack named an address that is not Slack's")
        return url

    def is_cut(self) -> bool:
        """Whether the other side is gone: the SDK reads on for half a minute, and finds nothing all that time."""
        try:
            with socket.socket(fileno=os.dup(self._wire().fileno())) as looked_at:
                gone = looked_at.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False
        except (OSError, AttributeError):
            gone = True
        if gone:
            self.disconnect()
        return gone

    def end(self) -> None:
        """At once: the SDK would wait for what it reads."""
        with suppress(OSError, AttributeError):
            self._wire().shutdown(socket.SHUT_RDWR)
        self.close()

    def _wire(self) -> socket.socket:
        return cast(Any, self).current_session.sock

    def hear(self, request: SocketModeRequest) -> None:
        """One envelope: handled, then confirmed. If handling fails, Slack sends it again."""
        if request.type == "interactive":
            self._portal.call(self._heard, cast(Json, request).payload, request.envelope_id)
        self.send_socket_mode_response(SocketModeResponse(envelope_id=request.envelope_id))


def _hear(client: Any, request: SocketModeRequest) -> None:
    cast(_Client, client).hear(request)
