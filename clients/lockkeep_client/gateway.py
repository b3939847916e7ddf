"""The gateway, from a program: one call, one outcome."""

import json
import logging
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio

from lockkeep_client.answers import ASK, outcome_of
from lockkeep_client.credentials import Credentials, checked
from lockkeep_client.errors import BadRequest, GatewayUnreachable, NotLoggedIn
from lockkeep_client.exchange import Exchange, Frame, Lost, NotSent, Refused
from lockkeep_client.outcomes import Outcome, Pending, Unknown
from lockkeep_client.settings import endpoint, gateway_url
from lockkeep_client.wire import (
    ENVELOPE,
    MAX_FRAME,
    MODERN,
    NOT_UNDERSTOOD,
    items_of,
    modern_headers,
    record,
    text_of,
)

logger = logging.getLogger(__name__)
ANSWER_S = 30  # for what is answered at once: status, tools
WAIT_ROUND_S = 25  # the gateway holds one lockkeep_wait for 45 s at most
SLACK_S = 5  # for the answer to come, after a wait has ended there
MOST_PAGES = 100


@dataclass(frozen=True)
class Progress:
    """How far a call is, as the gateway tells it."""

    progress: float
    total: float | None
    message: str


@dataclass(frozen=True)
class Tool:
    """A tool the caller may use, under its exported name; `raw` is all the gateway says about it."""

    name: str
    description: str
    input_schema: Mapping[str, Any]
    raw: Mapping[str, Any]


OnProgress = Callable[[Progress], None]


class GatewayClient:
    """Calls governed tools over HTTP. Use it as `async with GatewayClient() as client`."""

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        workflow: str | None = None,
        timeout: float = 300,
    ) -> None:
        """Address and token come from the arguments, else LOCKKEEP_URL, LOCKKEEP_TOKEN and the token file."""
        found = Credentials.of_user(os.environ, Path.home())
        self._timeout = timeout
        self._ids = count(1)
        self._exchange = Exchange(
            endpoint(url or gateway_url(os.environ), workflow),
            found.token if token is None else lambda: checked(token),
        )

    async def __aenter__(self) -> Self:
        await self._exchange.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exchange.__aexit__(kind, error, trace)

    async def call(
        self,
        tool: str,
        args: Mapping[str, Any] | None = None,
        *,
        run: str | None = None,
        step: str | None = None,
        idempotency_key: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> Outcome:
        """How the call ended. It is sent once: a connection that breaks afterwards makes it `Unknown`."""
        keys = {"lockkeep/run": run, "lockkeep/step": step, "lockkeep/idempotency_key": idempotency_key}
        meta = {key: value for key, value in keys.items() if value is not None}
        try:
            return outcome_of(await self._call(tool, args or {}, meta, on_progress, self._timeout))
        except Lost as lost:
            return Unknown(next=ASK, text=f"The call was sent, and its answer was lost ({lost}).")

    async def wait(
        self, pending: Pending | str, timeout: float, *, on_progress: OnProgress | None = None
    ) -> Outcome:
        """How a parked call ended; still `Pending` when the time is over. Waiting changes nothing, so it is repeated."""
        approval = pending if isinstance(pending, str) else pending.approval_id
        deadline = anyio.current_time() + timeout
        while True:
            began = anyio.current_time()
            left = max(0.0, deadline - began)
            args = {"approval_id": approval, "max_wait_s": math.ceil(min(left, WAIT_ROUND_S))}
            try:
                outcome = outcome_of(
                    await self._read("lockkeep_wait", args, on_progress, min(left, WAIT_ROUND_S) + SLACK_S)
                )
            except GatewayUnreachable:
                if left <= 1:
                    raise
            else:
                if not isinstance(outcome, Pending) or anyio.current_time() >= deadline:
                    return outcome
            # A gateway that is down, or holds too many, answers at once: ask it once a second, no more.
            await anyio.sleep(
                min(1 - min(1.0, anyio.current_time() - began), max(0.0, deadline - anyio.current_time()))
            )

    async def status(self, id: str | None = None) -> dict[str, Any]:
        """What the gateway says is open for this caller, or about one call, approval or run of theirs."""
        result = await self._read("lockkeep_status", {} if id is None else {"id": id})
        said = record(result.get("structuredContent"))
        if result.get("isError") is True:
            raise BadRequest(text_of(said.get("reason")) or "The gateway does not take this id.")
        return said

    async def tools(self) -> list[Tool]:
        """The tools this caller may use at this address."""
        found: list[Tool] = []
        params: dict[str, Any] = {}
        for _ in range(MOST_PAGES):
            page = await self._ask("tools/list", params)
            found += [_tool(record(item)) for item in items_of(page.get("tools"))]
            cursor = page.get("nextCursor")
            if not isinstance(cursor, str) or params.get("cursor") == cursor:
                return found
            params = {"cursor": cursor}
        return found

    async def _call(
        self,
        tool: str,
        args: Mapping[str, Any],
        meta: Mapping[str, Any],
        on_progress: OnProgress | None,
        limit: float,
    ) -> dict[str, Any]:
        if not tool:
            raise BadRequest("A call needs the name of a tool, such as crm.assign_owner.")
        params = {"name": tool.replace(".", "_", 1), "arguments": dict(args), "_meta": dict(meta)}
        return await self._request("tools/call", params, on_progress, limit)

    async def _read(
        self,
        tool: str,
        args: Mapping[str, Any],
        on_progress: OnProgress | None = None,
        limit: float = ANSWER_S,
    ) -> dict[str, Any]:
        """The answer of a tool that only reads, so a lost answer decided nothing."""
        try:
            return await self._call(tool, args, {}, on_progress, limit)
        except Lost as lost:
            raise GatewayUnreachable(_lost(self._exchange.url, lost)) from None

    async def _ask(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return await self._request(method, params, None, ANSWER_S)
        except Lost as lost:
            raise GatewayUnreachable(_lost(self._exchange.url, lost)) from None

    async def _request(
        self, method: str, params: Mapping[str, Any], on_progress: OnProgress | None, limit: float
    ) -> dict[str, Any]:
        """The result of one request, sent once; `Lost` where it was sent and no result came back."""
        id = next(self._ids)
        meta = {**record(params.get("_meta")), **ENVELOPE}
        if on_progress is not None:
            meta["progressToken"] = id
        frame = {"jsonrpc": "2.0", "id": id, "method": method, "params": {**params, "_meta": meta}}
        body = _encoded(frame)
        answers: list[dict[str, Any]] = []

        async def take(came: Frame) -> None:
            if came.is_answer:
                answers.append(came.message)
            elif on_progress is not None and came.message.get("method") == "notifications/progress":
                _tell(on_progress, record(came.message.get("params")))

        try:
            with anyio.fail_after(limit):
                await self._exchange.post(body, modern_headers(frame, MODERN), take)
        except NotSent as error:
            raise GatewayUnreachable(f"No connection to {self._exchange.url} ({error}). {REMEDY}") from None
        except Refused as refusal:
            raise _nothing_decided(refusal, self._exchange.url) from None
        except TimeoutError:
            raise Lost(f"no answer within {limit:g} s") from None
        return _result(answers)


REMEDY = "Check LOCKKEEP_URL, and run `lockkeep-client doctor`."


def _result(answers: list[dict[str, Any]]) -> dict[str, Any]:
    answer = answers[0] if answers else {}
    error = record(answer.get("error"))
    if error.get("code") in NOT_UNDERSTOOD:
        raise BadRequest(f"The gateway does not take this request: {text_of(error.get('message'))}")
    if not isinstance(answer.get("result"), dict):
        raise Lost(f"a protocol error, {error.get('code')}" if error else "an answer without a result")
    return record(answer["result"])


def _nothing_decided(refusal: Refused, url: str) -> NotLoggedIn | BadRequest | GatewayUnreachable:
    """The exception that names what a refusal before any decision means."""
    match refusal.status:
        case 401 | 403:
            return NotLoggedIn(f"{url} does not accept this token. Run `lockkeep-client token set`.")
        case 413:
            return BadRequest("The request is larger than the gateway takes (4 MiB).")
        case 404:
            return BadRequest(f"There is no gateway, or no such workflow, at {url}. {REMEDY}")
        case 429:
            return GatewayUnreachable("The gateway has too much to do. Nothing was sent; try again later.")
        case status:
            return GatewayUnreachable(f"{url} answers HTTP {status}. {REMEDY}")


def _encoded(frame: Mapping[str, Any]) -> bytes:
    try:
        body = json.dumps(frame, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        raise BadRequest(f"The arguments cannot be written as JSON ({type(error).__name__}).") from None
    if len(body) > MAX_FRAME:
        raise BadRequest("The request is larger than the gateway takes (4 MiB).")
    return body


def _tell(on_progress: OnProgress, params: Mapping[str, Any]) -> None:
    done, total = params.get("progress"), params.get("total")
    told = Progress(
        progress=float(done) if isinstance(done, int | float) else 0.0,
        total=float(total) if isinstance(total, int | float) else None,
        message=text_of(params.get("message")),
    )
    try:
        on_progress(told)
    except Exception as error:  # the outcome of a call is worth more than the display of its progress
        logger.warning("a progress callback failed: %s", type(error).__name__)


def _tool(raw: dict[str, Any]) -> Tool:
    return Tool(
        text_of(raw.get("name")), text_of(raw.get("description")), record(raw.get("inputSchema")), raw
    )


def _lost(url: str, lost: Lost) -> str:
    return f"{url} did not answer ({lost}). {REMEDY}"
