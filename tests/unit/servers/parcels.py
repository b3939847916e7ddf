"""Parcels to begin with, and a process of its own that calls once: run as a program, this file is what it runs."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import anyio
from mcp import Client
from tests.unit.servers.desk import MONDAY, Desk, environ_of, open_desk

from lockkeep_servers.carrier.adapters.embedded import EmbeddedCarrier
from lockkeep_servers.carrier.adapters.seed import seed
from lockkeep_servers.carrier.server import build
from lockkeep_servers.carrier.tracking import Scan, known
from lockkeep_servers.kit.world import PLANTED, parcels

ROOT = Path(__file__).parents[3]

DAY = date(2027, 3, 1)

NAMED = PLANTED["parcels"]

LATE, HAZMAT, ENDED, INSTRUCTS = (
    NAMED[name] for name in ("late_30_h", "late_hazmat", "events_doubled_and_unordered", "tracking_that_instructs")
)  # fmt: skip

KEY = "step-0001"

DEPOT = {"name": "Goods out", "street1": "Mill Lane 3", "city": "Leipzig", "zip": "04109", "country": "DE"}

IDA = {"name": "Ida Costa", "street1": "Quay Road 7", "city": "Hamburg", "zip": "20457", "country": "DE"}

BO = {"name": "Bo Reed", "street1": "1 Main Street", "city": "Austin", "state": "TX", "zip": "78701", "country": "US"}  # fmt: skip

BOX = {"length_mm": 300, "width_mm": 200, "height_mm": 100, "weight_g": 1500}

MOST = {"currency": "EUR", "max_amount_minor": 99_000}

EXTRA = {"currency": "EUR", "max_extra_minor": 99_000, "reason": "late"}


async def a_rate(desk: Desk, to: dict[str, str] = IDA, **more: Any) -> str:
    found = await desk.ok("quote", from_=DEPOT, to=to, parcels=[BOX], **more)
    return found["rates"][0]["rate_id"]


async def a_rate_for(desk: Desk, shipment_id: str) -> str:
    return (await desk.ok("quote", shipment_id=shipment_id))["rates"][0]["rate_id"]


async def a_label(desk: Desk, to: dict[str, str] = IDA, *, key: str = "label-0001", **more: Any) -> dict[str, Any]:  # fmt: skip
    rate = await a_rate(desk, to, **more)
    return await desk.ok("buy_label", rate_id=rate, order_id="ord_1", **MOST, idempotency_key=key)


async def rebooked(desk: Desk, shipment_id: str, *, key: str = KEY) -> dict[str, Any]:
    rate = await a_rate_for(desk, shipment_id)
    return await desk.ok("rebook", shipment_id=shipment_id, rate_id=rate, **EXTRA, idempotency_key=key)


def steps_of(answer: dict[str, Any]) -> list[tuple[str, str]]:
    return [(step["step"], step["state"]) for step in answer["steps"]]


@cache
def world() -> dict[str, parcels.Shipment]:
    return {one.id: one for one in parcels.shipments(42, DAY, "small")}


def scan(hours: float, status: str, *, heard: float | None = None, message: str = "") -> parcels.Event:
    """One scan so many hours after the desk opens, heard of then or later."""
    at = MONDAY + timedelta(hours=hours)
    return parcels.Event(
        at, MONDAY + timedelta(hours=hours if heard is None else heard), status, "Kassel", message
    )


def a_parcel(*events: parcels.Event, voidable_h: float = 8, **changes: Any) -> parcels.Shipment:
    """A small parcel of the shop, promised for tomorrow, that told this."""
    base = replace(
        world()[LATE], id="shp_501", tracking_number="T501", incident=None, supersedes=None, void=None
    )
    times: dict[str, Any] = {"promised_at": MONDAY + timedelta(hours=30), "eta": MONDAY + timedelta(hours=29)}
    voidable = MONDAY + timedelta(hours=voidable_h)
    return replace(base, **{**times, "voidable_until": voidable, "events": events, **changes})


@asynccontextmanager
async def desk_with(folder: Path, *shipments: parcels.Shipment) -> AsyncGenerator[Desk]:
    seed(EmbeddedCarrier(folder, lambda: MONDAY).database, lambda: shipments)
    async with open_desk("carrier", folder, WORLD="none") as desk:
        yield desk


# Where a parcel is


def heard(events: Iterable[parcels.Event]) -> list[Scan]:
    return [Scan(one.at, one.received_at, known(one.status), one.place, one.message) for one in events]


async def once(folder: str, fault: str, tool: str, arguments: str) -> None:
    """What a process of its own does: one call, in which the fault may kill it."""
    environ = environ_of("carrier", Path(folder), FAULT=fault)
    async with Client(build(environ, lambda: MONDAY)) as client:
        answer = await client.call_tool(tool, json.loads(arguments))
        sys.stdout.write(json.dumps(answer.structured_content))


def killed(
    folder: Path, fault: str, tool: str, arguments: dict[str, Any]
) -> subprocess.CompletedProcess[str]:
    words = [
        sys.executable,
        "-m",
        "tests.unit.servers.parcels",
        str(folder),
        fault,
        tool,
        json.dumps(arguments),
    ]
    return subprocess.run(words, capture_output=True, encoding="utf-8", timeout=30, check=False, cwd=ROOT, env=dict(os.environ))  # fmt: skip


if __name__ == "__main__":
    _, folder, fault, tool, arguments = sys.argv
    anyio.run(once, folder, fault, tool, arguments)
