"""A server in one file. Type hints are the schema, `class_` and `undo` the manifest."""

from typing import Literal

from lockkeep_servers.kit import NotFound, Result, Server

server = Server("fleet", instructions="Vans and the depots they stand at.")
vans = {"van_1": "north", "van_2": "south"}  # yours come from a system of your own


class Van(Result):
    id: str
    depot: str


@server.tool(class_="read")
async def list_vans(depot: Literal["north", "south"] | None = None) -> list[Van]:
    """List the vans, of one depot or of all."""
    return [Van(id=van, depot=at) for van, at in vans.items() if depot in (None, at)]


@server.tool(class_="write", undo="none", subject="args.van_id")
async def move_van(van_id: str, depot: Literal["north", "south"]) -> Van:
    """Move a van to another depot."""
    if van_id not in vans:
        raise NotFound("van")
    vans[van_id] = depot
    return Van(id=van_id, depot=depot)


if __name__ == "__main__":
    server.run()
