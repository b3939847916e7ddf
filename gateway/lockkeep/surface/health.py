"""`/healthz`: the process lives. `/readyz`: it can decide, and its integrations answer."""

from collections.abc import Callable, Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from lockkeep.model import Json


def routes(ready: Callable[[], Mapping[str, Json]]) -> list[Route]:
    async def healthz(_: Request) -> JSONResponse:
        return JSONResponse({"ok": True})

    async def readyz(_: Request) -> JSONResponse:
        said = ready()
        return JSONResponse(dict(said), status_code=200 if said["ready"] else 503)

    return [Route("/healthz", healthz, methods=["GET"]), Route("/readyz", readyz, methods=["GET"])]
