"""`lockkeep policy show`, `diff`, `schema`: what the files mean, what an edit changes, and what an editor offers."""

from pathlib import Path
from typing import Annotated

import typer

from lockkeep.cli.here import here
from lockkeep.cli.policy import DoesNotLoad, Folder
from lockkeep.cli.show import AsJson, data, fail, rows, say
from lockkeep.errors import NotFound
from lockkeep.ledger import generations
from lockkeep.policy.bundle import PolicySet, load, read_folder
from lockkeep.policy.positions import nearest
from lockkeep.policy.schema import schema as schemas
from lockkeep.policy.show import diff as differences
from lockkeep.policy.show import show as showing
from lockkeep.settings import from_environment


def show(
    tool: Annotated[str | None, typer.Argument(help="One tool; default: all.")] = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="In sentences, with a decision table for each tool.")
    ] = False,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """The rules as they are compiled, or what the files mean, in sentences."""
    current = _loaded(read_folder(folder or from_environment().policies), "the policy files")
    if tool is not None and tool not in current.tools:
        raise NotFound(f"no accepted tool is called '{tool}'; {nearest(tool, current.tools)}")
    if not plain:
        rows(showing.COLUMNS, showing.compiled(current, tool), as_json, "No rule speaks of it.")
        return
    files, decided = showing.plain(current, tool)
    if as_json:
        data(showing.as_data(files, decided))
        return
    for line in showing.as_text(files, decided):
        say(line)


def diff(
    a: Annotated[str, typer.Argument(help="A folder, a generation, or `live`.")] = "live",
    b: Annotated[str | None, typer.Argument(help="The same; default: the policies folder.")] = None,
    as_json: AsJson = False,
) -> None:
    """What changes from A to B, by meaning, the most dangerous first. Exit 1 if anything does."""
    found = differences.compare(_side(a), _side(b or str(from_environment().policies)))
    if as_json:
        data(differences.as_data(found))
    for line in () if as_json else differences.as_text(found):
        say(line)
    if found:
        raise typer.Exit(1)
    if not as_json:
        say("They mean the same.")


def schema(
    kind: Annotated[str | None, typer.Argument(help=f"One of: {', '.join(schemas.KINDS)}.")] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Write all of them to .schemas/ in the policies folder.")
    ] = False,
    folder: Folder = None,
) -> None:
    """The JSON Schema of one kind of file, for editors; or all of them, written."""
    if (kind is None) != write:
        fail(f"name one of {', '.join(schemas.KINDS)}, or give --write")
        raise typer.Exit(2)
    if write:
        for path in schemas.write(folder or from_environment().policies):
            say(str(path))
    elif kind in schemas.KINDS:
        say(schemas.text(kind).rstrip())
    else:
        raise NotFound(f"there is no kind of file '{kind}'; {nearest(kind or '', schemas.KINDS)}")


def _side(name: str) -> PolicySet:
    """What a word of the command line stands for."""
    if name != "live" and not name.isdigit():
        return _loaded(read_folder(Path(name)), f"the policy files of {name}")
    with here() as place:
        if name == "live":
            stored = generations.current(place.store.read)
        else:
            stored = generations.get(place.store.read, int(name))
    if stored is None:
        raise NotFound(f"there is no set {name}; `lockkeep policy history` lists those that were in force")
    return _loaded(dict(stored.files), f"the policy files of generation {stored.id}")


def _loaded(files: dict[str, str], what: str) -> PolicySet:
    loaded, problems = load(files)
    if loaded is None:
        raise DoesNotLoad(f"{what} do not load\n" + "\n".join(map(str, problems)))
    return loaded
