"""How a send ended. `failed` means proven not applied; a write in doubt is `unknown`, a read in doubt just failed."""

from collections.abc import Mapping
from typing import cast

from mcp.shared.exceptions import MCPError
from mcp_types import CONNECTION_CLOSED, REQUEST_TIMEOUT, CallToolResult, InputRequiredResult

from lockkeep.model import Answer, Json, Tool
from lockkeep.upstream import soft

_IN_DOUBT = frozenset(
    {"in_progress", "unknown_outcome"}
)  # all other codes of an atomic tool mean: not applied


def not_sent(reason: str) -> Answer:
    """Nothing left this machine."""
    return Answer(state="failed", reason=reason)


def in_doubt(tool: Tool, reason: str, result: Mapping[str, Json] | None = None) -> Answer:
    """It may have happened: unknown for a write, failed for a read."""
    return Answer(state="failed" if tool.reads else "unknown", reason=reason, result=result)


def of_error(tool: Tool, error: Exception, token: str) -> Answer:
    """The outcome of a request that got no result. No reason quotes the server: its texts hold payloads."""
    if isinstance(error, TimeoutError):
        return in_doubt(tool, "No answer came in time.")
    if not isinstance(error, MCPError):
        return in_doubt(tool, "The answer is malformed.")
    sent = soft.sent(error, token)
    if sent is False:
        return not_sent("The integration could not be reached. Nothing was sent.")
    if sent or error.code == CONNECTION_CLOSED:
        return in_doubt(tool, "The connection was lost before an answer came.")
    if error.code == REQUEST_TIMEOUT:
        return in_doubt(tool, "No answer came in time.")
    return in_doubt(tool, f"The server answered with protocol error {error.code}.")


def of_result(tool: Tool, result: CallToolResult | InputRequiredResult, *, fits: bool) -> Answer:
    """The outcome of a request that got a result; `fits` tells whether it keeps to the pinned output schema."""
    atomic = tool.effect.get("errors") == "atomic"
    if result.result_type == "input_required":
        # A result may look like both shapes; the tag decides, not which class took it.
        reason = "The server asks a question back. Questions of servers are not forwarded."
        return not_applied(reason) if atomic else in_doubt(tool, reason)
    if isinstance(result, InputRequiredResult) or result.result_type != "complete":
        return in_doubt(tool, "The answer is of a kind that is not known here.")
    as_json = result.model_dump(by_alias=True, mode="json", exclude_none=True)
    if not result.is_error:
        return Answer(state="succeeded", result=as_json, withheld=not fits)
    code = _error_code(result)
    if atomic and code is not None and code not in _IN_DOUBT:
        return not_applied(f"The server refused: {code}.", as_json)
    return in_doubt(tool, "The server reports an error; whether anything happened, it does not say.", as_json)


def not_applied(reason: str, result: Mapping[str, Json] | None = None) -> Answer:
    """The server promises that nothing was applied."""
    return Answer(state="failed", reason=reason, result=result)


def _error_code(result: CallToolResult) -> str | None:
    content: object = result.structured_content
    error = cast("dict[str, object]", content).get("error") if isinstance(content, dict) else None
    code = cast("dict[str, object]", error).get("code") if isinstance(error, dict) else None
    return code if isinstance(code, str) else None
