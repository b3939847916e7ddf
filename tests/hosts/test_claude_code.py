"""Claude Code, driven headless by a scripted model, with the gateway as its only MCP server."""

import json
from pathlib import Path

import pytest

from .story import Stage, assert_governed, installed, played

pytestmark = pytest.mark.hosts
QUIET = {
    "ENABLE_TOOL_SEARCH": "false", "DISABLE_AUTOUPDATER": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "ANTHROPIC_API_KEY": "dummy",
}  # fmt: skip


async def test_claude_code_is_governed_from_the_first_tool_to_the_approved_call(tmp_path: Path) -> None:
    claude = installed("@anthropic-ai/claude-code-*/claude")

    def program(stage: Stage) -> list[str]:
        headers = {"Authorization": "Bearer ${LOCKKEEP_TOKEN}"}
        server = {"type": "http", "url": f"{stage.place.url}/mcp", "headers": headers}
        (stage.home / "mcp.json").write_text(
            json.dumps({"mcpServers": {"lockkeep": server}}), encoding="utf-8"
        )
        only_ours = ["--mcp-config", "mcp.json", "--strict-mcp-config", "--allowedTools", "mcp__lockkeep__*"]
        return [claude, "-p", "go", *only_ours, "--output-format", "stream-json", "--verbose"]

    def environ(stage: Stage) -> dict[str, str]:
        return {**QUIET, "ANTHROPIC_BASE_URL": stage.model.url, "CLAUDE_CONFIG_DIR": str(stage.home)}

    seen = await played(tmp_path, program, environ)

    assert_governed(
        seen, host="claude-code", denial="DENIED rule=leads/crm.upsert_lead/free-mail retry=changed"
    )
