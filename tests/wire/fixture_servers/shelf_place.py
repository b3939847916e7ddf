"""A shelf behind a gateway: a server that says nothing of what it does, and a command line beside it."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from house import House, house, said
from undo_desk import Console

from .shelf import Shelf

GATEWAY = """\
api: lockkeep/v1
gateway: house
integrations:
  shelf: {in_process: true}
agents:
  robot: {owner: olga}
"""
RULES = """\
api: lockkeep/v1
policy: desk
owner: lead
applies_to: {agents: [robot]}
tools:
  shelf.*:
    allow: anyone
"""
NEW = {"id": "a", "text": "new"}


def shelved(folder: Path, shelf: Shelf, rules: str = RULES) -> AbstractAsyncContextManager[House]:
    return house(folder, servers=lambda _: shelf.build, gateway=GATEWAY, rules=rules)


class Place(Console):
    """One change on the shelf, made by an agent, to be taken back."""

    def __init__(self, home: House, folder: Path, shelf: Shelf) -> None:
        super().__init__(home, folder)
        self.shelf = shelf

    async def put(self, **arguments: Any) -> str:
        answer = said(await self.home.call("shelf.put", arguments or NEW))
        assert answer.get("done"), answer
        return self.newest("shelf.put")

    async def found(self, call: str, *words: str, by: str = "bo") -> tuple[str, str]:
        """What `lockkeep undo` says of it, and whether anything happened."""
        before = dict(self.shelf.things["a"])
        step = (await self.undo("call", call, *words, by=by)).data["steps"][0]
        if self.state(call) != "undone":
            assert self.shelf.things["a"] == before
        return step["would"], step["note"]
