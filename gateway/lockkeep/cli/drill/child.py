"""A gateway before the sandbox as a process of its own, for a drill that kills it."""

import anyio

from lockkeep.cli.drill.sandbox import NAME, Sandbox
from lockkeep.serving import serve
from lockkeep.settings import from_environment


def main() -> None:
    settings = from_environment()
    sandbox = Sandbox(settings.data / NAME)
    anyio.run(lambda: serve(settings, servers=sandbox.servers()))


if __name__ == "__main__":
    main()
