"""Eight servers on one file, asked at once: no update is lost, nothing is there twice."""

import json
import sqlite3
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.unit.servers.desk import open_desk
from tests.unit.servers.writes import EVENT, LEAD, tables

Asked = tuple[str, dict[str, Any]]
CHANGE: dict[str, Any] = {"kind": "lead", "id": "led_1", "expected_version": "1"}

MAIL: dict[str, Any] = {"to": "ida@kestrel.example", "subject": "Your order", "body": "It is on its way."}


async def at_once(server: str, folder: Path, asked: list[Asked]) -> list[str]:
    """What each of them was told: ok, or the code of its refusal."""
    told: list[str] = []
    async with AsyncExitStack() as stack:
        desks = [await stack.enter_async_context(open_desk(server, folder)) for _ in asked]

        async def ask(place: int) -> None:
            tool, arguments = asked[place]
            is_error, answer, _ = await desks[place].answer(tool, **arguments)
            told.append(answer["error"]["code"] if is_error else "ok")

        async with anyio.create_task_group() as group:
            for place in range(len(asked)):
                group.start_soon(ask, place)
    return sorted(told)


async def test_of_eight_changes_to_one_version_one_is_made(tmp_path: Path) -> None:
    asked: list[Asked] = [("update", {**CHANGE, "changes": {"name": f"Ida {n}"}}) for n in range(8)]

    assert await at_once("crm", tmp_path, asked) == ["conflict"] * 7 + ["ok"]


async def test_eight_that_bring_one_lead_make_one(tmp_path: Path) -> None:
    asked: list[Asked] = [("upsert_lead", LEAD) for _ in range(8)]

    assert await at_once("crm", tmp_path, asked) == ["ok"] * 8
    async with open_desk("crm", tmp_path) as desk:
        found = await desk.ok("search", kind="lead", email=LEAD["email"])
    assert len(found["items"]) == 1


async def test_of_eight_that_book_one_hour_one_gets_it(tmp_path: Path) -> None:
    asked: list[Asked] = [("create_event", {**EVENT, "title": f"Talk {n}"}) for n in range(8)]

    assert await at_once("calendar", tmp_path, asked) == ["check_failed"] * 7 + ["ok"]


def mail(number: int, key: int) -> Asked:
    return "send", {**MAIL, "ref": f"order_{number}", "idempotency_key": f"mail-{key:04}"}


def whole(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Every table of a store that is sound: what a receipt speaks of is there."""
    with sqlite3.connect(folder / "notify.sqlite") as store:
        assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert store.execute("PRAGMA foreign_key_check").fetchall() == []
    found = tables(folder, whole=True)
    ids = {row["id"] for row in found["messages"]}
    for row in found["receipts"]:
        assert row["state"] == "committed"
        assert row["tool"] not in ("send", "post") or json.loads(row["receipt"])["id"] in ids
    return found


def ours(rows: list[dict[str, Any]]) -> list[str]:
    return sorted(row["ref"] for row in rows if (row["ref"] or "").startswith("order_"))


async def delivered(folder: Path, count: int) -> None:
    """Eight servers over one queue that is due; when they have sent that much, they look once more."""
    async with AsyncExitStack() as stack:
        desks = [await stack.enter_async_context(open_desk("notify", folder)) for _ in range(8)]
        for desk in desks:
            desk.later(seconds=90)  # no message is held longer; the world's next one is due in 45 minutes
        with anyio.fail_after(20):
            while len(sent(folder)) < count:
                for desk in desks:
                    await desk.ok("status", ref="order_0")  # whoever is asked looks at the queue
        for desk in desks:
            await desk.ok("status", ref="order_0")


def sent(folder: Path) -> list[str]:
    found = tables(folder, whole=True)
    kept = {row["reference"]: row["ref"] for row in found["messages"]}
    return ours([{"ref": kept[row["reference"]]} for row in found["outbox"]])


@pytest.mark.full
async def test_of_eight_mails_with_their_own_keys_none_is_lost_and_each_goes_once(tmp_path: Path) -> None:
    assert await at_once("notify", tmp_path, [mail(n, n) for n in range(8)]) == ["ok"] * 8
    all_eight = [f"order_{n}" for n in range(8)]
    assert ours(whole(tmp_path)["messages"]) == all_eight

    await delivered(tmp_path, 8)
    assert sent(tmp_path) == all_eight
    whole(tmp_path)


async def test_eight_that_send_one_mail_send_one(tmp_path: Path) -> None:
    assert await at_once("notify", tmp_path, [mail(0, 0) for _ in range(8)]) == ["ok"] * 8
    assert ours(whole(tmp_path)["messages"]) == ["order_0"]

    await delivered(tmp_path, 1)
    assert sent(tmp_path) == ["order_0"]


async def test_of_eight_mails_with_one_key_one_is_taken_and_nothing_is_left_of_the_others(
    tmp_path: Path,
) -> None:
    told = await at_once("notify", tmp_path, [mail(n, 0) for n in range(8)])

    assert told == ["idempotency_conflict"] * 7 + ["ok"]
    found = whole(tmp_path)
    assert len(ours(found["messages"])) == 1
    assert [row["key"] for row in found["receipts"] if row["key"].startswith("mail-")] == ["mail-0000"]


async def test_eight_different_writers_each_leave_what_they_were_told(tmp_path: Path) -> None:
    """Mails, posts, a cancellation and a pause at once: what one of them did, no other undid."""
    assert await at_once("notify", tmp_path, [mail(0, 0), mail(1, 1)]) == ["ok", "ok"]
    posts: list[Asked] = [
        (
            "post",
            {"channel": "ops", "text": f"Order {n}", "ref": f"order_{n}", "idempotency_key": f"post-{n:04}"},
        )
        for n in (5, 6, 7)
    ]
    asked: list[Asked] = [
        *(mail(n, n) for n in (2, 3, 4)),
        *posts,
        ("cancel", {"ref": "order_0", "reason": "drill", "idempotency_key": "cancel-0000"}),
        ("pause_queue", {"paused": True, "reason": "drill", "idempotency_key": "pause-0000"}),
    ]

    assert await at_once("notify", tmp_path, asked) == ["ok"] * 8
    found = whole(tmp_path)
    states = {row["ref"]: row["status"] for row in found["messages"] if ours([row])}
    queued, posted = ("order_1", "order_2", "order_3", "order_4"), ("order_5", "order_6", "order_7")
    assert states == {"order_0": "cancelled"} | dict.fromkeys(queued, "queued") | dict.fromkeys(
        posted, "sent"
    )
    assert [row["paused"] for row in found["queue"]] == [1]
    assert sorted(row["text"] for row in found["posts"] if row["text"].startswith("Order ")) == ["Order 5", "Order 6", "Order 7"]  # fmt: skip
