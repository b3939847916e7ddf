"""The tools are listed once for all crashes."""

from pathlib import Path

import pytest

from crash.place import GATEWAY, listed


@pytest.fixture(scope="session")
async def lock(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The CRM's tools as they are, accepted once."""
    folder: Path = tmp_path_factory.mktemp("listed")
    return await listed(GATEWAY, folder)
