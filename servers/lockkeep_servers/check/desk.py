"""A caller at one server: calls tools over MCP and reads what comes back, whatever that is."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast, get_args

import anyio
from mcp import Client
from mcp_types import CallToolRequest, CallToolRequestParams, CallToolResult, Tool

from lockkeep_servers.kit.errors import Code
from lockkeep_servers.kit.manifest import EFFECT

CODES = frozenset(get_args(Code))
SURELY_NOT_APPLIED = CODES - {"in_progress", "unknown_outcome"}
LIMIT_S = 30.0
MOST_PAGES = 200


class MayNotWrite(RuntimeError):
    """A point was about to call a writer at a back end that may only be read."""


@dataclass(frozen=True)
class Answer:
    """What a call came back with. `code` is `ok`, one of the closed set, or what went wrong outside it."""

    code: str
    content: Mapping[str, Any] = field(default_factory=dict[str, Any])
    text: str = ""
    wrong: str = ""  # why the answer has no form of ours

    @property
    def ok(self) -> bool:
        return self.code == "ok"

    @property
    def closed(self) -> bool:
        """An answer, or an error of the closed set, in the form of one; never a crash."""
        return not self.wrong and not self.incident and (self.ok or self.code in CODES)

    @property
    def error(self) -> Mapping[str, Any]:
        return cast(Mapping[str, Any], self.content.get("error", {}))

    @property
    def details(self) -> Mapping[str, Any]:
        found: Any = self.error.get("details")
        return cast(Mapping[str, Any], found) if isinstance(found, Mapping) else {}

    @property
    def incident(self) -> str:
        """The server's own code failed."""
        return str(self.details.get("incident", ""))

    @property
    def shown(self) -> str:
        """Short enough for a report."""
        if self.ok:
            return _short(json.dumps(self.content, ensure_ascii=False, default=str))
        return _short(f"{self.code}: {self.wrong or self.error.get('message', self.text)}")


@dataclass
class Clock:
    """The time as the server sees it, where it can be set."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now

    def later(self, passed: timedelta) -> None:
        self.now += passed


@dataclass
class Desk:
    """One connection to one server with one store."""

    client: Client
    environ: Mapping[str, str]
    clock: Clock | None = None
    answers: Mapping[str, Any] = field(default_factory=dict[str, Any])  # a validator for each tool
    only: Collection[str] | None = None  # the tools that may be called, where nothing may be written

    async def tools(self) -> Sequence[Tool]:
        found: list[Tool] = []
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            page = await self.client.list_tools(cursor=cursor)
            found += page.tools
            cursor = page.next_cursor
            if cursor is None:
                break
        return found

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> Answer:
        """Return the answer; a transport that breaks and a wait without end are answers, too.

        Raises:
            MayNotWrite: the tool writes, and this back end is not there for that. Nothing was sent.
        """
        if self.only is not None and tool not in self.only:
            raise MayNotWrite(tool)
        asked = CallToolRequest(params=CallToolRequestParams(name=tool, arguments=dict(arguments)))
        try:
            with anyio.fail_after(LIMIT_S):
                # Not `client.call_tool`: it compiles every output schema anew for each connection.
                result = await self.client.session.send_request(asked, CallToolResult)
        except TimeoutError:
            return Answer("no_answer", wrong=f"no answer within {LIMIT_S:g} s")
        except Exception as error:  # whatever a foreign server provokes is a finding, not the kit's end
            return Answer("protocol_error", wrong=f"{type(error).__name__}: {error}")
        text = "\n".join(part.text for part in result.content if part.type == "text")
        content: Any = result.structured_content
        if result.is_error:
            return _refusal(content, text)
        fault = self._fault(tool, content)
        return Answer("no_such_answer", {}, text, wrong=fault) if fault else _answer(content, text)

    def _fault(self, tool: str, content: Any) -> str:
        """Where the answer breaks the output schema of its tool."""
        if tool not in self.answers:
            return ""
        first = next(iter(self.answers[tool].iter_errors(content)), None)
        return f"it breaks its output schema: {first.message}" if first is not None else ""

    async def pages(self, tool: str, arguments: Mapping[str, Any]) -> list[Answer]:
        """Every page of a listing; a tool without pages answers once."""
        found: list[Answer] = []
        cursor: Any = None
        for _ in range(MOST_PAGES):
            more = {} if cursor is None else {"cursor": cursor}
            found.append(await self.call(tool, {**arguments, **more}))
            cursor = found[-1].content.get("next_cursor")
            if cursor is None:
                break
        return found


def _answer(content: Any, text: str) -> Answer:
    if content is None:
        return Answer("ok", {"text": text}, text)
    if not isinstance(content, Mapping):
        return Answer("ok", {"result": content}, text)
    return Answer("ok", cast(Mapping[str, Any], content), text)


def _refusal(content: Any, text: str) -> Answer:
    error: Any = cast(Mapping[str, Any], content).get("error") if isinstance(content, Mapping) else None
    if not isinstance(error, Mapping):
        return Answer("no_code", {}, text, wrong="an error without structuredContent.error")
    said = cast(Mapping[str, Any], error)
    code, retry = str(said.get("code", "")), str(said.get("retry", ""))
    wrong = ""
    if code not in CODES:
        wrong = "its code is not of the closed set"
    elif not text.startswith(f"ERROR code={code} retry={retry}"):
        wrong = f"its text does not begin with ERROR code={code} retry=..."
    elif retry not in ("no", "same-key", "verify") and not _after(retry):
        wrong = "retry is none of no, after:SECONDS, same-key, verify"
    return Answer(code, cast(Mapping[str, Any], content), text, wrong)


def _after(retry: str) -> bool:
    head, _, seconds = retry.partition(":")
    return head == "after" and seconds.isascii() and seconds.isdigit()


def _short(text: str) -> str:
    return text if len(text) <= 300 else text[:297] + "..."


def effect_of(tool: Tool) -> Mapping[str, Any]:
    """Return what the tool's manifest entry says; empty without one."""
    found: Any = (tool.meta or {}).get(EFFECT)
    return cast(Mapping[str, Any], found) if isinstance(found, Mapping) else {}
