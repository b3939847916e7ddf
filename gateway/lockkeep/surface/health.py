"""`/healthz`: the process lives. `/readyz`: it can decide, and its integrations answer."""

from collections.abc import Callable, Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from lockkeep.model import Json


def routes(ready: Callable[[], Mapping[str, Json]], known_host: Callable[[Request], bool]) -> list[Route]:
    async def healthz(_: Request) -> JSONResponse:
        return JSONResponse({"ok": True})

    async def readyz(request: Request) -> JSONResponse:
        """A probe may use any name for this machine; what is down is said to those only who know ours."""
        said = ready()
        shown = dict(said) if known_host(request) else {"ready": said["ready"]}
        return JSONResponse(shown, status_code=200 if said["ready"] else 503)

    return [Route("/healthz", healthz, methods=["GET"]), Route("/readyz", readyz, methods=["GET"])]
