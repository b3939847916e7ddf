"""The HTTP side as one ASGI app: the MCP address behind tokens, the inbox, health."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from mcp.server import Server
from mcp.server.auth.middleware.bearer_auth import RequireAuthMiddleware
from mcp.server.auth.settings import AuthSettings
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp

from lockkeep.errors import LockkeepError
from lockkeep.settings import Settings
from lockkeep.store import Store
from lockkeep.surface.auth import ISSUER, SCOPE, Tokens
from lockkeep.surface.named import NamedOnce
from lockkeep.surface.refusals import Refusals


def address(
    server: Server[Any],
    settings: Settings,
    store: Store,
    routes: Sequence[Route],
    record: Callable[[int, str, str], Awaitable[None]],
) -> ASGIApp:
    """Both protocol eras at /mcp, stateless, so that a restart is invisible; the other routes beside it."""
    app = server.streamable_http_app(
        stateless_http=True,
        max_request_body_size=settings.max_body_mb * 1024 * 1024,
        transport_security=_hosts(settings),
        auth=AuthSettings(issuer_url=ISSUER, resource_server_url=None, required_scopes=[SCOPE]),
        token_verifier=Tokens(store),
        custom_starlette_routes=list(routes),
    )
    refuse_open_routes(app)
    for route in app.routes:
        endpoint: object = getattr(route, "endpoint", None)
        if isinstance(endpoint, RequireAuthMiddleware):  # behind it: strangers are not read
            endpoint.app = NamedOnce(endpoint.app, settings.max_body_mb * 1024 * 1024)
    return Refusals(app, record)


def refuse_open_routes(app: Starlette) -> None:
    """A second route to the MCP endpoint would be open without a token, if it were not this wrapped one."""
    for route in app.routes:
        path = getattr(route, "path", "")
        if path.startswith("/mcp") and not isinstance(
            getattr(route, "endpoint", None), RequireAuthMiddleware
        ):
            raise OpenRoute(path)


class OpenRoute(LockkeepError):
    """A route to the MCP endpoint asks for no token. This is a mistake in the program; nothing is served."""


def _hosts(settings: Settings) -> TransportSecuritySettings:
    """Foreign Host and Origin headers are refused; public names are listed in LOCKKEEP_ALLOWED_HOSTS."""
    names = [
        "127.0.0.1:*",
        "localhost:*",
        "[::1]:*",
        *(name for name in settings.allowed_hosts.split(",") if name),
    ]
    if settings.public_url:
        names.append(settings.public_url.split("://", 1)[-1].split("/")[0])
    origins = [f"{scheme}://{name}" for scheme in ("http", "https") for name in names]
    return TransportSecuritySettings(
        enable_dns_rebinding_protection=True, allowed_hosts=names, allowed_origins=origins
    )
