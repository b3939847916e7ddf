"""What a tool server costs: its start beside the bare import of the SDK, and a read. `python -m tests.bench.servers`."""

import importlib
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import anyio
import yaml
from mcp_types import CallToolRequestParams

import lockkeep_servers
from lockkeep_servers.check.find import installed
from lockkeep_servers.kit.clock import system_clock
from lockkeep_servers.kit.manifest import read_manifest
from lockkeep_servers.kit.toolserver import Tool, Toolserver

SERVERS = Path(lockkeep_servers.__file__).parent
BARE = "import mcp.server.lowlevel, mcp.server.stdio"
TIMES = 3


def started(code: str) -> float:
    """Seconds of CPU until the code has run in a fresh process, the best of three."""
    program = f"import time\n{code}\nprint(time.process_time())"
    runs = [
        subprocess.run([sys.executable, "-c", program], capture_output=True, encoding="utf-8", check=True)
        for _ in range(TIMES)
    ]
    return min(float(run.stdout.split()[-1]) for run in runs)


async def read_ms(name: str, folder: str, calls: int) -> dict[str, float]:
    """Milliseconds of CPU a call, for each read that conformance.yaml shows, in the full world."""
    service: Any = importlib.import_module(f"lockkeep_servers.{name}.server").SERVICE
    prefix = f"LOCKKEEP_{name.upper()}_"
    environ = {f"{prefix}DATA": folder, f"{prefix}WORLD": "demo", f"{prefix}WORLD_SIZE": "full"}
    environ[f"{prefix}WORLD_DAY"] = "2027-03-01"
    settings = service.settings(environ)
    port = service.open(settings, system_clock)
    runs = service.tools(port, settings)
    manifest = read_manifest(
        SERVERS / name / "manifest.yaml", name, [run.__name__ for run in runs], some=bool(service.toolsets)
    )
    server: Any = Toolserver(name, [Tool.of(run) for run in runs], manifest)
    cases: Any = yaml.safe_load((SERVERS / name / "conformance.yaml").read_text(encoding="utf-8"))
    found: dict[str, float] = {}
    async with port.session():
        for case in cases["reads"]:
            params = CallToolRequestParams(name=case["tool"], arguments=case["with"])
            begin = time.process_time()
            for _ in range(calls):
                await server.call(None, params)
            found[case["tool"]] = (time.process_time() - begin) / calls * 1000
    return found


def main() -> None:
    calls = 20 if "--short" in sys.argv else 200
    bare = started(BARE)
    print(f"bare import of the SDK: {bare:.2f} s of CPU\n")
    print(f"{'server':<12} {'start above it':>14}   reads, ms of CPU each")
    for name in installed():
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as empty:
            build = f"from lockkeep_servers.{name}.server import build\nbuild({{'LOCKKEEP_{name.upper()}_DATA': {empty!r}}})"
            above = started(build) - bare
            reads = anyio.run(read_ms, name, folder, calls)
        print(f"{name:<12} {above:>12.2f} s   " + ", ".join(f"{tool} {ms:.2f}" for tool, ms in reads.items()))


if __name__ == "__main__":
    main()
