"""`lockkeep-client connect`: the host's file before and after."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.client.stand_in import TOKEN, StandIn

from lockkeep_client import cli
from lockkeep_client.hostfile import FileKeptChanging, backup_of, rewrite

FILES = {"claude-code": ".mcp.json", "vscode": ".vscode/mcp.json"}
KEYS = {"claude-code": "mcpServers", "vscode": "servers"}
BEFORE = {
    "absent": None,
    "empty": "",
    "empty object": "{}\n",
    "others": '{\n  "KEY": {\n    "other": {\n      "command": "x"\n    }\n  }\n}\n',
    "one line": '{"KEY": {"other": {"command": "x"}}}',
    "comments": '// top\n{\n\t"KEY": {\n\t\t// theirs\n\t\t"other": {"command": "x"}, // stays\n\t},\n\t/* end */\n}\n',
    "unknown keys": '\ufeff{\r\n    "odd": [1, 2],\r\n    "KEY": {},\r\n    "inputs": [],\r\n    "more": {"b": 1, "a": 2}\r\n}\r\n',
}
CLAUDE_ENTRY = {
    "type": "http",
    "url": "http://127.0.0.1:8700/mcp",
    "headersHelper": "lockkeep-client token --headers",
}
VSCODE_ENTRY = {
    "type": "http",
    "url": "http://127.0.0.1:8700/mcp",
    "headers": {"Authorization": "Bearer ${input:lockkeep-token}"},
}
Run = Callable[..., int]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder, and a user whose home is empty and whose hosts are not installed."""
    for name in ("LOCKKEEP_TOKEN", "XDG_CONFIG_HOME", "CLAUDE_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LOCKKEEP_URL", "http://127.0.0.1:8700")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    _program(tmp_path, "lockkeep-client", "exit 0")
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def _program(tmp_path: Path, name: str, script: str) -> None:
    (tmp_path / "bin").mkdir(exist_ok=True)
    program = tmp_path / "bin" / name
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(0o700)


def _prepared(here: Path, host: str, before: str | None) -> Path:
    path = here / FILES[host]
    if before is not None:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(before.replace("KEY", KEYS[host]).encode())
    return path


@pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE)
@pytest.mark.parametrize("host", FILES)
def test_writing_keeps_everything_else_writing_again_changes_nothing_and_removing_restores(
    here: Path, host: str, before: str | None
) -> None:
    path = _prepared(here, host, before)
    original = path.read_bytes() if before is not None else None

    assert cli.main(["connect", host, "--write"]) == 0
    written = path.read_bytes()
    assert cli.main(["connect", host, "--write"]) == 0
    assert path.read_bytes() == written
    assert b"lockkeep" in written
    assert [
        line for line in (original or b"").splitlines() if b"//" in line and line not in written.splitlines()
    ] == []
    assert cli.main(["connect", host, "--remove"]) == 0

    assert (path.read_bytes() if path.exists() else None) == original


GOLDEN = {
    "claude-code": """// mine
{
    "mcpServers": {
        "other": {"command": "x"}, // stays
        "lockkeep": {
            "type": "http",
            "url": "http://127.0.0.1:8700/mcp",
            "headersHelper": "lockkeep-client token --headers"
        }
    }
}
""",
    "vscode": """// mine
{
    "servers": {
        "other": {"command": "x"}, // stays
        "lockkeep": {
            "type": "http",
            "url": "http://127.0.0.1:8700/mcp",
            "headers": {
                "Authorization": "Bearer ${input:lockkeep-token}"
            }
        }
    },
    "inputs": [
        {
            "type": "promptString",
            "id": "lockkeep-token",
            "description": "Lockkeep token (from `lockkeep token create`)",
            "password": true
        }
    ]
}
""",
}


@pytest.mark.parametrize("host", FILES)
def test_the_written_file_is_this_one(here: Path, host: str) -> None:
    path = _prepared(
        here, host, '// mine\n{\n    "KEY": {\n        "other": {"command": "x"} // stays\n    }\n}\n'
    )

    assert cli.main(["connect", host, "--write"]) == 0

    assert path.read_text(encoding="utf-8") == GOLDEN[host]
    assert backup_of(path).read_bytes().startswith(b"// mine")


@pytest.mark.parametrize("host", FILES)
def test_removing_after_the_user_edited_the_file_takes_out_ours_alone(here: Path, host: str) -> None:
    path = _prepared(here, host, BEFORE["others"])
    cli.main(["connect", host, "--write"])
    path.write_text(path.read_text(encoding="utf-8").replace('"x"', '"y"'), encoding="utf-8")

    assert cli.main(["connect", host, "--remove"]) == 0

    kept = json.loads(path.read_bytes())
    assert kept.pop("inputs", []) == []
    assert kept == {KEYS[host]: {"other": {"command": "y"}}}


def _printed(capsys: pytest.CaptureFixture[str], *args: str) -> object:
    assert cli.main(["connect", *args]) == 0
    return json.loads(capsys.readouterr().out)


def test_printing_shows_the_entry_and_writes_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bridge = {"command": sys.executable, "args": ["-m", "lockkeep_client", "bridge"]}
    environment = {"LOCKKEEP_URL": "http://127.0.0.1:8700/mcp"}

    assert _printed(capsys, "claude-code") == {"mcpServers": {"lockkeep": CLAUDE_ENTRY}}
    shown = _printed(capsys, "vscode")
    assert isinstance(shown, dict)
    assert shown["servers"] == {"lockkeep": VSCODE_ENTRY}
    assert shown["inputs"][0]["password"] is True
    assert _printed(capsys, "json", "--stdio") == {"mcpServers": {"lockkeep": bridge | {"env": environment}}}
    assert _printed(capsys, "claude-code", "--workflow", "lead_routing_for_all") == {
        "mcpServers": {
            "lk_lead_routing_f": CLAUDE_ENTRY | {"url": "http://127.0.0.1:8700/mcp/lead_routing_for_all"},
        }
    }
    assert list(here.iterdir()) == []


def test_without_our_command_on_the_path_a_project_names_the_variable(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here.parent / "bin" / "lockkeep-client").unlink()
    entry = {
        "type": "http",
        "url": "http://127.0.0.1:8700/mcp",
        "headers": {"Authorization": "Bearer ${LOCKKEEP_TOKEN}"},
    }
    own = CLAUDE_ENTRY | {"headersHelper": f"{sys.executable} -m lockkeep_client token --headers"}

    assert _printed(capsys, "claude-code") == {"mcpServers": {"lockkeep": entry}}
    assert _printed(capsys, "claude-code", "--scope", "user") == {"mcpServers": {"lockkeep": own}}


@pytest.mark.parametrize("action", ["--write", "--remove"])
@pytest.mark.parametrize("host", FILES)
@pytest.mark.parametrize(
    "content", ['{"a": }', "[]", "{", '{"KEY": 7}', "\udcff"], ids=["value", "array", "open", "kind", "bytes"]
)
def test_a_file_that_does_not_parse_is_left_alone(
    here: Path, capsys: pytest.CaptureFixture[str], host: str, content: str, action: str
) -> None:
    path = here / FILES[host]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(before := content.replace("KEY", KEYS[host]).encode("utf-8", "surrogateescape"))
    if "7" in content and action == "--remove":
        assert cli.main(["connect", host, action]) == 0  # nothing of ours is in it
    else:
        assert cli.main(["connect", host, action]) == 2
        assert "line 1" in capsys.readouterr().err
    assert path.read_bytes() == before


@pytest.mark.parametrize("host", FILES)
def test_an_entry_that_is_not_ours_is_shown_masked_and_replaced_only_by_force(
    here: Path, capsys: pytest.CaptureFixture[str], host: str
) -> None:
    theirs = {
        KEYS[host]: {"lockkeep": {"url": "http://else", "headers": {"Authorization": f"Bearer {TOKEN}"}}}
    }
    path = _prepared(here, host, json.dumps(theirs))

    assert cli.main(["connect", host, "--write"]) == 2
    assert cli.main(["connect", host, "--remove"]) == 2
    said = capsys.readouterr()
    assert '-  "url": "http://else"' in said.err
    assert TOKEN not in said.err + said.out
    assert json.loads(path.read_bytes()) == theirs
    assert cli.main(["connect", host, "--write", "--force"]) == 0
    assert json.loads(path.read_bytes())[KEYS[host]]["lockkeep"]["url"] == "http://127.0.0.1:8700/mcp"


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["nohost"], "claude-code, vscode, json"),
        (["claude-code", "--write", "--url", "http://gateway.example"], "--insecure"),
        (["claude-code", "--url", "ftp://x"], "must look like"),
        (["claude-code", "--url", "https://me:pw@x"], "holds a name or password"),
        (["claude-code", "--workflow", "../x"], "no workflow's name"),
        (["json", "--write"], "can only be printed"),
    ],
)
def test_a_wish_that_makes_no_sense_ends_with_two(
    here: Path, capsys: pytest.CaptureFixture[str], args: list[str], says: str
) -> None:
    assert cli.main(["connect", *args]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert "pw" not in said
    assert list(here.iterdir()) == []


async def test_a_workflow_the_gateway_does_not_have_ends_with_two_and_the_list(here: Path) -> None:
    async with StandIn(workflows=("leads",)).running() as gateway:
        command = [
            sys.executable,
            "-m",
            "lockkeep_client",
            "connect",
            "claude-code",
            "--url",
            gateway.url,
            "--workflow",
        ]
        wrong, right = (
            subprocess.run([*command, name], capture_output=True, encoding="utf-8")
            for name in ("lead", "leads")
        )

    assert (wrong.returncode, wrong.stderr) == (2, "The gateway has no workflow 'lead'. It has: leads.\n")
    assert right.returncode == 0


@pytest.mark.parametrize(("stubborn", "code"), [(1, 0), (2, 1)])
def test_a_file_that_changes_meanwhile_is_read_once_more(here: Path, stubborn: int, code: int) -> None:
    path = here / "f.json"
    changes = list(range(stubborn))

    def edit(before: bytes | None) -> bytes:
        if changes:
            path.write_bytes(b"%d" % changes.pop())
        return (before or b"") + b"!"

    if code:
        with pytest.raises(FileKeptChanging):
            rewrite(path, edit, here / "locks")
    else:
        assert rewrite(path, edit, here / "locks")
    assert path.read_bytes() == (b"0" if code else b"0!")
    assert [kept.name for kept in here.iterdir() if kept.name.startswith(".")] == []


KILLED_AT = ("os.fsync", "os.replace", "pathlib.Path.chmod", "pathlib.Path.replace", "pathlib.Path.unlink")


@pytest.mark.parametrize(
    ("point", "moment"), [*((point, "before") for point in KILLED_AT), ("os.replace", "after")]
)
def test_a_kill_while_writing_leaves_the_old_file_or_the_new(here: Path, point: str, moment: str) -> None:
    path = _prepared(here, "claude-code", BEFORE["others"])
    original = path.read_bytes()
    module, _, name = point.rpartition(".")
    script = f"""
import os, pathlib, signal
real = {point}
def dies(*args, **kwargs):
    {"real(*args, **kwargs)" if moment == "after" else "pass"}
    os.kill(os.getpid(), signal.SIGKILL)
{module}.{name} = dies
from lockkeep_client.cli import main
main(["connect", "claude-code", "--write"])
"""
    done = subprocess.run([sys.executable, "-c", script], env={**os.environ}, capture_output=True)
    left = path.read_bytes()
    assert cli.main(["connect", "claude-code", "--write"]) == 0
    new = path.read_bytes()

    assert done.returncode in (-signal.SIGKILL, 0)  # 0: this step is not used on this system
    assert left in (original, new)


def test_the_hosts_file_is_never_opened_for_writing(here: Path) -> None:
    path = _prepared(here, "claude-code", BEFORE["others"])
    script = f"""
import os, sys
def watch(event, args):
    if event == "open" and str(args[0]) == {str(path)!r} and args[2] & (os.O_WRONLY | os.O_RDWR):
        os._exit(9)
sys.addaudithook(watch)
from lockkeep_client.cli import main
sys.exit(main(["connect", "claude-code", "--write"]) or main(["connect", "claude-code", "--remove"]))
"""
    assert subprocess.run([sys.executable, "-c", script], capture_output=True).returncode == 0


def test_the_file_keeps_its_rights_and_a_link_stays_a_link(here: Path) -> None:
    real = here / "dotfiles.json"
    real.write_text("{}", encoding="utf-8")
    real.chmod(0o640)
    (here / ".mcp.json").symlink_to(real)

    assert cli.main(["connect", "claude-code", "--write"]) == 0

    assert (here / ".mcp.json").is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert "lockkeep" in json.loads(real.read_bytes())["mcpServers"]


def test_claude_edits_its_own_user_file_where_it_is_installed(here: Path) -> None:
    log = here / "claude.log"
    _program(here.parent, "claude", f'for word in "$@"; do printf "%s\\n" "$word" >> {log}; done')

    assert cli.main(["connect", "claude-code", "--scope", "user", "--write"]) == 0

    assert log.read_text(encoding="utf-8").splitlines() == [
        *("mcp", "add-json", "--scope", "user", "lockkeep"),
        json.dumps(CLAUDE_ENTRY),
    ]


def test_a_claude_that_fails_is_a_finding(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _program(here.parent, "claude", "echo no such thing >&2; exit 3")

    assert cli.main(["connect", "claude-code", "--scope", "user", "--write"]) == 1
    assert "ended with 3: no such thing" in capsys.readouterr().err


def test_no_host_file_ever_holds_the_token(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOCKKEEP_TOKEN", TOKEN)
    for host in FILES:
        for scope in ("project", "user"):
            for kind in ([], ["--stdio"]):
                assert cli.main(["connect", host, "--scope", scope, *kind, "--write"]) == 0
                assert cli.main(["connect", host, "--scope", scope, *kind]) == 0

    said = capsys.readouterr()
    written = [file.read_bytes() for file in here.parent.rglob("*") if file.is_file()]
    assert len(written) > 4
    assert TOKEN not in said.out + said.err
    assert not [content for content in written if TOKEN.encode() in content]
