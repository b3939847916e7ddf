"""The events of one calendar as they were read, for one tool to change at one time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NoReturn

from lockkeep_servers.calendar.adapters.caldav_rows import File, index
from lockkeep_servers.calendar.adapters.events import Image
from lockkeep_servers.kit.errors import Conflict, NotFound, Unsupported
from lockkeep_servers.kit.sqlite import Row
from lockkeep_servers.kit.times import stamp


@dataclass
class FileEvents:
    """Answers `Events` from files. Nothing is written: the images say what is to be."""

    files: Mapping[str, File]
    now: datetime
    uid: str  # of the event this tool may make
    images: list[Image] = field(default_factory=list[Image])

    def require(self, calendar: str) -> None:
        """Its files were read, so it is there."""

    def fetch(self, calendar: str, id: str, version: str | None) -> Row:
        row = index(self.files.values()).get(id)
        if row is None:
            raise NotFound("event")
        if version is not None and version != row["version"]:
            raise Conflict(row["version"], [])
        return row

    def put(self, before: Row | None, wanted: Mapping[str, Any]) -> Row:
        """Note the row; its version is known when its file is written."""
        sequence = before["sequence"] + 1 if before else 0
        version = before["version"] if before else ""
        after = {**wanted, "version": version, "sequence": sequence, "updated_at": stamp(self.now)}
        self.images.append({"before": before, "after": after})
        return after

    def drop(self, before: Row) -> None:
        self.images.append({"before": before, "after": None})

    def next_id(self) -> str:
        return f"evt_{self.uid}"

    def rows_between(self, calendar: str, begin: datetime, finish: datetime) -> list[Row]:
        return [row for file in self.files.values() for row in file.rows]

    def replaced_of(self, series_id: str) -> list[Row]:
        return [row for file in self.files.values() for row in file.rows if row["series_id"] == series_id]

    def tell(self, row: Row, what: str) -> NoReturn:
        raise Unsupported(
            "This calendar sends no invitations.", hint="Use notify none, and tell people another way."
        )
