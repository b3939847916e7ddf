"""The tool server of a drill: notes with versions, receipts, and a way back. It numbers what arrives."""

import json
import sqlite3
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from mcp.server import Server
from mcp_types import CallToolRequestParams, CallToolResult, ListToolsResult, TextContent, Tool

from lockkeep.model import Json

NAME = "sandbox"
WORK = 0.003  # seconds that a write takes: so that some are on the wire at any moment
SCHEMA = """
CREATE TABLE IF NOT EXISTS arrivals (number INTEGER PRIMARY KEY, key TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS notes (id TEXT PRIMARY KEY, text TEXT NOT NULL, version INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS receipts (key TEXT PRIMARY KEY, state TEXT NOT NULL);
"""
TEXT = {"type": "string", "maxLength": 200}
VERIFY = {
    "tool": "get_receipt",
    "with": {"idempotency_key": "=args.idempotency_key", "fence": True},
    "applied": "result.state == 'committed'",
    "not_applied": "result.state == 'cancelled'",
}
BACK = {
    "tool": "write",
    "with": {"id": "=args.id", "text": "=before.text", "expected_version": "=result.version"},
}
WRITE = {
    "class": "write", "subject": "args.id", "errors": "atomic", "verify": VERIFY, "before": "result.before",
    "version": {"arg": "expected_version"}, "idempotency": {"arg": "idempotency_key"}, "hidden": ["idempotency_key"],
    "undo": {"restores": "exact", "cases": [BACK]},
}  # fmt: skip


def _tool(name: str, effect: Mapping[str, Json], required: list[str], **takes: Json) -> Tool:
    schema = {"type": "object", "properties": takes, "required": required, "additionalProperties": False}
    return Tool(
        name=name, description=f"{name} of the sandbox", input_schema=schema, output_schema={"type": "object"},
        _meta={"lockkeep/effect": dict(effect)},
    )  # fmt: skip


CHANGE = {"id": TEXT, "text": TEXT, "expected_version": TEXT, "idempotency_key": TEXT}
TOOLS = [
    _tool("read", {"class": "read"}, ["id"], id=TEXT),
    _tool("write", WRITE, ["id", "text"], **CHANGE),
    _tool("sign", WRITE, ["id", "text"], **CHANGE),  # the same, and people are asked first
    _tool("get_receipt", {"class": "read", "export": False}, ["idempotency_key"], idempotency_key=TEXT, fence={"type": "boolean"}),
]  # fmt: skip


class Refused(Exception):
    """What the sandbox says no to; nothing was applied."""


@dataclass(frozen=True)
class Sandbox:
    """The notes of one folder, for the server and for whoever looks what it did."""

    folder: Path

    @property
    def file(self) -> Path:
        return self.folder / f"{NAME}.sqlite"

    @contextmanager
    def opened(self) -> Generator[sqlite3.Connection]:
        self.folder.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(self.file, timeout=5, isolation_level=None)
        try:
            db.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; {SCHEMA}")
            yield db
        finally:
            db.close()

    def arrived(self) -> list[tuple[int, str]]:
        """What arrived, in this order: number and key, which is the call's id."""
        with self.opened() as db:
            return db.execute("SELECT number, key FROM arrivals ORDER BY number").fetchall()

    def effects(self) -> dict[str, str]:
        """Key -> what became of it."""
        with self.opened() as db:
            return dict(db.execute("SELECT key, state FROM receipts"))

    def notes(self) -> dict[str, str]:
        with self.opened() as db:
            return dict(db.execute("SELECT id, text FROM notes"))

    def changed_by_somebody(self, note: str, text: str) -> None:
        """Not through the gateway."""
        with self.opened() as db:
            db.execute("UPDATE notes SET text = ?, version = version + 1 WHERE id = ?", (text, note))

    def build(self, _: Mapping[str, str]) -> Server[Any]:
        """The server over these notes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(self.file, timeout=5, isolation_level=None)
        db.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; {SCHEMA}")

        async def list_tools(_ctx: Any, _params: Any) -> ListToolsResult:
            return ListToolsResult(tools=TOOLS)

        async def call_tool(_ctx: Any, params: CallToolRequestParams) -> CallToolResult:
            try:
                return _said(await _done(db, params.name, params.arguments or {}))
            except Refused as no:
                return _said({"error": {"code": str(no), "message": str(no), "retry": "no"}}, error=True)

        schemas = {tool.name: tool.input_schema for tool in TOOLS}
        return Server(
            NAME,
            version="1",
            on_list_tools=list_tools,
            on_call_tool=call_tool,
            get_tool_input_schema=schemas.get,
        )

    def servers(self) -> Callable[[str], Callable[[Mapping[str, str]], Server[Any]]]:
        """For a gateway that asks for its in-process servers by name."""
        return lambda _: self.build


async def _done(db: sqlite3.Connection, name: str, arguments: Mapping[str, Json]) -> dict[str, Json]:
    if name == "read":
        row = db.execute("SELECT text, version FROM notes WHERE id = ?", (arguments["id"],)).fetchone()
        return {"id": arguments["id"], "text": row[0] if row else "", "version": str(row[1] if row else 0)}
    key = str(arguments.get("idempotency_key", ""))
    if name == "get_receipt":
        if arguments.get("fence"):
            db.execute("INSERT OR IGNORE INTO receipts VALUES (?, 'cancelled')", (key,))
        row = db.execute("SELECT state FROM receipts WHERE key = ?", (key,)).fetchone()
        return {"state": row[0] if row else "absent"}
    db.execute("INSERT INTO arrivals (key) VALUES (?)", (key,))
    await anyio.sleep(WORK)
    return _write(db, key, arguments)


def _write(db: sqlite3.Connection, key: str, arguments: Mapping[str, Json]) -> dict[str, Json]:
    """Once per key, and only over the version that is expected."""
    if db.execute("SELECT 1 FROM receipts WHERE key = ?", (key,)).fetchone():
        raise Refused("replayed")
    note, text = str(arguments["id"]), str(arguments["text"])
    row = db.execute("SELECT text, version FROM notes WHERE id = ?", (note,)).fetchone() or ("", 0)
    if arguments.get("expected_version") not in (None, str(row[1])):
        raise Refused("conflict")
    db.execute("BEGIN")
    db.execute("INSERT INTO receipts VALUES (?, 'committed')", (key,))
    db.execute("INSERT OR REPLACE INTO notes VALUES (?, ?, ?)", (note, text, row[1] + 1))
    db.execute("COMMIT")
    return {
        "applied": True, "id": note, "version": str(row[1] + 1), "before": {"text": row[0]}, "after": {"text": text}
    }  # fmt: skip


def _said(content: Mapping[str, Json], *, error: bool = False) -> CallToolResult:
    return CallToolResult(
        content=[TextContent(text=json.dumps(content))], structured_content=dict(content), is_error=error
    )
