"""A terminal for one page: its console blocks run in order in one folder, and what they print is compared."""

import fcntl
import os
import pty
import re
import select
import shlex
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

from tests.docs.pages import Block

COLUMNS, ROWS, LIMIT_S = 110, 60, 30.0
MARK = "#end-of-command#"
EXIT = re.compile(r"# exit (\d+)$")
HOLE = "…"
OUR_PORT = "8700"
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Differs(AssertionError):
    """A command did not do what the page says."""


class Terminal:
    """One bash. `lockkeep serve` stays in the background of it, as in a second window."""

    def __init__(self, folder: Path, commands: Path) -> None:
        self.folder, self.port = folder, free_port()
        self._seen = ""
        self._servers: list[subprocess.Popen[bytes]] = []
        home = folder.parent / "home"
        home.mkdir()
        self._env = {
            "PATH": f"{commands}:{Path(sys.executable).parent}:/usr/bin:/bin",
            "HOME": str(home), "LANG": "C.UTF-8", "TERM": "xterm", "NO_COLOR": "1", "TZ": "UTC", "PYTHONUTF8": "1",
            "COLUMNS": str(COLUMNS), "TERMINAL_WIDTH": str(COLUMNS),
            "LOCKKEEP_PORT": str(self.port), "LOCKKEEP_URL": f"http://127.0.0.1:{self.port}", "LOCKKEEP_HOLD_S": "1",
        }  # fmt: skip
        self._screen, slave = pty.openpty()
        flags = termios.tcgetattr(slave)
        flags[1] &= ~termios.ONLCR
        termios.tcsetattr(slave, termios.TCSANOW, flags)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self._slave = slave
        self._bash = subprocess.Popen(
            ["/bin/bash", "--noprofile", "--norc"], cwd=folder, env=self._env, stdin=subprocess.PIPE,
            stdout=slave, stderr=slave, start_new_session=True,
        )  # fmt: skip

    def close(self) -> None:
        for server in self._servers:
            server.terminate()
        for server in self._servers:
            try:
                server.wait(LIMIT_S)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
        if self._bash.stdin is not None:
            self._bash.stdin.close()
        self._bash.wait(LIMIT_S)
        os.close(self._screen)
        os.close(self._slave)

    def play(self, block: Block) -> None:
        """Every command of the block; the first difference raises, with page and line."""
        for line, command, expected in commands_of(block):
            where = f"{block.page}:{line}"
            command = self._filled(command, where)
            if command.endswith("lockkeep serve"):
                said, code = self._serve(command, expected), 0
            else:
                said, code = self.run(command)
            self._seen += said + "\n"
            wanted = int(match[1]) if (match := EXIT.search(command)) else 0
            if code != wanted:
                raise Differs(f"{where}: `{command}` ended with {code}, not {wanted}:\n{said}")
            if expected and not fits(expected, said):
                raise Differs(
                    f"{where}: `{command}` printed\n{said}\n\nthe page says\n" + "\n".join(expected)
                )

    def run(self, command: str) -> tuple[str, int]:
        """What the command printed, and its exit code."""
        script = self.folder.parent / "command.sh"
        script.write_text(command + "\n", encoding="utf-8")
        assert self._bash.stdin is not None
        self._bash.stdin.write(
            f". {shlex.quote(str(script))} </dev/null; printf '\\n{MARK} %d\\n' $?\n".encode()
        )
        self._bash.stdin.flush()
        text = self._until(re.compile(rf"\n{MARK} (\d+)\n"))
        body, _, rest = text.rpartition(f"\n{MARK} ")
        return self._tidy(body), int(rest.strip())

    def _serve(self, command: str, expected: list[str]) -> str:
        """The gateway runs until the page ends; this returns when it has said what it should and answers."""
        log = self.folder.parent / f"serve-{len(self._servers)}.log"
        with log.open("wb") as out:
            bash = ["/bin/bash", "-c", f"exec {command}"]
            server = subprocess.Popen(bash, cwd=self.folder, env=self._env, stdin=subprocess.DEVNULL, stdout=out, stderr=out)  # fmt: skip
        self._servers.append(server)
        end = time.monotonic() + LIMIT_S
        said = ""
        while time.monotonic() < end and server.poll() is None:
            said = self._tidy(log.read_text(encoding="utf-8"))
            shown = [line for line in said.splitlines() if not re.match(r"\d{4}-\d\d-\d\d ", line)]
            said = "\n".join(shown)
            if fits(expected, said) and self._answers():
                return said
            select.select([], [], [], 0.02)
        return said

    def stop_serving(self) -> None:
        while self._servers:
            server = self._servers.pop()
            server.send_signal(signal.SIGTERM)
            server.wait(LIMIT_S)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 0.2):
                return True
        except OSError:
            return False

    def _until(self, mark: re.Pattern[str]) -> str:
        found, end = b"", time.monotonic() + LIMIT_S
        while not mark.search(found.decode("utf-8", "replace")):
            ready, _, _ = select.select([self._screen], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                raise Differs(f"no end in {LIMIT_S:g} s:\n{found.decode('utf-8', 'replace')}")
            found += os.read(self._screen, 65536)
        return found.decode("utf-8", "replace")

    def _tidy(self, text: str) -> str:
        plain = ESCAPES.sub("", text.replace(f":{self.port}", f":{OUR_PORT}").replace("\r", ""))
        return "\n".join(line.rstrip() for line in plain.splitlines()).strip("\n")

    def _filled(self, command: str, where: str) -> str:
        """`…` in a command stands for what an earlier command printed: a whole line, an option's value, or the end of a word."""
        if HOLE not in command:
            return command
        whole = _pattern(command, r"\S+")
        lines = [line.strip() for line in self._seen.splitlines() if re.fullmatch(whole, line.strip())]
        if lines:
            return lines[-1]

        def word(match: re.Match[str]) -> str:
            found = re.findall(re.escape(match[1]) + r"[\w-]+", self._seen)
            if not found:
                raise Differs(f"{where}: nothing printed so far begins with {match[1]}")
            return found[-1]

        return re.sub(rf"(\w+_|--\w+ ){HOLE}", word, command)


def commands_of(block: Block) -> list[tuple[int, str, list[str]]]:
    """(line, command, expected output) of a console block; `> ` continues a command."""
    found: list[tuple[int, str, list[str]]] = []
    for number, line in enumerate(block.text.splitlines(), block.line):
        if line.startswith("$ "):
            found.append((number, line[2:], []))
        elif line.startswith("> ") and found and not found[-1][2]:
            found[-1] = (found[-1][0], f"{found[-1][1]}\n{line[2:]}", [])
        elif found:
            found[-1][2].append(line)
        else:
            raise Differs(f"{block}: a console block begins with `$ `")
    return found


def fits(expected: list[str], said: str) -> bool:
    """Whole output; `…` stands for any text in a line, and alone on a line for any number of lines."""
    parts = [
        r"(?:.*\n)*?" if line.strip() == HOLE else _pattern(line.rstrip(), r".*?") + r"\n"
        for line in expected
    ]
    return re.fullmatch("".join(parts), said + "\n") is not None


def _pattern(text: str, hole: str) -> str:
    return hole.join(re.escape(part) for part in text.split(HOLE))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
