"""What every ring of the tests shares."""

import json
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

HERE = Path(__file__).parent
BACKENDS = HERE / "backends"
TABLES = (
    HERE / "wire",
    HERE / "crash",
    *(HERE / "unit" / name for name in ("client", "servers", "upstream")),
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Real back ends take their time: they run in full. So do the many cases of one table, of which two stay quick."""
    tables: dict[str, list[pytest.Item]] = {}
    for item in items:
        if BACKENDS in item.path.parents:
            item.add_marker(pytest.mark.full)
        elif any(item.path.is_relative_to(table) for table in TABLES) and "[" in item.nodeid:
            tables.setdefault(item.nodeid.partition("[")[0], []).append(item)
    for cases in tables.values():
        for case in cases[1:-1]:
            case.add_marker(pytest.mark.full)


def pytest_xdist_auto_num_workers() -> int:
    """Two workers a core: half of a test's time is waiting, for sockets and for the disk."""
    return 2 * (os.cpu_count() or 1)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


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
