"""`lockkeep-servers up`: the servers in one process, each at /NAME/mcp."""

import logging
import os
from pathlib import Path
from typing import Annotated

import typer
import uvicorn

from lockkeep_servers.check.find import NotFoundHere, installed, load, owner_of, reference_of
from lockkeep_servers.kit.run import Startable, address
from lockkeep_servers.kit.up import demo_settings, together

PORT = 8710
Names = Annotated[list[str] | None, typer.Argument(help="Servers; default: all that are installed.")]
Http = Annotated[str, typer.Option(metavar="[HOST:]PORT", help="Where to listen.")]
Demo = Annotated[bool, typer.Option("--demo", help="Fill empty stores with the made-up company.")]
Data = Annotated[Path, typer.Option(help="Folder of the stores, one in it for each server.")]


def up(
    names: Names = None, http: Http = str(PORT), demo: Demo = False, data: Data = Path(".lockkeep")
) -> None:
    """Serve several servers over HTTP until you stop it."""
    services = [_service(name) for name in names or installed()]
    host, port = address(http)
    stores = {f"LOCKKEEP_{each.name.upper()}_DATA": str(data / each.name) for each in services}
    environ = {**stores, **os.environ}
    app = together(services, demo_settings(services, environ) if demo else environ, host)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    shown = f"[{host}]" if ":" in host else host
    for each in services:
        typer.echo(f"{each.name:<12} http://{shown}:{port}/{each.name}/mcp")
    uvicorn.run(app, host=host, port=port, log_level="warning", lifespan="on", ws="none")


def _service(name: str) -> Startable:
    """The server of that name, or of that file or package."""
    found = owner_of(load(reference_of(name)))
    if found is None:
        raise NotFoundHere(f"{name} is no server made with the kit, so it cannot be served here.")
    return found
