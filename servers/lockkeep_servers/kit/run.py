"""A server's own command: serve over stdio or `--http [HOST:]PORT`, or look whether it could (`doctor`)."""

import argparse
import hmac
import json
import logging
import os
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Protocol

import anyio
import uvicorn
from mcp.server import Server
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from lockkeep_servers.kit.findings import Finding
from lockkeep_servers.kit.settings import SettingError, Settings
from lockkeep_servers.kit.sqlite import StoreError
from lockkeep_servers.kit.stdio import serve_stdio

LOOPBACK = ("127.0.0.1", "localhost", "::1")
MARKS = {"ok": "ok", "warning": "warning", "unusable": "UNUSABLE"}


class Startable(Protocol):
    """A server before it has settings: a `Service`, or a one-file `Server`."""

    @property
    def name(self) -> str: ...
    @property
    def options(self) -> Mapping[str, Collection[str]]:
        """Settings that are options of the command, too, with what they can be."""
        ...

    def settings(self, environ: Mapping[str, str]) -> Settings: ...
    def build(self, environ: Mapping[str, str]) -> Server[None]: ...
    async def examine(self, environ: Mapping[str, str], *, setup: bool = False) -> list[Finding]: ...


def run(
    service: Startable, arguments: Sequence[str] | None = None, environ: Mapping[str, str] | None = None
) -> None:
    """Serve until stdin ends or a signal comes; a setting that cannot be used ends the start with its sentence."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    logging.getLogger("lockkeep_servers").setLevel(logging.INFO)
    asked = _command(service).parse_args(arguments)
    given = {**(os.environ if environ is None else environ), **_chosen(service, asked)}
    try:
        _start(service, asked, given)
    except (SettingError, StoreError) as error:
        sys.exit(f"lockkeep-{service.name}: {error}")


def _command(service: Startable) -> argparse.ArgumentParser:
    command = argparse.ArgumentParser(
        f"lockkeep-{service.name}",
        description=f"The {service.name} server: MCP over stdio, unless --http is given.",
        epilog=f"Settings are environment variables named LOCKKEEP_{service.name.upper()}_..., see its README.",
        allow_abbrev=False,
    )
    command.add_argument("--http", metavar="[HOST:]PORT", help="serve streamable HTTP at /mcp instead")
    for key, choices in service.options.items():
        command.add_argument(_option(key), dest=key, help=", ".join(choices))
    more = command.add_subparsers(dest="command", metavar="doctor")
    doctor = more.add_parser("doctor", help="check settings, store and credentials", allow_abbrev=False)
    doctor.add_argument("--setup", action="store_true", help="make the store if there is none")
    doctor.add_argument("--json", action="store_true", help="for machines")
    return command


def _option(key: str) -> str:
    return "--" + key.lower().replace("_", "-")


def _chosen(service: Startable, asked: argparse.Namespace) -> dict[str, str]:
    """What was said on the command line, as settings."""
    given: dict[str, Any] = {key: getattr(asked, key) for key in service.options}
    prefix = f"LOCKKEEP_{service.name.upper()}_"
    return {prefix + key: value for key, value in given.items() if value is not None}


def _start(service: Startable, asked: argparse.Namespace, environ: Mapping[str, str]) -> None:
    if asked.command == "doctor":
        sys.exit(doctor(service, environ, setup=asked.setup, as_json=asked.json))
    if asked.http is None:
        anyio.run(serve_stdio, service.build(environ))
    else:
        host, port = address(asked.http)
        app = http_app(service, environ, host)
        uvicorn.run(app, host=host, port=port, log_level="warning", lifespan="on", ws="none")


def doctor(service: Startable, environ: Mapping[str, str], *, setup: bool, as_json: bool) -> int:
    """Print what is found. Returns 0 if all is well, 1 with warnings, 2 if the server cannot work."""
    try:
        found = anyio.run(lambda: service.examine(environ, setup=setup))
    except (SettingError, StoreError) as error:
        found = [Finding("unusable", str(error))]
    if as_json:
        print(json.dumps({"server": service.name, "findings": [asdict(each) for each in found]}))
    else:
        for each in found:
            print(f"{MARKS[each.level]:<9} {each.what}" + (f" {each.fix}" if each.fix else ""))
    levels = {each.level for each in found}
    return 2 if "unusable" in levels else 1 if "warning" in levels else 0


def address(text: str) -> tuple[str, int]:
    """Return host and port of `[HOST:]PORT`; loopback without a host."""
    host, _, port = text.rpartition(":")
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise SettingError("--http takes [HOST:]PORT, such as 8711 or 127.0.0.1:8711.")
    return host.strip("[]") or "127.0.0.1", int(port)


def http_app(service: Startable, environ: Mapping[str, str], host: str) -> "Door":
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
    return Door(app, key)


class Door:
    """Only who knows the key comes in; a GET would hang as a stream nobody feeds, so it is refused."""

    def __init__(self, app: Starlette, key: str | None) -> None:
        self.app = app
        self._expected = f"Bearer {key}".encode() if key else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            given = dict(scope["headers"]).get(b"authorization", b"")
            if self._expected and not hmac.compare_digest(given, self._expected):
                refused = PlainTextResponse("A key is required.", 401, {"WWW-Authenticate": "Bearer"})
                return await refused(scope, receive, send)
            if scope["method"] == "GET":
                return await PlainTextResponse("POST only.", 405, {"Allow": "POST"})(scope, receive, send)
        await self.app(scope, receive, send)
