"""`/notify/slack`: presses of buttons, signed by Slack. Whoever signs nothing hears nothing."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

LARGEST = 256 * 1024  # bytes; Slack sends the message that the button stands in along
PATH = "/notify/slack"
Answer = Callable[[bytes, str, str], Awaitable[bool]]


def routes(
    known_host: Callable[[Request], bool], answer: Answer, record: Callable[[int, str, str], Awaitable[None]]
) -> list[Route]:
    async def pressed(request: Request) -> Response:
        if not known_host(request):
            return PlainTextResponse("Unknown host.", 421)
        length = request.headers.get("content-length", "")
        if not length.isdigit() or int(length) > LARGEST:
            return PlainTextResponse("This is too large, or does not say how large it is.", 413)
        stamp = request.headers.get("x-slack-request-timestamp", "")
        signature = request.headers.get("x-slack-signature", "")
        if not await answer(await request.body(), stamp, signature):
            await record(401, PATH, "")
            return PlainTextResponse("The signature is not Slack's, or too old.", 401)
        return Response(status_code=200)

    return [Route(PATH, pressed, methods=["POST"])]
