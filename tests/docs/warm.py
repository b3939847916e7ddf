"""Starts commands from a process that has imported everything already: a page runs its commands in milliseconds.

`python -m tests.docs.warm SOCKET` serves; the scripts that `shims` writes ask it. Each command is a process of its own.
"""

import contextlib
import json
import os
import runpy
import signal
import socket
import struct
import sys
import traceback
from pathlib import Path
from typing import Any

import lockkeep.cli
import lockkeep_client.cli
from lockkeep_servers.calendar import server as calendar
from lockkeep_servers.crm import server as crm

COMMANDS: dict[str, Any] = {
    "lockkeep": lockkeep.cli.main,
    "lockkeep-client": lockkeep_client.cli.main,
    "lockkeep-crm": crm.main,
    "lockkeep-calendar": calendar.main,
}
SHIM = """\
#!{python} -IS
import json, os, signal, socket, struct, sys
if os.path.basename(sys.argv[0]) == "python" and not "".join(sys.argv[1:2]).endswith(".py"):
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
said = json.dumps({{"argv": sys.argv, "cwd": os.getcwd(), "env": dict(os.environ)}}).encode()
with socket.socket(socket.AF_UNIX) as warm:
    warm.connect({path!r})
    socket.send_fds(warm, [struct.pack("I", len(said))], [0, 1, 2])
    warm.sendall(said)
    pid = struct.unpack("i", warm.recv(4))[0]
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda sent, _: os.kill(pid, sent))
    code = warm.recv(4)
sys.exit(struct.unpack("i", code)[0] if code else 137)
"""


def shims(folder: Path, path: Path) -> None:
    """One small script per command, to stand first on the PATH."""
    folder.mkdir()
    for name in (*COMMANDS, "python"):
        script = folder / name
        script.write_text(SHIM.format(python=sys.executable, path=str(path)), encoding="utf-8")
        script.chmod(0o755)


def serve(path: str) -> None:
    """Fork for every connection until the parent ends this process, or is gone."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    parent = os.getppid()
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(path)
        door.listen(64)
        door.settimeout(1)
        while os.getppid() == parent:  # a test run that was killed leaves nothing behind
            try:
                caller, _ = door.accept()
            except TimeoutError:
                continue
            if os.fork() == 0:
                door.close()
                _run(caller)
            caller.close()


def _run(caller: socket.socket) -> None:
    """Become the command: its files, folder and environment; then tell its exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    caller.settimeout(None)
    head, given, _, _ = socket.recv_fds(caller, 4, 3)
    size, said = struct.unpack("I", head)[0], b""
    while len(said) < size:
        said += caller.recv(size - len(said))
    request = json.loads(said)
    for number, opened in enumerate(given):
        os.dup2(opened, number)
        os.close(opened)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.stdin, sys.stdout, sys.stderr = (
        os.fdopen(number, mode, encoding="utf-8", closefd=False, buffering=buffering)
        for number, mode, buffering in ((0, "r", -1), (1, "w", 1), (2, "w", 1))
    )
    caller.sendall(struct.pack("i", os.getpid()))
    code = _code(request["argv"])
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        caller.sendall(struct.pack("i", code))
    os._exit(code)


def _code(argv: list[str]) -> int:
    name = Path(argv[0]).name
    try:
        if name == "python":
            sys.argv = argv[1:]
            sys.path[0] = str(Path.cwd())
            runpy.run_path(argv[1], run_name="__main__")
            return 0
        sys.argv = [name, *argv[1:]]
        return int(COMMANDS[name]() or 0)
    except SystemExit as ended:
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
        return ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    except BaseException:
        traceback.print_exc()
        return 1


if __name__ == "__main__":
    serve(sys.argv[1])
