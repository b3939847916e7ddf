"""Both servers, each alone in its own folder."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from tests.unit.servers.desk import Desk, open_desk


@pytest.fixture
async def crm(tmp_path: Path) -> AsyncGenerator[Desk]:
    async with open_desk("crm", tmp_path / "crm") as desk:
        yield desk


@pytest.fixture
async def calendar(tmp_path: Path) -> AsyncGenerator[Desk]:
    async with open_desk("calendar", tmp_path / "calendar") as desk:
        yield desk


@pytest.fixture
async def ticketing(tmp_path: Path) -> AsyncGenerator[Desk]:
    async with open_desk("ticketing", tmp_path / "ticketing") as desk:
        yield desk


@pytest.fixture
async def carrier(tmp_path: Path) -> AsyncGenerator[Desk]:
    async with open_desk("carrier", tmp_path / "carrier") as desk:
        yield desk


@pytest.fixture(params=["crm", "calendar", "ticketing", "carrier", "billing", "commerce", "notify"])
async def desk(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Desk]:
    async with open_desk(request.param, tmp_path / request.param) as opened:
        yield opened
