"""CPU and latency of a governed call beside a direct one, in the same run: `make bench`. Prints; never fails on time.

The gateway and the tool server run in processes of their own, so that their CPU can be told apart from the caller's.
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import anyio
import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolRequest, CallToolRequestParams, CallToolResult

ROOT = Path(__file__).parents[2]
TICK = os.sysconf("SC_CLK_TCK")
POLICY = """\
api: lockkeep/v1
policy: bench
owner: admins
applies_to: {everywhere: true}
tools:
  echo.read: {allow: anyone}
  echo.write: {allow: anyone}
"""


@dataclass(frozen=True)
class Figures:
    """One row: seconds per call as seen by the caller, CPU seconds per call in the serving process."""

    name: str
    callers: int
    calls: int
    seconds: float
    p50: float
    cpu: float

    def line(self, direct: "Figures | None") -> str:
        ratio = f"{self.p50 / direct.p50:5.1f} x" if direct else "      -"
        return (
            f"{self.name:<28}{self.callers:>8}{self.calls / self.seconds:>12,.0f}{self.p50 * 1000:>11.2f}{ratio:>10}"
            f"{self.cpu * 1000:>14.2f}"
        )


def cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


async def measure(
    name: str, url: str, token: str, tool: str, pid: int, *, callers: int, calls: int
) -> Figures:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    taken: list[float] = []
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60, trust_env=False) as http,
        Client(streamable_http_client(url, http_client=http), mode="2026-07-28") as client,
    ):
        await client.list_tools()
        await _many(client, tool, "warm", 20, [], 1)
        before, start = cpu_of(pid), time.perf_counter()
        await _many(client, tool, f"{name}-{callers}", calls, taken, callers)
        seconds, cpu = time.perf_counter() - start, cpu_of(pid) - before
    return Figures(name, callers, len(taken), seconds, statistics.median(taken), cpu / len(taken))


async def _many(client: Client, tool: str, label: str, calls: int, taken: list[float], callers: int) -> None:
    async def one(worker: int) -> None:
        for number in range(calls // callers):
            start = time.perf_counter()
            params = CallToolRequestParams(name=tool, arguments={"text": f"{label}-{worker}-{number}"})
            result = await client.session.send_request(CallToolRequest(params=params), CallToolResult)
            taken.append(time.perf_counter() - start)
            if result.is_error:
                raise SystemExit(f"{tool} was refused: {result.content}")

    async with anyio.create_task_group() as group:
        for worker in range(callers):
            group.start_soon(one, worker)


def start(
    folder: Path, port: int, env: Mapping[str, str]
) -> tuple[subprocess.Popen[bytes], subprocess.Popen[bytes], str]:
    """The echo server, the gateway in front of it, and a token."""
    echo = subprocess.Popen([sys.executable, "-m", "tests.bench.echo_server", str(port)], cwd=ROOT)
    wait(port)

    def lockkeep(*args: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "lockkeep.cli", *args],
            cwd=folder,
            env=dict(env),
            check=True,
            capture_output=True,
            encoding="utf-8",
        ).stdout

    lockkeep("init", "--admin", "ada")
    lockkeep("add", "echo", f"http://127.0.0.1:{port}/mcp", "--json")
    (folder / "policies" / "echo.yaml").write_text(POLICY, encoding="utf-8")
    pulled = lockkeep("catalog", "pull", "echo", "--json")
    digest = pulled.split('"hash": "')[1][:16]
    lockkeep("catalog", "accept", "echo", "--expect", digest)
    token = lockkeep("token", "create", "--user", "ada", "--agent", "lead-router").strip()
    gateway = subprocess.Popen(
        [sys.executable, "-m", "lockkeep.cli", "serve"], cwd=folder, env=dict(env), stdout=subprocess.DEVNULL
    )
    wait(int(env["LOCKKEEP_PORT"]))
    return echo, gateway, token


def wait(port: int) -> None:
    """Until something listens there."""
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)  # noqa: TID251 - waits for a process to listen
        else:
            return
    raise SystemExit(f"nothing listens on port {port}")


async def run(short: bool) -> None:
    calls = 200 if short else 2_000
    with tempfile.TemporaryDirectory() as name:
        port = 18_700 + os.getpid() % 500
        env = {**os.environ, "LOCKKEEP_PORT": str(port + 1), "LOCKKEEP_LOG_LEVEL": "ERROR"}
        echo, gateway, token = start(Path(name), port, env)
        direct, governed = f"http://127.0.0.1:{port}/mcp", f"http://127.0.0.1:{port + 1}/mcp"
        print(f"{'':<28}{'callers':>8}{'calls/s':>12}{'p50 ms':>11}{'ratio':>10}{'CPU ms/call':>14}")
        try:
            for callers in (1,) if short else (1, 8):
                for tool in ("read", "write"):
                    base = await measure(
                        f"direct {tool}", direct, "", tool, echo.pid, callers=callers, calls=calls
                    )
                    print(base.line(None))
                    rows = await measure(
                        f"governed {tool}",
                        governed,
                        token,
                        f"echo_{tool}",
                        gateway.pid,
                        callers=callers,
                        calls=calls,
                    )
                    print(rows.line(base))
        finally:
            for process in (gateway, echo):
                process.terminate()
                process.wait(20)
        await stages(calls)


async def stages(calls: int) -> None:
    """The same call inside one process, by stage: what each part costs."""
    from tests.bench.stages import by_stage

    print(f"\n{'stage (in process, write)':<28}{'ms/call':>10}")
    for name, seconds in (await by_stage(min(calls, 500))).items():
        print(f"{name:<28}{seconds * 1000:>10.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="fewer calls, for CI")
    anyio.run(run, parser.parse_args().short)
