"""The gateway as the suite meets it: policies from this folder, a real ledger, and a token added to every request."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from anyio.to_thread import run_sync
from starlette.types import ASGIApp, Receive, Scope, Send

from lockkeep.app import running
from lockkeep.settings import Settings

from .commands import set_up, token
from .fixture_server import Fixture
from .listening import listening

POLICIES = Path(__file__).parent / "policies"


@asynccontextmanager
async def governed(folder: Path) -> AsyncGenerator[str]:
    """The gateway's address, with the fixture server behind it."""
    async with listening(Fixture().server().streamable_http_app()) as port:
        await run_sync(partial(set_up, folder, POLICIES, port=port))
        secret = await run_sync(token, folder, "ada", "suite")
        settings = Settings(data=folder / ".lockkeep", policies=folder / "policies")
        async with running(settings) as gateway, listening(signed_in(gateway.asgi(), secret)) as front:
            yield f"http://127.0.0.1:{front}/mcp"


def signed_in(app: ASGIApp, secret: str) -> ASGIApp:
    """The suite sends no token and has no option for one."""
    ours = (b"authorization", f"Bearer {secret}".encode())

    async def with_token(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = {**scope, "headers": [*scope["headers"], ours]}
        await app(scope, receive, send)

    return with_token
