"""What every ring of the tests shares."""

from pathlib import Path

import pytest

BACKENDS = Path(__file__).with_name("backends")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Real back ends take their time: they run in full."""
    for item in items:
        if BACKENDS in item.path.parents:
            item.add_marker(pytest.mark.full)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
