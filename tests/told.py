"""What a test needs to see what people are told: a listener for webhooks, and a house with channels."""

import json
import re
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import ByteStream
from anyio.streams.tls import TLSListener

from house import GATEWAY, PEOPLE, House, house, said

RULES = """\
api: lockkeep/v1
policy: pay
owner: lead
applies_to: {everywhere: true}
read:
  thing: shop.read(id)
tools:
  shop.read: {allow: anyone}
  shop.write:
    allow: anyone
    ask: {from: [lead], say: Somebody looks at it.}
  shop.pay:
    allow: anyone
    ask:
      - name: high
        when: amount > 100 EUR && has(thing.owner)
        from: [lead]
        slack_up_to: 500 EUR
        say: "{thing.owner} gets {amount}."
"""
WHO = {"ana": "U1", "bo": "U2", "cy": "U3", "dee": "U4", "olga": "U5"}
KNOWN = re.sub(
    r"  (\w+): {groups",
    lambda found: (
        f'  {found[1]}: {{accounts: ["slack:T1/{WHO[found[1]]}", "email:{found[1]}@acme.example"], groups'
    ),
    PEOPLE,
)
PAY = {"id": "p1", "amount_minor": 50_000, "currency": "EUR"}
SECRET = "shared-with-the-other-side"


@dataclass
class Listener:
    """Takes requests one a connection, and answers what a test says."""

    port: int = 0
    answers: list[str] = field(default_factory=list[str])  # status lines with headers; else 200
    heads: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    bodies: list[bytes] = field(default_factory=list[bytes])
    hold: anyio.Event | None = None  # no answer before it is set

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def events(self) -> list[str]:
        return [each["event"] for each in self.messages]

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(body) for body in self.bodies]

    async def take(self, stream: ByteStream) -> None:
        async with stream:
            data = b""
            while b"\r\n\r\n" not in data:
                data += await stream.receive()
            head, _, body = data.partition(b"\r\n\r\n")
            lines = [line.partition(": ") for line in head.decode("latin-1").split("\r\n")[1:]]
            headers = {name.lower(): value for name, _, value in lines}
            while len(body) < int(headers["content-length"]):
                body += await stream.receive()
            self.heads.append(headers)
            self.bodies.append(body)
            if self.hold is not None:
                await self.hold.wait()
            answer = self.answers.pop(0) if self.answers else "200 OK"
            await stream.send(f"HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())


@asynccontextmanager
async def listener(tls: ssl.SSLContext | None = None) -> AsyncGenerator[Listener]:
    found = Listener()
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as plain:
        open_ = TLSListener(plain, tls, standard_compatible=False) if tls else plain
        found.port = plain.extra(anyio.abc.SocketAttribute.local_port)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(open_.serve, found.take)
            yield found
            tasks.cancel_scope.cancel()


@asynccontextmanager
async def telling(
    folder: Path, channels: str, *, rules: str = RULES, people: str = KNOWN, **more: Any
) -> AsyncGenerator[House]:
    """A house whose gateway.yaml has these channels."""
    async with house(folder, rules=rules, people=people, **more) as home:
        await home.rules(gateway=f"{GATEWAY}notify:\n{channels}")
        await until(lambda: bool(home.gateway.announcements._open))  # pyright: ignore[reportPrivateUsage]
        yield home


async def until(true: Callable[[], bool]) -> None:
    with anyio.fail_after(10):
        while not true():
            await anyio.sleep(0.02)


async def ask(
    home: House, arguments: dict[str, Any] | None = None, tool: str = "shop.pay", **who: Any
) -> dict[str, Any]:
    """A call that waits for people."""
    given = arguments or PAY
    home.shop.things.setdefault(str(given["id"]), {"id": given["id"], "owner": "Kestrel"})
    found = said(await home.call(tool, given, **who))
    assert found.get("status") == "pending_approval", found
    return found
