"""The MCP server hosts connect to: one URL, both protocol eras, every call through the pipeline."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mcp.server import Server, ServerRequestContext
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.caching import CacheHint
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
)

from lockkeep.errors import LockkeepError
from lockkeep.ledger import Ledger
from lockkeep.model import Deny, Json, Outcome, Pending, Request, Unknown, is_object
from lockkeep.policy.bundle import PolicySet
from lockkeep.surface import offers
from lockkeep.surface.answers import answer, denied, plain
from lockkeep.surface.hold import Holds, Tell
from lockkeep.surface.status import NOT_YOURS, Own
from lockkeep.upstream import Progress

logger = logging.getLogger(__name__)
Context = ServerRequestContext[Any]
INSTRUCTIONS = (
    "Every tool here is governed. DENIED answers say why and what to do instead; do not work around them. "
    "pending_approval means people must agree: use lockkeep_wait, or go on with other work."
)
META = {"run": "lockkeep/run", "step": "lockkeep/step", "key": "lockkeep/idempotency_key"}
LONGEST_META = 400
TTL_MS = 30_000
GATEWAY_FAILED = Deny(
    "gateway_failed", "The gateway could not answer. Nothing was sent.", "Try again.", "later"
)


@dataclass(frozen=True, kw_only=True)
class Surface:
    """What the handlers need, bound once in app.py."""

    run: Callable[[Request, Progress], Awaitable[Outcome]]
    shown: Callable[[Outcome], Awaitable[Outcome]]  # what result rules let callers see
    rules: Callable[[], PolicySet | None]
    ledger: Ledger
    holds: Holds
    clock: Callable[[], datetime]
    new_id: Callable[[str], str]
    url: str
    hold_s: float
    bus: InMemorySubscriptionBus

    def server(self, version: str) -> Server[Any]:
        return Server(
            "lockkeep",
            version=version,
            instructions=INSTRUCTIONS,
            on_list_tools=self.list_tools,
            on_call_tool=self.call_tool,
            on_subscriptions_listen=ListenHandler(self.bus),
            get_tool_input_schema=self.schema,
            cache_hints={"tools/list": CacheHint(ttl_ms=TTL_MS, scope="private")},
        )

    def schema(self, name: str) -> Mapping[str, Json] | None:
        """The union catalog's schema; else the SDK would list all tools before every call."""
        own = {each.name: each.input_schema for each in (offers.WAIT, offers.STATUS)}
        if name in own:
            return own[name]
        rules = self.rules()
        tool = rules.exported.get(name) if rules else None
        return rules.schemas[tool.name] if rules and tool else None

    async def list_tools(self, _: Context, __: PaginatedRequestParams | None) -> ListToolsResult:
        """What this caller may use, in a stable order. The call itself is the check."""
        user, agent = _caller()
        rules = self.rules()
        tools = [offers.STATUS, offers.WAIT]
        if rules is not None:
            tools += [
                offers.offer(tool, rules.schemas[tool.name], rules.rules_of(tool.name))
                for tool in rules.offered(user=user, agent=agent)
            ]
        return ListToolsResult(tools=sorted(tools, key=lambda tool: tool.name))

    async def call_tool(self, context: Context, params: CallToolRequestParams) -> CallToolResult:
        """Never raises: an exception's text would reach the caller on the older revisions."""
        try:
            if params.name == offers.STATUS.name:
                return await self._status(params.arguments or {})
            if params.name == offers.WAIT.name:
                return await self._wait(context, params.arguments or {})
            return await self._call(context, params)
        except Exception:
            logger.exception("a request could not be answered")
            return denied(GATEWAY_FAILED)

    async def _call(self, context: Context, params: CallToolRequestParams) -> CallToolResult:
        user, agent = _caller()
        meta = {name: _meta(context, key) for name, key in META.items()}
        request = Request(
            id=self.new_id("call"),
            tool=params.name,
            arguments=params.arguments or {},
            user=user,
            agent=agent,
            host=_host(context),
            at=self.clock(),
            **meta,
        )
        outcome = await self.run(request, context.session.report_progress)
        try:
            if isinstance(outcome, Pending | Unknown):
                caller = f"{user}/{agent}"
                outcome = await self.holds.hold(
                    outcome, caller=caller, limit=self.hold_s, tell=_teller(context)
                )
            return answer(await self.shown(outcome), self.url)
        except Exception:  # it may have been sent: "nothing was sent" would be a lie from here on
            logger.exception("call %s has an outcome that could not be told", request.id)
            return answer(Unknown(call=outcome.call or request.id), self.url)

    async def _status(self, arguments: Mapping[str, Json]) -> CallToolResult:
        """Answered also while a switch is thrown, since it explains the switch."""
        own = self._own()
        if arguments.keys() - {"id"} or not isinstance(arguments.get("id", ""), str):
            return denied(_bad("lockkeep_status takes nothing, or the id of a call or approval."))
        name = arguments.get("id")
        return plain(await own.one(name, self.shown) if name else own.overview())

    async def _wait(self, context: Context, arguments: Mapping[str, Json]) -> CallToolResult:
        """The original tool's result once it was executed."""
        own = self._own()
        approval, limit = arguments.get("approval_id"), arguments.get("max_wait_s", self.hold_s)
        wrong = arguments.keys() - {"approval_id", "max_wait_s"} or isinstance(limit, bool)
        if (
            wrong
            or not isinstance(approval, str)
            or not isinstance(limit, int | float)
            or not 0 <= limit <= 45
        ):
            return denied(_bad("lockkeep_wait takes approval_id, and max_wait_s from 0 to 45."))
        row = own.call_of(approval)
        outcome = self.ledger.outcome(row["id"]) if row else None
        if outcome is None:
            return plain(NOT_YOURS)
        caller = f"{own.user}/{own.agent}"
        outcome = await self.holds.hold(outcome, caller=caller, limit=float(limit), tell=_teller(context))
        return answer(await self.shown(outcome), self.url)

    def _own(self) -> Own:
        user, agent = _caller()
        return Own(self.ledger, user, agent, self.url)


def _caller() -> tuple[str, str]:
    token = get_access_token()
    if token is None or token.subject is None:
        raise NoCaller
    return token.subject, token.client_id


class NoCaller(LockkeepError):
    """A request came through without a token. The MCP route must require one."""


def _bad(reason: str) -> Deny:
    return Deny("arguments.invalid", reason, "Correct the arguments and call again.", "changed")


def _meta(context: Context, key: str) -> str | None:
    value = (context.meta or {}).get(key)
    return str(value)[:LONGEST_META] if isinstance(value, str | int) else None


def _host(context: Context) -> str:
    """What the host says it is: for the record only, never for rights."""
    meta: Mapping[str, Any] = context.meta or {}
    info: Json = meta.get("io.modelcontextprotocol/clientInfo")
    name: object = info.get("name") if is_object(info) else None
    if name is None and context.request is not None:
        name = context.request.headers.get("user-agent")
    return "".join(char for char in str(name or "unknown") if char.isprintable())[:100]


def _teller(context: Context) -> Tell:
    async def tell(done: float, limit: float) -> None:
        await context.session.report_progress(done, limit, "Waiting for people to decide.")

    return tell
