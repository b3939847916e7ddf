"""`lockkeep-servers new`: a server of one's own, to change instead of to write."""

from pathlib import Path
from typing import Annotated

import typer

from lockkeep_servers.check.find import installed
from lockkeep_servers.new.make import NewError, full, one_file

Name = Annotated[str, typer.Argument(help="a-z, 0-9 and _, as in fleet")]
Full = Annotated[bool, typer.Option("--full", help="A package with port, back end, manifest, policy, tests.")]
Folder = Annotated[Path, typer.Option(help="Where to write it.")]


def new(name: Name, whole: Full = False, folder: Folder = Path()) -> None:
    """Write a new server: one file (bronze), or with --full a package (gold). Nothing is overwritten."""
    if name in installed():
        raise NewError(f"There is a server {name} already. Take another name.")
    for path in full(name, folder) if whole else one_file(name, folder):
        typer.echo(path)
    typer.echo("")
    if whole:
        typer.echo(f"Next:  pip install -e {folder / name}")
        typer.echo(f"       lockkeep-servers check {name}")
        typer.echo(f"       lockkeep add {name} -- lockkeep-{name}")
    else:
        file = folder / f"{name}.py"
        typer.echo(f"Next:  lockkeep-servers check {file}")
        typer.echo(f"       lockkeep add {name} -- python {file}")
