"""A command of yesterday, without any SDK: it speaks 2025-11-25 only, and dies or freezes when told to."""

import json
import os
import signal
import sys
from typing import Any

KIND = {"type": "object"}
TOOLS = [
    {"name": name, "inputSchema": KIND, "_meta": {"lockkeep/effect": {"class": risk}}}
    for name, risk in (("look", "read"), ("add", "write"))
]


def answer(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
    if method == "initialize":
        info = {"name": "bare", "version": "1"}
        return {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": info}
    if method == "tools/list":
        return {"tools": TOOLS}
    if method == "tools/call":
        do = params.get("arguments", {}).get("do")
        if do == "die":
            os._exit(3)
        if do == "freeze":
            os.kill(os.getpid(), signal.SIGSTOP)
        return {"content": [], "structuredContent": {"pid": os.getpid()}}
    return {} if method == "ping" else None


for line in sys.stdin:
    request = json.loads(line)
    if "id" not in request:
        continue
    reply: dict[str, Any] = {"jsonrpc": "2.0", "id": request["id"]}
    result = answer(request["method"], request.get("params", {}))
    reply |= {"result": result} if result is not None else {"error": {"code": -32601, "message": "unknown"}}
    print(json.dumps(reply), flush=True)
