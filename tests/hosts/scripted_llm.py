"""A model that follows a script, in the two wire formats hosts speak here. What it was shown is what tests look at.

The step is the number of tool results in the request, so a host may repeat itself without getting ahead.
"""

import json
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from wire.conformance.listening import listening

Json: TypeAlias = Any
Event: TypeAlias = tuple[str, dict[str, Json]]


@dataclass(frozen=True)
class Call:
    """A tool the model wants to use; the arguments may depend on what it was shown so far."""

    tool: str
    arguments: Callable[[Sequence[str]], Mapping[str, Json]]


@dataclass(frozen=True)
class Chosen:
    """A tool as the host offered it."""

    name: str
    namespace: str | None
    arguments: Mapping[str, Json]
    step: int


@dataclass
class Model:
    """The script, and everything that reached the model."""

    script: Sequence[Call | str]
    port: int = 0
    offered: set[str] = field(default_factory=set[str])
    shown: list[str] = field(default_factory=list[str])
    _steps: defaultdict[int, anyio.Event] = field(default_factory=lambda: defaultdict(anyio.Event))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def saw(self, step: int) -> str:
        """The result of that step, as soon as the model was shown it."""
        await self._steps[step].wait()
        return self.shown[step]

    def turn(self, results: list[str], tools: dict[str, str | None]) -> Chosen | str:
        """What the model does next."""
        if not tools:
            return "A title."  # side requests of hosts
        self.offered |= tools.keys()
        if len(results) > len(self.shown):
            self.shown = results
        for step in range(len(results)):
            self._steps[step].set()
        step = min(len(results), len(self.script) - 1)
        now = self.script[step]
        if isinstance(now, str):
            return now
        name = next((each for each in tools if each.endswith(now.tool)), None)
        if name is None:
            return f"{now.tool} is not offered"
        return Chosen(name, tools[name], now.arguments(self.shown), step)

    async def anthropic(self, request: Request) -> Response:
        body = await request.json()
        blocks = [
            block for message in body["messages"] if isinstance(message["content"], list) for block in message["content"]
        ]  # fmt: skip
        results = [_text(block.get("content")) for block in blocks if block["type"] == "tool_result"]
        tools: dict[str, str | None] = {tool["name"]: None for tool in body.get("tools", ())}
        return _stream(_anthropic(self.turn(results, tools)))

    async def responses(self, request: Request) -> Response:
        body = await request.json()
        given = [item for item in body["input"] if item.get("type") == "function_call_output"]
        tools: dict[str, str | None] = {}
        for tool in body.get("tools", ()):
            if tool["type"] == "namespace":
                tools |= {each["name"]: tool["name"] for each in tool["tools"]}
            elif "name" in tool:
                tools[tool["name"]] = None
        return _stream(_responses(self.turn([_text(item["output"]) for item in given], tools)))

    async def other(self, _: Request) -> Response:
        """Lists of models, counts of tokens: whatever a host asks beside its work."""
        return JSONResponse({"data": [], "models": [], "input_tokens": 1})

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/messages", self.anthropic, methods=["POST"]),
                Route("/v1/responses", self.responses, methods=["POST"]),
                Route("/{rest:path}", self.other, methods=["GET", "HEAD", "POST"]),
            ]
        )


@asynccontextmanager
async def scripted(script: Sequence[Call | str]) -> AsyncGenerator[Model]:
    """The model, answering on a port of this machine."""
    model = Model(script)
    async with listening(model.app()) as model.port:
        yield model


def _anthropic(turn: Chosen | str) -> Iterator[Event]:
    use = isinstance(turn, Chosen)
    start: dict[str, Json] = (
        {"type": "tool_use", "id": f"toolu_{turn.step}", "name": turn.name, "input": {}}
        if use
        else {"type": "text", "text": ""}
    )
    delta = (
        {"type": "input_json_delta", "partial_json": json.dumps(turn.arguments)}
        if use
        else {"type": "text_delta", "text": turn}
    )
    message: dict[str, Json] = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "scripted", "content": [], "stop_reason": None,
        "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1},
    }  # fmt: skip
    yield "message_start", {"message": message}
    yield "content_block_start", {"index": 0, "content_block": start}
    yield "content_block_delta", {"index": 0, "delta": delta}
    yield "content_block_stop", {"index": 0}
    reason = {"stop_reason": "tool_use" if use else "end_turn", "stop_sequence": None}
    yield "message_delta", {"delta": reason, "usage": {"output_tokens": 1}}
    yield "message_stop", {}


def _responses(turn: Chosen | str) -> Iterator[Event]:
    if isinstance(turn, Chosen):
        item: dict[str, Json] = {
            "type": "function_call", "id": f"fc_{turn.step}", "call_id": f"call_{turn.step}", "name": turn.name,
            "arguments": json.dumps(turn.arguments), **({"namespace": turn.namespace} if turn.namespace else {}),
        }  # fmt: skip
    else:
        item = {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "content": [{"type": "output_text", "text": turn}],
        }
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    yield "response.created", {"response": {"id": "resp_1"}}
    yield "response.output_item.added", {"output_index": 0, "item": item}
    yield "response.output_item.done", {"output_index": 0, "item": item}
    yield "response.completed", {"response": {"id": "resp_1", "usage": usage}}


def _stream(events: Iterator[Event]) -> Response:
    lines = [f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n" for kind, data in events]
    return Response("".join(lines), media_type="text/event-stream")


def _text(content: Json) -> str:
    """What the model reads of a tool result: a text, or the texts of its parts."""
    if isinstance(content, list):
        return "\n".join(part.get("text", "") for part in cast("list[dict[str, str]]", content))
    return str(content)
