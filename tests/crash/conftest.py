"""The launcher is warm once for all crashes."""

from collections.abc import Generator
from pathlib import Path

import pytest

from crash.place import GATEWAY, Launcher, listed


@pytest.fixture(scope="session")
def launcher() -> Generator[Launcher]:
    launcher = Launcher()
    yield launcher
    launcher.close()


@pytest.fixture(scope="session")
async def lock(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The CRM's tools as they are, accepted once."""
    folder: Path = tmp_path_factory.mktemp("listed")
    return await listed(GATEWAY, folder)
