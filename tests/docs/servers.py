"""What the code says that each server's README and server.json say: `python -m tests.docs.servers --write`."""

import json
import re
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import anyio
from mcp import Client
from mcp_types import Tool
from tests.docs.pages import ROOT
from tests.docs.reference import with_made_part

SERVERS = ROOT / "servers" / "lockkeep_servers"
SCHEMA = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"
HEAD = "| tool | arguments (`*` required) | class | hints | undo |\n|-|-|-|-|-|"
COMMON = ("idempotency_key", "dry_run")
SETTING = re.compile(r"^\| (`LOCKKEEP_[^|]*`) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
HINTS = (
    ("read_only_hint", "read-only"),
    ("destructive_hint", "destructive"),
    ("idempotent_hint", "idempotent"),
    ("open_world_hint", "open world"),
)


def names() -> list[str]:
    return sorted(path.parent.name for path in SERVERS.glob("*/manifest.yaml"))


def tools_of(name: str, folder: Path) -> list[Tool]:
    """What the server lists with every toolset on."""
    from importlib import import_module

    service = import_module(f"lockkeep_servers.{name}.server").SERVICE
    prefix = f"LOCKKEEP_{name.upper()}_"
    environ = {prefix + "DATA": str(folder)}
    if toolsets := service.options.get("TOOLSETS"):
        environ[prefix + "TOOLSETS"] = ",".join(toolsets)

    async def listed() -> list[Tool]:
        async with Client(service.build(environ)) as client:
            return (await client.list_tools()).tools

    return anyio.run(listed)


def table(name: str, folder: Path) -> str:
    """The made part of a README."""
    return "\n".join([HEAD, *(_row(tool) for tool in tools_of(name, folder))]) + "\n"


def _row(tool: Tool) -> str:
    effect: dict[str, Any] = (tool.meta or {})["lockkeep/effect"]
    schema = tool.input_schema
    required = schema.get("required", [])
    arguments = [f"{arg}*" if arg in required else arg for arg in schema["properties"] if arg not in COMMON]
    arguments += [f"{arg}*" for arg in COMMON if arg in required]
    hints = [word for name, word in HINTS if getattr(tool.annotations, name)]
    undo: Any = effect.get("undo", "")
    said = str(undo if isinstance(undo, str) else undo["restores"])
    service = "" if effect.get("export", True) else " (service)"
    cells = (f"`{tool.name}`{service}", ", ".join(arguments), effect["class"], ", ".join(hints), said)
    return "| " + " | ".join(cells) + " |"


def registry(name: str, readme: str) -> dict[str, Any]:
    """The server.json: one PyPI package, started as `lockkeep server NAME`; its variables are the README's settings."""
    release = version("lockkeep")
    first = readme.partition("\n\n")[2].partition(". ")[0].rstrip(".").replace("\n", " ")
    variables = [
        {"name": each, "description": re.sub(r"[`*]", "", meaning).strip(), "isSecret": _secret(each)}
        for cell, meaning, _ in SETTING.findall(readme)
        for each in _variables(cell)
    ]
    package = {
        "registryType": "pypi",
        "identifier": "lockkeep",
        "version": release,
        "runtimeHint": "uvx",
        "transport": {"type": "stdio"},
        "packageArguments": [{"type": "positional", "value": word} for word in ("server", name)],
        "environmentVariables": variables,
    }
    return {
        "$schema": SCHEMA,
        "name": f"io.github.lockkeep/{name}",
        "title": f"Lockkeep {name}",
        "description": first[:100],
        "version": release,
        "packages": [package],
    }


def _variables(cell: str) -> list[str]:
    """`LOCKKEEP_X_A` `_B` names LOCKKEEP_X_A and LOCKKEEP_X_B."""
    found = re.findall(r"`([A-Z_]+)`", cell)
    prefix = "_".join(found[0].split("_")[:2])
    return [each if each.startswith("LOCKKEEP_") else prefix + each for each in found]


def _secret(variable: str) -> bool:
    return variable.endswith(("_KEY", "_PASSWORD", "_TOKEN", "_SECRET"))


def files(name: str, folder: Path) -> dict[Path, str]:
    """Each file with what should stand in it."""
    readme = SERVERS / name / "README.md"
    text = readme.read_text(encoding="utf-8")
    made = json.dumps(registry(name, text), indent=2, ensure_ascii=False) + "\n"
    return {readme: with_made_part(text, table(name, folder)), SERVERS / name / "server.json": made}


def main() -> None:
    import tempfile

    for name in names():
        with tempfile.TemporaryDirectory() as folder:
            for path, text in files(name, Path(folder)).items():
                old = path.read_text(encoding="utf-8") if path.exists() else ""
                print(f"{path.relative_to(ROOT)}: {'is up to date' if old == text else 'written'}")
                path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: python -m tests.docs.servers --write")
    main()
