"""Each tool server alone, as people connect it: from the MCP Inspector's command line, and in Claude Code."""

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import pytest

from wire.conformance.node import node

from . import alone
from .scripted_llm import Call, scripted
from .story import HOSTS, LAST_WORDS, LIMIT, always, ended, installed
from .test_claude_code import QUIET

pytestmark = pytest.mark.hosts
BIN = Path(sys.executable).parent
INSPECTOR = HOSTS / "@modelcontextprotocol/inspector/clients/launcher/build/index.js"
# One read of each that works in the small world, what its answer holds, and one read that is refused.
READS: dict[str, tuple[str, dict[str, Any], str]] = {
    "crm": ("get", {"kind": "lead", "id": "led_1"}, '"led_1"'),
    "ticketing": ("get", {"id": "tkt_1"}, '"tkt_1"'),
    "calendar": ("get_event", {"calendar": "rep_1", "event_id": "evt_1001"}, '"title"'),
    "carrier": ("get", {"shipment_id": "shp_1"}, '"shp_1"'),
    "commerce": ("get_order", {"order_id": "ord_1"}, '"ord_1"'),
    "billing": ("get_payment", {"payment_id": "pay_1"}, '"pay_1"'),
    "notify": ("preview", {"template_id": "welcome", "vars": {}}, '"subject"'),
}
REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "crm": ("get", {"kind": "lead", "id": "led_nobody"}),
    "ticketing": ("get", {"id": "tkt_nobody"}),
    "calendar": ("get_event", {"calendar": "rep_1", "event_id": "evt_nobody"}),
    "carrier": ("get", {"shipment_id": "shp_nobody"}),
    "commerce": ("get_order", {"order_id": "ord_nobody"}),
    "billing": ("get_payment", {"payment_id": "pay_nobody"}),
    "notify": ("status", {"message_id": "msg_nobody"}),
}


def settings(server: str, folder: Path) -> dict[str, str]:
    prefix = f"LOCKKEEP_{server.upper()}_"
    return {f"{prefix}DATA": str(folder / server), f"{prefix}WORLD": "demo", f"{prefix}WORLD_SIZE": "small"}


def inspected(server: str, folder: Path, *words: str) -> Any:
    """What the Inspector prints, as JSON."""
    given = [part for key, value in settings(server, folder).items() for part in ("-e", f"{key}={value}")]
    command = [str(node()), str(INSPECTOR), "--cli", *given, str(BIN / f"lockkeep-{server}"), *words]
    done = subprocess.run(
        command, capture_output=True, encoding="utf-8", cwd=folder, timeout=60, check=False,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder)},
    )  # fmt: skip
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def pairs(arguments: dict[str, Any]) -> list[str]:
    return [
        part
        for name, value in arguments.items()
        for part in ("--tool-arg", f"{name}={value if isinstance(value, str) else json.dumps(value)}")
    ]


@pytest.mark.parametrize("server", READS)
def test_the_inspector_lists_and_runs_the_tools(server: str, tmp_path: Path) -> None:
    installed("@modelcontextprotocol/inspector/clients/launcher/build/index.js")
    tool, arguments, words = READS[server]
    wrong, unknown = REFUSED[server]

    listed = inspected(server, tmp_path, "--method", "tools/list")
    read = inspected(server, tmp_path, "--method", "tools/call", "--tool-name", tool, *pairs(arguments))
    refused = inspected(server, tmp_path, "--method", "tools/call", "--tool-name", wrong, *pairs(unknown))

    assert tool in {each["name"] for each in listed["tools"]}
    assert words in json.dumps(read["structuredContent"])
    assert refused["isError"]
    assert refused["structuredContent"]["error"]["code"] == "not_found"


async def test_claude_code_uses_all_seven(tmp_path: Path) -> None:
    claude = installed("@anthropic-ai/claude-code-*/claude")
    home = tmp_path / "home"
    home.mkdir()
    servers = {
        name: {"command": str(BIN / f"lockkeep-{name}"), "env": settings(name, tmp_path)} for name in READS
    }
    (home / "mcp.json").write_text(json.dumps({"mcpServers": servers}), encoding="utf-8")
    asked = [*((name, *READS[name][:2]) for name in READS), ("crm", *REFUSED["crm"])]
    script = [Call(f"{name}__{tool}", always(**arguments)) for name, tool, arguments in asked]
    program = [
        claude, "-p", "go", "--mcp-config", "mcp.json", "--strict-mcp-config", "--allowedTools",
        *(f"mcp__{name}__*" for name in READS), "--output-format", "stream-json", "--verbose",
    ]  # fmt: skip
    async with scripted([*script, LAST_WORDS]) as model:
        env = {
            "HOME": str(home), "PATH": "/usr/bin:/bin", **QUIET, "ANTHROPIC_BASE_URL": model.url,
            "CLAUDE_CONFIG_DIR": str(home), "MCP_TIMEOUT": "60000",
        }  # fmt: skip
        with TemporaryDirectory(prefix="doors-") as doors, anyio.fail_after(2 * LIMIT):
            async with alone.doors(Path(doors), [model.port]):
                command = alone.command(Path(doors), [model.port], program)
                code = await ended(command, home, env, tmp_path / "host.log")

    said = (tmp_path / "host.log").read_text(encoding="utf-8")
    assert code == 0, said[-4000:]
    assert LAST_WORDS in said
    for shown, name in zip(model.shown, READS, strict=False):
        assert READS[name][2] in shown, (name, shown[:500])
    assert "code=not_found" in model.shown[len(READS)] or '"not_found"' in model.shown[len(READS)]
