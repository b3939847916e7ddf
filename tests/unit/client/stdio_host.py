"""A host on stdio, as raw as it gets: lines to a bridge in this process, lines back."""

import json
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import anyio
from anyio import to_thread
from tests.unit.client.stand_in import TOKEN

from lockkeep_client.bridge import Bridge
from lockkeep_client.exchange import Exchange
from lockkeep_client.settings import endpoint
from lockkeep_client.stdio import Stdio
from lockkeep_client.wire import ENVELOPE

ERAS = ("modern", "legacy")
LIMIT_S = 10


@dataclass
class Host:
    """The host's ends of the two pipes, and the era it speaks."""

    era: str
    to_bridge: BinaryIO
    from_bridge: BinaryIO
    ended: anyio.Event = field(default_factory=anyio.Event)

    def request(self, id: Any, method: str, **params: Any) -> dict[str, Any]:
        """A request of this era."""
        if self.era == "modern":
            params["_meta"] = {**params.get("_meta", {}), **ENVELOPE}
        return {"jsonrpc": "2.0", "id": id, "method": method, "params": params}

    def call(
        self, id: Any, tool: str, _meta: dict[str, Any] | None = None, **arguments: Any
    ) -> dict[str, Any]:
        """A call of one tool."""
        return self.request(
            id, "tools/call", name=tool, arguments=arguments, **({"_meta": _meta} if _meta else {})
        )

    def cancelled(self, id: Any) -> dict[str, Any]:
        """What a host says when it no longer waits."""
        return {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}}

    async def say(self, *frames: dict[str, Any] | bytes) -> None:
        """The lines are with the bridge."""
        for frame in frames:
            line = (
                frame if isinstance(frame, bytes) else json.dumps(frame, ensure_ascii=False).encode() + b"\n"
            )
            await to_thread.run_sync(self._write, line)

    async def hear(self) -> dict[str, Any]:
        """The next frame; the wait is limited."""
        with anyio.fail_after(LIMIT_S):
            line = await to_thread.run_sync(self.from_bridge.readline, abandon_on_cancel=True)
        assert line.endswith(b"\n")
        return json.loads(line)

    async def ask(self, frame: dict[str, Any]) -> dict[str, Any]:
        """The next frame after this one was said."""
        await self.say(frame)
        return await self.hear()

    async def hang_up(self) -> list[dict[str, Any]]:
        """What still came after the host closed its end, and the bridge ended in time."""
        self.to_bridge.close()
        with anyio.fail_after(1):
            await self.ended.wait()
        rest = await to_thread.run_sync(self.from_bridge.read)
        return [json.loads(line) for line in rest.splitlines()]

    def _write(self, line: bytes) -> None:
        self.to_bridge.write(line)
        self.to_bridge.flush()


@asynccontextmanager
async def hosting(url: str, era: str = "modern", token: str | None = TOKEN) -> AsyncGenerator[Host]:
    """A host with a bridge to this address behind it."""
    stdin, to_bridge = os.pipe()
    from_bridge, stdout = os.pipe()
    host = Host(era, os.fdopen(to_bridge, "wb"), os.fdopen(from_bridge, "rb"))

    async def serve() -> None:
        with os.fdopen(stdin, "rb") as lines_in, os.fdopen(stdout, "wb") as lines_out:
            async with Exchange(endpoint(url), lambda: token) as exchange:
                await Bridge(exchange, Stdio(lines_in, lines_out)).run()
        host.ended.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve)
        try:
            yield host
        finally:
            host.to_bridge.close()
            with anyio.CancelScope(shield=True), anyio.fail_after(2):
                await host.ended.wait()
            host.from_bridge.close()
