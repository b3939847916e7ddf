"""Opening one client to one integration: over HTTP, to a command's stdio, or in process.

The credentials are the integration's own (P10): nothing of a caller is known here.
"""

import os
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import entry_points
from typing import Any

import httpx2
from mcp import Client, StdioServerParameters, stdio_client
from mcp.client.session import IncomingMessage
from mcp.client.streamable_http import streamable_http_client
from mcp.server import Server
from mcp_types import Implementation, ToolListChangedNotification

from lockkeep.errors import UnknownServer
from lockkeep.model import Integration
from lockkeep.upstream.credentials import resolve_bearer, resolve_env, secrets_of
from lockkeep.upstream.soft import Soft, new_token
from lockkeep.upstream.stderr import child_stderr

Build = Callable[[Mapping[str, str]], Server[Any]]
CLIENT = Implementation(name="lockkeep", version="1")
LIMITS = httpx2.Limits(max_connections=256, max_keepalive_connections=64)
LONGEST_SILENCE = 300.0  # seconds; also how long a listening stream may say nothing


@dataclass(frozen=True, kw_only=True)
class Signals:
    """What a client tells its owner out of turn."""

    tools_changed: Callable[[], None]
    process_ended: Callable[[], None]

    async def hear(self, message: IncomingMessage) -> None:
        """Legacy servers push list changes here; everything else they push is dropped."""
        if isinstance(message, ToolListChangedNotification):
            self.tools_changed()


@dataclass
class Opening:
    """Opens clients; shares one TLS context and one forgery-proof token for the process."""

    servers: Callable[[str], Build]
    environ: Mapping[str, str]
    stops: Callable[[], int] = lambda: 0  # the number of the newest switch
    token: str = field(default_factory=new_token)

    def __call__(self, integration: Integration, signals: Signals) -> AbstractAsyncContextManager[Client]:
        if integration.url is not None:
            return self._over_http(integration, integration.url, signals)
        if integration.command:
            return self._to_command(integration, signals)
        return self._in_process(integration, signals)

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context()  # 80 ms: once, not per client

    @asynccontextmanager
    async def _over_http(
        self, integration: Integration, url: str, signals: Signals
    ) -> AsyncGenerator[Client]:
        headers = {"accept-encoding": "identity"}
        if integration.bearer:
            headers["authorization"] = f"Bearer {resolve_bearer(integration.bearer, self.environ)}"
        # A proxy or .netrc from the environment would go round the soft transport: trust_env is off.
        soft = Soft(
            httpx2.AsyncHTTPTransport(verify=self._tls, trust_env=False, limits=LIMITS),
            self.token,
            self.stops,
        )
        limit = httpx2.Timeout(max(LONGEST_SILENCE, integration.timeout + 60), connect=5, pool=5, write=30)
        async with (
            httpx2.AsyncClient(transport=soft, headers=headers, timeout=limit, trust_env=False) as http,
            self._client(streamable_http_client(url, http_client=http), signals) as client,
        ):
            soft.opening = False
            yield client

    @asynccontextmanager
    async def _to_command(self, integration: Integration, signals: Signals) -> AsyncGenerator[Client]:
        env = resolve_env(
            integration.env, self.environ
        )  # the SDK adds its allow list: PATH, HOME, and the like
        command = StdioServerParameters(
            command=integration.command[0], args=list(integration.command[1:]), env=env
        )
        hidden = secrets_of(integration.env, env)
        async with (
            child_stderr(integration.name, hidden, signals.process_ended) as errlog,
            self._client(stdio_client(command, errlog=errlog), signals) as client,
        ):
            errlog.close()  # the child holds the other end now: when it dies, the stream ends
            yield client

    @asynccontextmanager
    async def _in_process(self, integration: Integration, signals: Signals) -> AsyncGenerator[Client]:
        name = integration.server or integration.name
        prefix = f"LOCKKEEP_{name.upper()}_"
        theirs = {key: value for key, value in self.environ.items() if key.startswith(prefix)}
        server = self.servers(name)(theirs | resolve_env(integration.env, self.environ))
        async with self._client(server, signals) as client:
            yield client

    def _client(self, server: Any, signals: Signals) -> Client:
        return Client(server, cache=None, client_info=CLIENT, message_handler=signals.hear)


def installed_server(name: str) -> Build:
    """The `build` of an installed tool server; UnknownServer if there is none of that name."""
    for point in entry_points(group="lockkeep_servers.servers", name=name):
        return point.load()
    raise UnknownServer(name)


def process_environment() -> Mapping[str, str]:
    """The variables this process was started with, as a copy."""
    return dict(os.environ)
