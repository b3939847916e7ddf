"""The package by itself: what it needs, what it says about itself, what it keeps."""

import logging
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import lockkeep_client
from lockkeep_client.errors import ClientError
from lockkeep_client.ringlog import LIMIT, RingFile
from lockkeep_client.settings import endpoint, keeps_tokens_private
from lockkeep_client.wire import VERSION

FOLDER = Path(lockkeep_client.__file__).parent
NEEDED = {"httpx2", "tomlkit", "anyio"}  # anyio comes with httpx2

BLOCKED = """
import importlib, pkgutil, sys
for name in ("mcp", "mcp_types", "pydantic", "starlette", "lockkeep", "lockkeep_servers"):
    sys.modules[name] = None
import lockkeep_client
for module in pkgutil.iter_modules(lockkeep_client.__path__):
    if module.name != "__main__":
        importlib.import_module(f"lockkeep_client.{module.name}")
from lockkeep_client.cli import main
sys.exit(main(["connect", "json"]))
"""


def test_the_whole_client_imports_and_runs_without_mcp() -> None:
    done = subprocess.run([sys.executable, "-c", BLOCKED], capture_output=True, encoding="utf-8")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_version_is_the_distributions() -> None:
    project = tomllib.loads((FOLDER.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == VERSION
    assert {requirement.split(">")[0] for requirement in project["dependencies"]} == NEEDED - {"anyio"}


def test_every_error_names_its_remedy() -> None:
    assert all(len((kind.__doc__ or "").split(". ")) > 1 for kind in ClientError.__subclasses__())


@pytest.mark.parametrize(
    ("url", "workflow", "expected"),
    [
        ("http://127.0.0.1:8700", None, "http://127.0.0.1:8700/mcp"),
        ("http://127.0.0.1:8700/", "leads", "http://127.0.0.1:8700/mcp/leads"),
        ("https://x/mcp", "leads", "https://x/mcp/leads"),
        ("https://x/mcp/leads", None, "https://x/mcp/leads"),
        ("https://x/mcp/other?q#f", "leads", "https://x/mcp/leads"),
        ("https://x/gate", None, "https://x/gate/mcp"),
    ],
)
def test_the_endpoint_is_found_from_any_form_of_the_address(
    url: str, workflow: str | None, expected: str
) -> None:
    assert endpoint(url, workflow) == expected


@pytest.mark.parametrize(
    ("url", "private"),
    [
        ("https://x", True),
        ("http://[::1]:1", True),
        ("http://localhost", True),
        ("http://127.0.0.1.x", False),
        ("http://10.0.0.1", False),
    ],
)
def test_a_token_is_private_on_https_and_on_this_machine(url: str, private: bool) -> None:
    assert keeps_tokens_private(url) is private


def test_the_log_keeps_its_newer_half_at_one_megabyte(tmp_path: Path) -> None:
    ring = RingFile(tmp_path / "new" / "bridge.log")
    for n in range(1100):
        ring.emit(logging.LogRecord("x", logging.INFO, "", 0, f"{n} {'x' * 1000}", None, None))

    lines = (tmp_path / "new" / "bridge.log").read_text(encoding="utf-8").splitlines()
    assert (tmp_path / "new" / "bridge.log").stat().st_size <= LIMIT
    assert lines[-1].split()[0] == "1099"
    assert all(len(line) > 1000 for line in lines)


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    RingFile(tmp_path / "file" / "bridge.log").emit(
        logging.LogRecord("x", logging.INFO, "", 0, "m", None, None)
    )
