"""Several servers in one process, each at /NAME/mcp: one import of the SDK instead of seven."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from starlette.applications import Starlette
from starlette.routing import Mount

from lockkeep_servers.kit.run import Startable, http_app


def together(services: Sequence[Startable], environ: Mapping[str, str], host: str) -> Starlette:
    """Return the HTTP application of all of them; each keeps its own door, settings and store.

    Raises:
        SettingError, StoreError: one of them cannot start.
    """
    doors = {service.name: http_app(service, environ, host) for service in services}

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        async with AsyncExitStack() as stack:
            for door in doors.values():
                await stack.enter_async_context(door.app.router.lifespan_context(door.app))
            yield

    return Starlette(routes=[Mount(f"/{name}", door) for name, door in doors.items()], lifespan=lifespan)


def demo_settings(services: Sequence[Startable], environ: Mapping[str, str]) -> dict[str, str]:
    """The environment with the seeded world in every empty store, unless it says otherwise."""
    worlds = {f"LOCKKEEP_{service.name.upper()}_WORLD": "demo" for service in services}
    return {**worlds, **environ}
