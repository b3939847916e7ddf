"""The ten points on a real Radicale: the calendar's CalDAV adapter is gold, but for what CalDAV cannot do (TS8)."""

from tests.backends.radicale import fresh

from lockkeep_servers.calendar.server import SERVICE
from lockkeep_servers.check.reading import read_cases
from lockkeep_servers.check.run import check
from lockkeep_servers.check.target import named


async def test_the_ten_points_hold() -> None:
    cases = read_cases(SERVICE.folder / "conformance.yaml")
    report = await check(named("calendar", "caldav", fresh=fresh), cases, sample=True)

    assert [(each.point, each.tool, each.case, each.sentence) for each in report.failed] == []
    assert report.reaches("gold")
