"""Start a server alone: stdio by default, `--http [HOST:]PORT` for streamable HTTP at /mcp."""

import hmac
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import anyio
import uvicorn
from mcp.server.transport_security import TransportSecuritySettings
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from lockkeep_servers.kit.service import Service
from lockkeep_servers.kit.settings import SettingError
from lockkeep_servers.kit.sqlite import StoreError
from lockkeep_servers.kit.stdio import serve_stdio

LOOPBACK = ("127.0.0.1", "localhost", "::1")
USAGE = "usage: lockkeep-{name} [--http [HOST:]PORT]"


def run(
    service: Service[Any], arguments: Sequence[str] | None = None, environ: Mapping[str, str] | None = None
) -> None:
    """Serve until stdin ends or a signal comes; a setting that cannot be used ends the start with its sentence."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    logging.getLogger("lockkeep_servers").setLevel(logging.INFO)
    try:
        _start(
            service,
            sys.argv[1:] if arguments is None else arguments,
            os.environ if environ is None else environ,
        )
    except (SettingError, StoreError) as error:
        sys.exit(f"lockkeep-{service.name}: {error}")


def _start(service: Service[Any], arguments: Sequence[str], environ: Mapping[str, str]) -> None:
    match arguments:
        case []:
            anyio.run(serve_stdio, service.build(environ))
        case ["--http", address]:
            host, port = _address(address)
            app = http_app(service, environ, host)
            uvicorn.run(app, host=host, port=port, log_level="warning", lifespan="on", ws="none")
        case _:
            sys.exit(USAGE.format(name=service.name))


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise SettingError("--http takes [HOST:]PORT, such as 8711 or 127.0.0.1:8711.")
    return host.strip("[]") or "127.0.0.1", int(port)


def http_app(service: Service[Any], environ: Mapping[str, str], host: str) -> ASGIApp:
    """Return the HTTP application; beyond loopback it is not built without a key and the host names to answer to."""
    settings = service.settings(environ)
    key, hosts = settings.text("SERVICE_KEY"), (settings.text("ALLOWED_HOSTS") or "").split()
    if host not in LOOPBACK:
        if key is None:
            raise SettingError(f"Beyond loopback a key is required: set {settings.name('SERVICE_KEY')}.")
        if not hosts:
            raise SettingError(
                f"Beyond loopback set {settings.name('ALLOWED_HOSTS')} to the names callers use."
            )
        if settings.text("FAULT"):
            raise SettingError(f"{settings.name('FAULT')} is for loopback only.")
    names = [*(f"{local}:*" for local in ("127.0.0.1", "localhost", "[::1]")), *hosts]
    security = TransportSecuritySettings(
        allowed_hosts=names,
        allowed_origins=[f"http://{local}" for local in names] + [f"https://{one}" for one in hosts],
    )
    app = service.build(environ).streamable_http_app(stateless_http=True, transport_security=security)
    return _Door(app, key)


class _Door:
    """Only who knows the key comes in; a GET would hang as a stream nobody feeds, so it is refused."""

    def __init__(self, app: ASGIApp, key: str | None) -> None:
        self._app = app
        self._expected = f"Bearer {key}".encode() if key else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            given = dict(scope["headers"]).get(b"authorization", b"")
            if self._expected and not hmac.compare_digest(given, self._expected):
                refused = PlainTextResponse("A key is required.", 401, {"WWW-Authenticate": "Bearer"})
                return await refused(scope, receive, send)
            if scope["method"] == "GET":
                return await PlainTextResponse("POST only.", 405, {"Allow": "POST"})(scope, receive, send)
        await self._app(scope, receive, send)
