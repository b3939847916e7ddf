"""The one place from which a call leaves for an integration, and how the gateway itself reads."""

import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

import anyio
import jsonschema_rs
from mcp import Client
from mcp.shared.dispatcher import ProgressFnT
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolRequest, CallToolRequestParams, CallToolResult, InputRequiredResult
from pydantic import TypeAdapter, ValidationError

from lockkeep.errors import IntegrationDown, LockkeepError
from lockkeep.model import Answer, Arguments, Claim, Json, Tool, Tools
from lockkeep.upstream import outcome
from lockkeep.upstream.connection import Connection
from lockkeep.upstream.supervisor import Supervisor

logger = logging.getLogger(__name__)
Progress = Callable[[float, float | None, str | None], Awaitable[None]]
Reply = CallToolResult | InputRequiredResult
_REPLY: TypeAdapter[Reply] = TypeAdapter(CallToolResult | InputRequiredResult)
_NO_REPLY = (
    MCPError,
    ValidationError,
    TimeoutError,
    OSError,
    anyio.ClosedResourceError,
    anyio.BrokenResourceError,
)


class ReadFailed(LockkeepError):
    """An integration could not be read."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Upstream:
    """Sends claimed calls, each once, and reads for the gateway."""

    def __init__(self, supervisor: Supervisor, tools: Callable[[], Tools]) -> None:
        self._supervisor = supervisor
        self._tools = tools
        self._validators: dict[str, jsonschema_rs.Validator] = {}  # by pin

    def closed(self, tool: Tool) -> str | None:
        """None while the live tool equals its pin, else why it is closed. Never connected yet: IntegrationDown."""
        return self._supervisor.closed(tool)

    async def send(
        self,
        claim: Claim,
        tool: Tool | None = None,
        progress: Progress | None = None,
        timeout: float | None = None,
    ) -> Answer:
        """How the send ended, as far as it is proven. Only a cancelled task raises; its claim stays open."""
        tool = tool or self._tools().get(claim.call.tool)
        if tool is None or tool.pin != claim.call.pin:
            return outcome.not_sent("The tool is not the one that was decided on. Nothing was sent.")
        try:
            if reason := self.closed(tool):
                return outcome.not_sent(f"{reason} Nothing was sent.")
            connection = self._supervisor.connection(tool.integration)
            client = connection.client()
        except IntegrationDown as down:
            return outcome.not_sent(str(down))
        answer = await self._ask(connection, client, tool, sent_arguments(tool, claim), progress, timeout)
        if answer.withheld:
            logger.error(
                "alarm: %s did happen (call %s), but its result breaks the pinned output schema",
                tool.name,
                claim.call.id,
            )
        return answer

    async def read(self, tool: Tool, arguments: Arguments, timeout: float | None = None) -> Json:
        """The structured content of a read, checked against the pin; ReadFailed with a short reason otherwise."""
        if not self._may_read(tool):
            raise ReadFailed(f"{tool.name} is no read.")
        try:
            if reason := self.closed(tool):
                raise ReadFailed(reason)
            connection = self._supervisor.connection(tool.integration)
            client = connection.client()
        except IntegrationDown as down:
            raise ReadFailed(str(down)) from None
        answer = await self._ask(connection, client, tool, arguments, None, timeout)
        if answer.state != "succeeded" or answer.result is None:
            raise ReadFailed(answer.reason or "no answer")
        if answer.withheld:
            raise ReadFailed(f"The result of {tool.name} breaks its pinned output schema.")
        if "structuredContent" not in answer.result:
            raise ReadFailed(f"{tool.name} answered without structured content.")
        return answer.result["structuredContent"]

    async def rehearse(self, tool: Tool, arguments: Arguments) -> Answer | None:
        """What a write would do, without doing it; None if the pinned tool has no `dry_run` of its own."""
        kind: Json = tool.input.get("properties", {}).get("dry_run")
        if not isinstance(kind, Mapping) or cast("Mapping[str, Json]", kind).get("type") != "boolean":
            return None
        try:
            if reason := self.closed(tool):
                return outcome.not_sent(reason)
            connection = self._supervisor.connection(tool.integration)
            client = connection.client()
        except IntegrationDown as down:
            return outcome.not_sent(str(down))
        key = idempotency_argument(tool)
        own = {key: f"rehearsal-{secrets.token_hex(10)}"} if key else {}  # some tools want one all the same
        asked = {**arguments, **own, "dry_run": True}
        return await self._ask(connection, client, tool, asked, None, None)

    async def _ask(
        self,
        connection: Connection,
        client: Client,
        tool: Tool,
        arguments: Arguments,
        progress: Progress | None,
        timeout: float | None,
    ) -> Answer:
        params = CallToolRequestParams(name=tool.server_name, arguments=dict(arguments))
        limit = timeout or connection.integration.timeout
        try:
            # The SDK's clock starts once the request is written; a full pipe may keep it from that.
            with anyio.fail_after(limit + 1):
                reply = await client.session.send_request(
                    CallToolRequest(params=params),
                    _REPLY,
                    request_read_timeout_seconds=limit,
                    progress_callback=_harmless(progress) if progress else None,
                )
        except _NO_REPLY as error:
            connection.failed(client, error)
            logger.warning("%s got no result (%s)", tool.name, type(error).__name__)
            return outcome.of_error(tool, error, self._supervisor.token)
        finally:
            connection.calls += 1
        return outcome.of_result(tool, reply, fits=self._fits(tool, reply))

    def _fits(self, tool: Tool, reply: Reply) -> bool:
        if tool.output is None or not isinstance(reply, CallToolResult) or reply.is_error:
            return True
        if (validator := self._validators.get(tool.pin)) is None:
            validator = jsonschema_rs.validator_for(dict(tool.output), offline=True)
            self._validators[tool.pin] = validator
        return "structured_content" in reply.model_fields_set and validator.is_valid(reply.structured_content)

    def _may_read(self, tool: Tool) -> bool:
        """Reads, what holds a queue, and the service tools that a manifest of the same integration verifies with."""
        return (
            tool.reads
            or bool(_entry(tool.effect, "queue"))
            or any(
                tool.server_name == _entry(other.effect, "verify").get("tool")
                for other in self._tools().values()
                if other.integration == tool.integration
            )
        )


def sent_arguments(tool: Tool, claim: Claim) -> dict[str, Any]:
    """What was claimed, never a dry run, with the call's id as idempotency key where the tool takes one."""
    arguments = {name: value for name, value in claim.arguments.items() if name != "dry_run"}
    if (key := idempotency_argument(tool)) is not None:
        arguments[key] = claim.call.id
    return arguments


def idempotency_argument(tool: Tool) -> str | None:
    """The argument that takes the call's id, if manifest and pinned schema agree on one."""
    key = _entry(tool.effect, "idempotency").get("arg")
    return key if key in tool.input.get("properties", {}) else None


def _entry(effect: Mapping[str, Json], name: str) -> Mapping[str, Json]:
    entry = effect.get(name)
    return cast("Mapping[str, Json]", entry) if isinstance(entry, Mapping) else {}


def _harmless(tell: Progress) -> ProgressFnT:
    """A caller that cannot take progress any more does not disturb the call, nor is its text logged."""

    async def report(progress: float, total: float | None, message: str | None) -> None:
        try:
            await tell(progress, total, message)
        except Exception as error:  # of whatever the surface does with it; it decides nothing here
            logger.debug("progress was not delivered (%s)", type(error).__name__)

    return report
