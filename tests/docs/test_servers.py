"""Each server's README and server.json say what the code says (TS14)."""

import json
from importlib.metadata import version
from pathlib import Path

import pytest
from tests.docs.pages import ROOT
from tests.docs.servers import SERVERS, files, names


@pytest.mark.parametrize("name", names())
def test_the_made_files_of_a_server_are_fresh(name: str, tmp_path: Path) -> None:
    for path, text in files(name, tmp_path).items():
        there = path.read_text(encoding="utf-8") if path.exists() else ""
        assert there == text, f"{path.name} of {name} is stale. Run: python -m tests.docs.servers --write"


@pytest.mark.parametrize("name", names())
def test_the_registry_entry_is_one_the_registry_takes(name: str) -> None:
    entry = json.loads((SERVERS / name / "server.json").read_text(encoding="utf-8"))
    (package,) = entry["packages"]

    assert entry["name"] == f"io.github.lockkeep/{name}"
    assert entry["version"] == package["version"] == version("lockkeep")
    assert 1 <= len(entry["description"]) <= 100
    assert f"mcp-name: {entry['name']}" in (ROOT / "README.md").read_text(encoding="utf-8")
    variables = [each["name"] for each in package["environmentVariables"]]
    assert all(each.startswith(f"LOCKKEEP_{name.upper()}_") for each in variables)
    assert f"LOCKKEEP_{name.upper()}_DATA" in variables
