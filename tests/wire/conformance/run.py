"""Run the MCP conformance suite against the gateway; exit 1 on anything but the expected failures."""

import logging
import sys
import tempfile
from pathlib import Path

import anyio

sys.path.insert(0, str(Path(__file__).parents[2]))  # the tests folder, as pytest has it

from wire.conformance.front import governed
from wire.conformance.node import install, node
from wire.conformance.suite import (
    HERE,
    PACKAGE,
    PROGRAM,
    REVISIONS,
    Run,
    complaints,
    expected,
    missing,
    played,
)


async def play(folder: Path) -> list[Run]:
    """Both revisions, one after the other, against one gateway."""
    async with governed(folder) as url:
        return [await anyio.to_thread.run_sync(played, url, each, folder / each) for each in REVISIONS]


def main() -> int:
    if node() is not None and not PROGRAM.exists():
        print(f"installing {PACKAGE} into {HERE.name}/node_modules", flush=True)
        install(HERE, PACKAGE)
    if reason := missing():
        print(reason, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="lockkeep-conformance-") as folder:
        logging.basicConfig(
            filename=Path(folder) / "gateway.log", encoding="utf-8"
        )  # refusals are what the suite provokes
        runs = anyio.run(play, Path(folder))
    for run in runs:
        passed, failed, warned = (run.count(status) for status in ("SUCCESS", "FAILURE", "WARNING"))
        print(
            f"{run.revision}: {sum(run.scored.values())} of {len(run.scored)} required scenarios pass; ",
            end="",
        )
        print(f"{passed} checks passed, {failed} failed, {warned} warned, extensions included")
    found = complaints(runs)
    print("\n".join(found) or f"All as expected; {len(expected())} expected failures, each with its reason.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
