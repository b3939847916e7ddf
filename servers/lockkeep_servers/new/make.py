"""Writes a new server: one file, or a whole package. Nothing that is there is overwritten."""

import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

NAME = re.compile(r"[a-z][a-z0-9_]{1,24}")
OURS = "lockkeep_servers.new.fleet"
HERE = files("lockkeep_servers.new")
DATA = (".py", ".sql", ".yaml")


class NewError(ValueError):
    """The server cannot be written. The sentence says why, and what to do."""


def one_file(name: str, folder: Path) -> list[Path]:
    """Write NAME.py with its cases and a test, and return the files."""
    texts = {
        f"{name}.py": _text(HERE / "single.py"),
        f"{name}.conformance.yaml": _template("single.conformance.yaml"),
        f"test_{name}.py": _template("test_single.txt"),
    }
    return _write(name, folder, texts)


def full(name: str, folder: Path) -> list[Path]:
    """Write NAME/ with a package, a policy and tests, and return the files."""
    texts = {f"{name}/{path}": _text(file) for path, file in _package(HERE / "fleet")}
    texts |= {
        "pyproject.toml": _template("pyproject.txt"),
        "README.md": _template("readme.txt"),
        f"policies/{name}.yaml": _template("policy.yaml"),
        f"tests/test_{name}.py": _template("test_full.txt"),
    }
    return _write(name, folder / name, texts)


def _package(folder: Traversable, under: str = "") -> Iterator[tuple[str, Traversable]]:
    for entry in sorted(folder.iterdir(), key=lambda each: each.name):
        if entry.is_dir() and entry.name != "__pycache__":
            yield from _package(entry, f"{under}{entry.name}/")
        elif entry.name.endswith(DATA):
            yield under + entry.name, entry


def _text(file: Traversable) -> str:
    return file.read_text(encoding="utf-8")


def _template(name: str) -> str:
    return _text(HERE / "templates" / name)


def _write(name: str, folder: Path, texts: Mapping[str, str]) -> list[Path]:
    """Everything, or an error before anything is written."""
    if not NAME.fullmatch(name):
        raise NewError(
            f"{name!r} is no name for a server: a-z, 0-9 and _, 2 to 25 characters, a letter first."
        )
    paths = {folder / path: _named(text, name) for path, text in texts.items()}
    if there := [path for path in paths if path.exists()]:
        raise NewError(f"{there[0]} is there already. Take another name or folder.")
    for path, text in paths.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(paths)


def _named(text: str, name: str) -> str:
    """The text about `name` instead of the fleet."""
    camel = "".join(part.capitalize() for part in name.split("_"))
    text = text.replace(OURS, name).replace("Fleet", camel)
    return text.replace("fleet", name).replace("FLEET", name.upper())
