"""`lockkeep policy show`, `diff`, `schema`: what the files mean, what an edit changes, and what an editor offers."""

from typing import Annotated

import typer

from lockkeep.cli.policy import DoesNotLoad, Folder
from lockkeep.cli.show import AsJson, data, rows, say
from lockkeep.errors import NotFound
from lockkeep.policy import show as showing
from lockkeep.policy.bundle import PolicySet, load, read_folder
from lockkeep.policy.positions import nearest
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


def _loaded(files: dict[str, str], what: str) -> PolicySet:
    loaded, problems = load(files)
    if loaded is None:
        raise DoesNotLoad(f"{what} do not load\n" + "\n".join(map(str, problems)))
    return loaded
