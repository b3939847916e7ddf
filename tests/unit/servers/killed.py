"""A process of its own that writes once through an embedded adapter, and may be killed by a fault on the way."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import anyio

from lockkeep_servers.calendar import port as calendar_port
from lockkeep_servers.calendar.adapters.embedded import EmbeddedCalendar
from lockkeep_servers.crm import port as crm_port
from lockkeep_servers.crm.adapters.embedded import EmbeddedCrm
from lockkeep_servers.kit.arguments import parse
from lockkeep_servers.kit.faults import read_fault
from lockkeep_servers.kit.receipts import Attempt

NOW = datetime(2027, 3, 1, 7, 0, tzinfo=UTC)


async def main(server: str, folder: str, fault: str, arguments: str) -> None:
    given = json.loads(arguments)
    if server == "crm":
        crm = EmbeddedCrm(Path(folder), lambda: NOW, read_fault(fault))
        lead = parse(crm_port.UpsertLead, given)
        async with crm.session():
            receipt = await crm.upsert_lead(lead, Attempt.of("upsert_lead", lead))
    else:
        diary = EmbeddedCalendar(Path(folder), lambda: NOW, read_fault(fault))
        event = parse(calendar_port.CreateEvent, given)
        async with diary.session():
            receipt = await diary.create_event(event, Attempt.of("create_event", event))
    sys.stdout.write(receipt.model_dump_json())


if __name__ == "__main__":
    _, server, folder, fault, arguments = sys.argv
    anyio.run(main, server, folder, fault, arguments)
