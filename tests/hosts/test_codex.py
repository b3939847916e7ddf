"""Codex CLI, driven headless by a scripted model, with the gateway as its only MCP server."""

from pathlib import Path

import pytest

from .story import Stage, assert_governed, installed, played

pytestmark = pytest.mark.hosts
CONFIG = """\
model = "scripted"
model_provider = "scripted"
approval_policy = "never"

[model_providers.scripted]
name = "scripted"
base_url = "{model}/v1"
env_key = "SCRIPTED_KEY"
wire_api = "responses"

[mcp_servers.lockkeep]
url = "{gateway}/mcp"
bearer_token_env_var = "LOCKKEEP_TOKEN"
default_tools_approval_mode = "approve"
"""


async def test_codex_is_governed_from_the_first_tool_to_the_approved_call(tmp_path: Path) -> None:
    codex = installed("@openai/codex-*/vendor/*/bin/codex")

    def program(stage: Stage) -> list[str]:
        config = CONFIG.format(model=stage.model.url, gateway=stage.place.url)
        (stage.home / "config.toml").write_text(config, encoding="utf-8")
        return [codex, "exec", "--skip-git-repo-check", "--json", "go"]

    def environ(stage: Stage) -> dict[str, str]:
        return {"CODEX_HOME": str(stage.home), "SCRIPTED_KEY": "dummy"}

    seen = await played(tmp_path, program, environ)

    # Codex shows its model the structured half alone, and that one is complete, too.
    assert_governed(seen, host="codex-mcp-client", denial='"rule":"leads/crm.upsert_lead/free-mail"')
