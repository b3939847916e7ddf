"""What every ring of the tests shares."""

import gc
import json
import os
from collections.abc import Generator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

if TYPE_CHECKING:
    from crash.place import Launcher

HERE = Path(__file__).parent
BACKENDS = HERE / "backends"
TABLES = (
    HERE / "wire",
    HERE / "crash",
    *(HERE / "unit" / name for name in ("client", "servers", "upstream")),
    *(HERE / "unit" / "policies" / f"test_{name}.py" for name in ("truth", "vendors")),
)
BOTH_ERAS = (
    "test_life_of_a_call.py",
    "test_upstream_send.py",
)  # elsewhere one revision of MCP speaks for both
LANGUAGE = HERE / "unit" / "policies"
SAMPLED = {  # folder -> of each file, so many that prove a promise, and every so-many-th of the others
    HERE / "wire": (2, 6),
    **{
        HERE / "crash" / f"test_{name}.py": (1, 4)
        for name in ("kills", "approvals", "two_processes", "full_disk")
    },
    HERE / "crash": (0, 100),
    HERE / "unit" / "servers": (9, 3),
    HERE / "unit" / "client": (9, 3),
}
LONG = 6  # cases; of a longer table of the policy language every sixth is quick
gc.set_threshold(100_000, 50, 100)  # thousands of tests that are collected hold much and drop little


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Where the whole numbers are not asked for, real back ends and their libraries are not even imported."""
    quick = "not full" in str(config.option.markexpr)
    return True if quick and collection_path == BACKENDS else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Real back ends take their time: they run in full. So do most of the many cases of one table."""
    tables: dict[str, list[pytest.Item]] = {}
    for path, inside in groupby(items, key=lambda item: item.path):
        above, own = {path, *path.parents}, list(inside)
        for item in own:
            if item.get_closest_marker("full"):  # said in its file: the whole number of a proof
                item.add_marker(pytest.mark.whole)
            if BACKENDS in above:
                item.add_marker(pytest.mark.full)
            elif "[" in item.nodeid and not above.isdisjoint((*TABLES, LANGUAGE)):
                tables.setdefault(item.nodeid.partition("[")[0], []).append(item)
        _sample(path, own)
    for cases in tables.values():
        quick = _quick(cases)
        for place, case in enumerate(cases):
            if place not in quick:
                case.add_marker(pytest.mark.full)


def _sample(path: Path, items: Sequence[pytest.Item]) -> None:
    """The quick ring takes under a minute: of a long file some tests of each kind; all of them run in full."""
    found = next((counts for folder, counts in SAMPLED.items() if path.is_relative_to(folder)), None)
    if found is None:
        return
    promises, every = found
    names = list(dict.fromkeys(item.nodeid.partition("[")[0] for item in items))
    claims = {item.nodeid.partition("[")[0] for item in items if item.get_closest_marker("promise")}
    proofs, others = (
        [name for name in names if name in claims],
        [name for name in names if name not in claims],
    )
    quick = {*proofs[:promises], *others[::every]}
    for item in items:
        if item.nodeid.partition("[")[0] not in quick:
            item.add_marker(pytest.mark.full)


def _quick(cases: Sequence[pytest.Item]) -> set[int]:
    """Of a table the first and the last case; of two revisions of MCP the newer one."""
    first = cases[0]
    path, last = first.path, len(cases) - 1
    if path.is_relative_to(LANGUAGE) and path not in TABLES:
        claims = first.get_closest_marker("promise") is not None
        return {*range(last + 1)} if claims or len(cases) <= LONG else {*range(0, last, 6), last}
    given: Mapping[str, object] = first.callspec.params if isinstance(first, pytest.Function) else {}
    return {0} if {*given} <= {"era", "mode"} and path.name not in BOTH_ERAS else {0, last}


def pytest_collection_finish() -> None:
    """What was collected stays to the end: no need to look through it for garbage again and again."""
    gc.freeze()


def pytest_xdist_auto_num_workers() -> int:
    """Three workers for two cores: tests wait for sockets and for the disk, and each worker imports everything anew."""
    return 3 * (os.cpu_count() or 1) // 2 or 1


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def launcher() -> "Generator[Launcher]":
    """Warm once for all that die, and for the gateways that stand beside a command."""
    from crash.place import Launcher  # here: few workers need it

    launcher = Launcher()
    yield launcher
    launcher.close()


@pytest.fixture(scope="session", autouse=True)
def each_schema_is_checked_once() -> Generator[None]:
    """The SDK's client holds every output schema against the metaschema, anew for each connection: half its time."""
    sound: set[str] = set()
    real = Draft202012Validator.check_schema

    def check(schema: Any) -> None:
        text = json.dumps(schema, sort_keys=True)
        if text not in sound:
            real(schema)
            sound.add(text)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Draft202012Validator, "check_schema", staticmethod(check))
        yield
