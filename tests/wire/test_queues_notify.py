"""A switch at the gateway holds the real mail queue: nothing is sent under it, and once after it (P5, TS15)."""

import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.server import Server

from house import house, said
from lockkeep_servers.notify.adapters import sender
from lockkeep_servers.notify.server import SERVICE

GATEWAY = """\
api: lockkeep/v1
gateway: house
integrations:
  notify: {in_process: true}
agents:
  robot: {owner: olga}
"""
RULES = """\
api: lockkeep/v1
policy: mail
owner: lead
applies_to: {everywhere: true}
tools:
  notify.*: {allow: anyone}
"""
MAIL = {"to": "lena@kestrel.example", "ref": "ord_1", "subject": "Your order", "body": "It is on its way."}


class Office:
    """The notify server with a clock of its own, and what has left it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ahead = timedelta()

    def clock(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def build(self, _name: str) -> Any:
        def made(_: Mapping[str, str]) -> Server[None]:
            return SERVICE.build({"LOCKKEEP_NOTIFY_DATA": str(self.folder)}, self.clock)

        return made

    def sent(self) -> int:
        db = sqlite3.connect(self.folder / "notify.sqlite")
        try:
            return db.execute("SELECT count(*) FROM outbox").fetchone()[0]
        finally:
            db.close()


@pytest.mark.promise("P5")
async def test_what_was_queued_before_a_kill_is_not_sent_under_it_and_once_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "POLL_S", 0.02)
    office = Office(tmp_path / "notify")
    async with house(tmp_path, servers=office.build, gateway=GATEWAY, rules=RULES) as home:
        queued = said(await home.call("notify.send", MAIL))
        assert queued["after"]["state"] == "queued"
        switch = await home.throw()
        with anyio.fail_after(10):
            while (row := home.store.read.one("seen")) is None or row["switch"] < switch.id:
                await anyio.sleep(0.02)

        office.ahead = timedelta(seconds=90)
        await anyio.sleep(0.5)  # the sender has looked many times
        assert office.sent() == 0

        await home.lift()
        with anyio.fail_after(15):
            while office.sent() == 0:
                await anyio.sleep(0.05)
        await anyio.sleep(0.3)
        assert office.sent() == 1
        assert home.sound()
