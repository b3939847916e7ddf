"""Every server, each alone in its own folder."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from tests.unit.servers.bills import opened
from tests.unit.servers.desk import Desk, open_desk
from tests.unit.servers.office import office
from tests.unit.servers.till import Till, open_till


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


@pytest.fixture
async def till(tmp_path: Path) -> AsyncGenerator[Till]:
    async with open_till(tmp_path / "commerce") as desk:
        yield desk


@pytest.fixture
async def billing(tmp_path: Path) -> AsyncGenerator[Desk]:
    async with opened(tmp_path) as desk:
        yield desk


@pytest.fixture
async def notify(tmp_path: Path) -> AsyncGenerator[Desk]:
    async with office(tmp_path) as desk:
        yield desk


@pytest.fixture(params=["crm", "calendar", "ticketing", "carrier", "billing", "commerce", "notify"])
async def desk(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Desk]:
    async with open_desk(request.param, tmp_path / request.param) as opened:
        yield opened
