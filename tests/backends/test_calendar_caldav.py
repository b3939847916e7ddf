"""The calendar on a real Radicale: every tool, one effect a key, exact undo, other clients' events, broken lines."""

import json
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import anyio
import pytest

pytest.importorskip("radicale", reason="pip install radicale (GPL, for tests only)")
pytest.importorskip("icalendar", reason="pip install lockkeep[caldav]")

from tests.backends.caldav_desk import Place, open_place, opened
from tests.backends.radicale import calendar_file, environ_of, radicale
from tests.unit.servers import test_calendar as embedded
from tests.unit.servers.desk import Desk
from tests.unit.servers.writes import EVENT, SERIES, THIRD, WRITES, Prepared, a_series

from lockkeep_servers.calendar.server import SERVICE, build
from lockkeep_servers.kit.settings import SettingError
from lockkeep_servers.kit.vendor import LATE_S

KEY = "step-0001"
Case = tuple[str, Prepared, dict[str, Any]]
CALENDAR = [
    (tool, prepared, arguments) for server, tool, prepared, arguments in WRITES if server == "calendar"
]
QUICK = (0, 2, 3)  # once, one field, one of a series; the others run in full


def cases(chosen: list[tuple[int, Case]]) -> pytest.MarkDecorator:
    made = [
        pytest.param(*case, id=f"{case[0]}-{place}", marks=() if place in QUICK else pytest.mark.full)
        for place, case in chosen
    ]
    return pytest.mark.parametrize(("tool", "prepared", "arguments"), made)


each_write = cases(list(enumerate(CALENDAR)))
each_change = cases([(place, case) for place, case in enumerate(CALENDAR) if case[0] != "create_event"])
WHOLE = {"from": "2027-02-01T00:00:00Z", "to": "2027-12-01T00:00:00Z", "limit": 50}


@pytest.fixture
async def place() -> AsyncGenerator[Place]:
    async with open_place() as found:
        yield found


@pytest.fixture
async def calendar(place: Place) -> Desk:
    return place.desk


async def titles(desk: Desk, calendar: str = "empty") -> list[tuple[str, str]]:
    """Return start and title of all that happens."""
    found: list[tuple[str, str]] = []
    cursor: str | None = None
    while not found or cursor:
        page = await desk.ok("list_events", calendar=calendar, cursor=cursor, **WHOLE)
        found += [(item["start"], item["title"]) for item in page["items"]]
        cursor = page["next_cursor"]
        if not page["items"]:
            break
    return found


@pytest.mark.full
@pytest.mark.parametrize(
    "promise",
    [
        embedded.test_an_event_that_overlaps_another_is_refused_and_may_be_allowed,
        embedded.test_a_series_that_clashes_in_week_seven_is_refused,
        embedded.test_a_series_keeps_its_wall_time_across_a_clock_change,
        embedded.test_the_second_of_an_ambiguous_time_stays_the_second_for_one_event,
        embedded.test_an_id_in_a_series_needs_a_scope_and_one_that_happens,
        embedded.test_this_changes_one_following_the_rest_and_all_everything,
        embedded.test_moving_a_series_drops_its_single_changes_and_says_how_many,
        embedded.test_a_cancelled_event_is_free_time_and_changes_no_more,
        embedded.test_restoring_after_thirty_days_is_too_late,
        embedded.test_two_changes_of_one_event_are_taken_back_newest_first,
        embedded.test_what_others_changed_between_two_takings_back_stays,
        embedded.test_slots_are_free_for_everybody_within_working_hours,
        embedded.test_pages_of_events_lose_and_double_nothing,
    ],
)
async def test_what_the_embedded_calendar_promises_holds_here_too(
    promise: Callable[[Desk], Awaitable[None]], calendar: Desk
) -> None:
    await promise(calendar)


# One effect a key, exact undo, dry run, versions


@each_write
async def test_a_key_used_twice_has_one_effect_and_one_receipt(
    tool: str, prepared: Prepared, arguments: dict[str, Any], place: Place
) -> None:
    args = {**await prepared(place.desk), **arguments, "idempotency_key": KEY}

    first = await place.desk.ok(tool, **args)
    stored = place.files()
    second = await place.desk.ok(tool, **args)

    assert second == {**first, "replayed": True}
    assert place.files() == stored
    found = await place.desk.ok("get_receipt", idempotency_key=KEY, fence=True)
    assert found == {"state": "committed", "tool": tool, "receipt": first}


@each_write
async def test_undo_by_the_manifest_brings_every_file_back(
    tool: str, prepared: Prepared, arguments: dict[str, Any], place: Place
) -> None:
    args = {**await prepared(place.desk), **arguments, "idempotency_key": KEY}
    before = place.lasting()

    receipt = await place.desk.ok(tool, **args)
    assert place.lasting() != before
    await place.desk.undo(tool, args, receipt)

    after = place.lasting()
    if receipt["before"] is not None:
        assert after == before
    else:  # the declared residue: the event, cancelled
        assert {name: lines for name, lines in after.items() if name in before} == before
        assert "STATUS:CANCELLED\r\n" in place.file_of(receipt["id"])


@each_write
async def test_a_dry_run_predicts_the_change_and_sends_nothing(
    tool: str, prepared: Prepared, arguments: dict[str, Any]
) -> None:
    async with open_place(proxied=True) as place:
        assert place.proxy
        args = {**await prepared(place.desk), **arguments, "idempotency_key": KEY}
        sent, before = list(place.proxy.writes), place.files()

        predicted = await place.desk.ok(tool, **args, dry_run=True)

        assert (place.proxy.writes, place.files()) == (sent, before)
        done = await place.desk.ok(tool, **args)
        assert {**done, "version": ""} == {**predicted, "applied": True, "version": ""}


@each_change
async def test_undo_keeps_what_another_client_changed_meanwhile(
    tool: str, prepared: Prepared, arguments: dict[str, Any], place: Place
) -> None:
    args = {**await prepared(place.desk), **arguments, "idempotency_key": KEY}
    receipt = await place.desk.ok(tool, **args)
    text = place.file_of(receipt["id"])
    (name,) = [name for name, found in place.files().items() if found == text]
    place.put(name, text.replace("SUMMARY:", "SUMMARY:Third "), "rep_1")
    between = place.files()

    with pytest.raises(AssertionError, match="code=conflict"):
        await place.desk.undo(tool, args, receipt)

    assert place.files() == between


@each_change
async def test_a_stale_version_writes_nothing(
    tool: str, prepared: Prepared, arguments: dict[str, Any], place: Place
) -> None:
    target = await prepared(place.desk)
    version = (await place.desk.ok("get_event", **target))["version"]
    text = place.file_of(target["event_id"])
    (name,) = [name for name, found in place.files().items() if found == text]
    place.put(name, text.replace("SUMMARY:", "SUMMARY:Third "), "rep_1")
    stored = place.files()

    error = await place.desk.refused(tool, **target, **arguments, expected_version=version)

    assert (error["code"], place.files()) == ("conflict", stored)


@pytest.mark.full
async def test_a_change_that_falls_between_read_and_write_is_kept() -> None:
    async with open_place(proxied=True) as place:
        assert place.proxy
        made = await place.desk.ok("create_event", **EVENT)
        name = f"{made['id'].removeprefix('evt_')}.ics"
        place.proxy.trouble("PUT", "held")
        refused: list[dict[str, Any]] = []

        async def update() -> None:
            asked = {"calendar": "rep_1", "event_id": made["id"], "changes": {"title": "Ours"}}
            refused.append(await place.desk.refused("update_event", **asked, idempotency_key=KEY))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(update)
            await place.proxy.struck.wait()
            place.put(name, place.files()[name].replace("SUMMARY:", "SUMMARY:Theirs "), "rep_1")
            place.proxy.let_go.set()

        assert refused[0]["code"] == "unknown_outcome"  # ours was lost on the way, and theirs is there
        assert "SUMMARY:Theirs Review" in place.files()[name]
        assert (await place.desk.ok("get_receipt", idempotency_key=KEY))["state"] == "unknown"


async def test_sixteen_callers_with_one_key_have_one_effect(place: Place) -> None:
    answers: list[dict[str, Any]] = []

    async def call() -> None:
        answers.append(await place.desk.ok("create_event", **EVENT, idempotency_key=KEY))

    async with anyio.create_task_group() as callers:
        for _ in range(16):
            callers.start_soon(call)

    assert len({answer["id"] for answer in answers}) == 1
    assert sorted(answer["replayed"] for answer in answers) == [False] + [True] * 15


async def test_two_servers_on_one_receipts_file_send_once() -> None:
    async with open_place(proxied=True) as place, opened(place.environ) as other:
        assert place.proxy
        codes: list[str] = []

        async def call(desk: Desk) -> None:
            is_error, answer, _ = await desk.answer("create_event", **EVENT, idempotency_key=KEY)
            codes.append(answer["error"]["code"] if is_error else "ok")

        async with anyio.create_task_group() as callers:
            for _ in range(4):
                callers.start_soon(call, place.desk)
                callers.start_soon(call, other)

        assert place.proxy.writes == ["PUT"]
        assert set(codes) <= {"ok", "in_progress"}
        assert (await other.ok("create_event", **EVENT, idempotency_key=KEY))["replayed"] is True


@pytest.mark.full
async def test_sixteen_callers_who_want_the_same_hour_get_it_once(place: Place) -> None:
    codes: list[str] = []

    async def call(number: int) -> None:
        asked = {**EVENT, "calendar": "empty", "idempotency_key": f"step-{number:04}"}
        is_error, answer, _ = await place.desk.answer("create_event", **asked)
        codes.append(answer["error"]["code"] if is_error else "ok")

    async with anyio.create_task_group() as callers:
        for number in range(16):
            callers.start_soon(call, number)

    assert sorted(codes) == ["check_failed"] * 15 + ["ok"]


async def test_a_key_with_other_arguments_and_a_fenced_one_are_told_apart(place: Place) -> None:
    await place.desk.ok("create_event", **EVENT, idempotency_key=KEY)
    stored = place.files()

    other = await place.desk.refused("create_event", **{**EVENT, "title": "Other"}, idempotency_key=KEY)
    await place.desk.ok("get_receipt", idempotency_key="fenced-key", fence=True)
    fenced = await place.desk.refused("create_event", **SERIES, idempotency_key="fenced-key")

    assert (other["code"], fenced["code"], place.files()) == ("idempotency_conflict", "cancelled", stored)
    assert await place.desk.ok("get_receipt", idempotency_key="never-used") == {"state": "absent"}


async def test_an_event_made_before_the_data_folder_was_lost_is_not_made_twice(place: Place) -> None:
    made = await place.desk.ok("create_event", **EVENT, idempotency_key=KEY)

    async with opened(environ_of(place.user)) as desk:
        again = await desk.ok("create_event", **EVENT, idempotency_key=KEY)

    assert again["id"] == made["id"]
    assert [start for start, title in await titles(place.desk, "rep_1") if title == "Review"] == [
        EVENT["start"]
    ]


# Killed


RUNS = """
import json, sys
from datetime import datetime, UTC
import anyio
from mcp import Client
from lockkeep_servers.calendar.server import build

async def main(environ, tool, arguments):
    server = build(environ, lambda: datetime(2027, 3, 1, 7, tzinfo=UTC))
    async with Client(server) as client:
        result = await client.call_tool(tool, arguments)
        print(json.dumps(result.structured_content))

anyio.run(main, *map(json.loads, (sys.argv[1], json.dumps(sys.argv[2]), sys.argv[3])))
"""


def started(environ: Any, tool: str, arguments: dict[str, Any], fault: str = "") -> "subprocess.Popen[str]":
    given = {**environ, **({"LOCKKEEP_CALENDAR_FAULT": f"{fault}:{tool}"} if fault else {})}
    words = [
        sys.executable,
        "-c",
        RUNS,
        json.dumps(given),
        tool,
        json.dumps({**arguments, "idempotency_key": KEY}),
    ]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")


async def ended(process: "subprocess.Popen[str]") -> int:
    output, errors = await anyio.to_thread.run_sync(lambda: process.communicate(timeout=60))
    assert output == "", (output, errors)
    return process.returncode


@pytest.mark.crash
@pytest.mark.full
@pytest.mark.parametrize(
    ("tool", "prepared", "arguments"), [CALENDAR[0], CALENDAR[2], CALENDAR[4], CALENDAR[7]]
)
@pytest.mark.parametrize(("fault", "state"), [("crash_before", "unknown"), ("crash_inside", "committed"), ("crash_after", "committed")])  # fmt: skip
async def test_a_killed_write_retried_has_one_effect(
    tool: str, prepared: Prepared, arguments: dict[str, Any], fault: str, state: str, place: Place
) -> None:
    args = {**await prepared(place.desk), **arguments}
    before = place.lasting()

    assert await ended(started(place.environ, tool, args, fault)) == 137

    after = place.lasting()
    assert (after != before) == (state == "committed")
    assert (await place.desk.ok("get_receipt", idempotency_key=KEY))["state"] == state
    place.desk.later(seconds=0 if state == "committed" else LATE_S)
    retried = await place.desk.ok(tool, **args, idempotency_key=KEY)
    assert retried["replayed"] == (state == "committed")
    assert await place.desk.ok(tool, **args, idempotency_key=KEY) == {**retried, "replayed": True}
    if state == "committed":
        assert place.lasting() == after


@pytest.mark.crash
@pytest.mark.full
@pytest.mark.parametrize(("kind", "state"), [("silent", "committed"), ("held", "unknown")])
async def test_a_process_killed_while_it_waits_for_the_answer_leaves_one_effect(
    kind: Any, state: str
) -> None:
    async with open_place(proxied=True) as place:
        assert place.proxy
        place.proxy.trouble("PUT", kind)

        process = started(place.environ, "create_event", EVENT)
        await place.proxy.struck.wait()
        running = await place.desk.ok("get_receipt", idempotency_key=KEY, fence=kind == "held")
        assert running["state"] == ("started" if kind == "held" else "committed")
        if kind == "held":
            assert (await place.desk.refused("create_event", **EVENT, idempotency_key=KEY))[
                "code"
            ] == "in_progress"
        process.kill()
        await ended(process)

        found = await place.desk.ok("get_receipt", idempotency_key=KEY, fence=True)
        assert found["state"] == state
        place.desk.later(seconds=0 if state == "committed" else LATE_S)
        retried = await place.desk.ok("create_event", **EVENT, idempotency_key=KEY)
        assert retried["replayed"] == (state == "committed")
        place.proxy.let_go.set()  # what was held back arrives now, and finds the event there
        assert len([start for start, title in await titles(place.desk, "rep_1") if title == "Review"]) == 1


@pytest.mark.crash
@pytest.mark.full
@pytest.mark.parametrize("ending", ["retry", "fence", "changed"])
async def test_a_process_killed_between_two_files_is_brought_to_an_end(ending: str) -> None:
    async with open_place(proxied=True) as place:
        assert place.proxy
        series = await a_series(place.desk)
        args = {**series, "scope": "following", "occurrence": THIRD, "changes": {"title": "Late"}}
        before = place.lasting()
        place.proxy.trouble("PUT", "held", after=1)

        process = started(place.environ, "update_event", args)
        await place.proxy.struck.wait()
        process.kill()
        await ended(process)
        assert len(place.files()) == len(before) + 1  # the new series is there, the old one not yet cut

        if ending == "retry":
            assert (await place.desk.ok("update_event", **args, idempotency_key=KEY))["replayed"] is True
        elif ending == "fence":
            found = await place.desk.ok("get_receipt", idempotency_key=KEY, fence=True)
            assert found["state"] == "committed"
        else:
            text = place.file_of(series["event_id"])
            place.put(
                f"{series['event_id'].removeprefix('evt_')}.ics",
                text.replace("SUMMARY:", "SUMMARY:Third "),
                "rep_1",
            )
            found = await place.desk.ok("get_receipt", idempotency_key=KEY, fence=True)
            assert (
                found["state"] == "unknown"
            )  # a person decides: two things were begun, and one was changed since
            return
        listed = [title for _, title in await titles(place.desk, "rep_1")]
        assert (listed.count("Review"), listed.count("Late")) == (2, 4)
        await place.desk.ok("restore_event", receipt_key=KEY)
        assert place.lasting() == before


@pytest.mark.crash
@pytest.mark.full
async def test_what_somebody_changed_after_a_crash_is_found_and_not_undone(place: Place) -> None:
    made = await place.desk.ok("create_event", **EVENT)
    args = {"calendar": "rep_1", "event_id": made["id"], "changes": {"title": "Ours"}}
    assert await ended(started(place.environ, "update_event", args, "crash_inside")) == 137
    name = f"{made['id'].removeprefix('evt_')}.ics"
    place.put(name, place.files()[name].replace("SUMMARY:Ours", "SUMMARY:Ours and theirs"), "rep_1")

    found = await place.desk.ok("get_receipt", idempotency_key=KEY)
    error = await place.desk.refused("restore_event", receipt_key=KEY)

    assert (found["state"], found["receipt"]["undo"]["possible"]) == ("committed", "no")
    assert (error["code"], "SUMMARY:Ours and theirs" in place.files()[name]) == ("conflict", True)


# Broken lines


async def test_a_back_end_that_is_down_leaves_the_key_free() -> None:
    environ = {**environ_of(radicale().user()), "LOCKKEEP_CALENDAR_URL": "http://127.0.0.1:1/nobody/"}
    async with opened(environ) as desk:
        assert (await desk.refused("create_event", **EVENT, idempotency_key=KEY))["code"] == "unavailable"
        assert (await desk.refused("list_events", calendar="rep_1", **WHOLE))["code"] == "unavailable"
        assert await desk.ok("get_receipt", idempotency_key=KEY) == {"state": "absent"}


@pytest.mark.full
@each_change
@pytest.mark.parametrize("kind", ["500_after", "drop_after", "html"])
async def test_a_lost_answer_is_found_again_at_once(
    tool: str, prepared: Prepared, arguments: dict[str, Any], kind: Any
) -> None:
    async with open_place(proxied=True) as place:
        assert place.proxy
        args = {**await prepared(place.desk), **arguments, "idempotency_key": KEY}
        before = place.lasting()
        place.proxy.trouble("PUT", kind)

        is_error, answer, _ = await place.desk.answer(tool, **args)

        if is_error:  # of two files the first is there: the same key does the rest
            assert answer["error"]["code"] == "unknown_outcome"
            answer = await place.desk.ok(tool, **args)
        assert {**await place.desk.ok(tool, **args), "replayed": False} == {**answer, "replayed": False}
        await place.desk.undo(tool, args, answer)
        assert place.lasting() == before


@pytest.mark.parametrize(
    "kind",
    ["500_after", *(pytest.param(kind, marks=pytest.mark.full) for kind in ("silent", "drop_after", "html"))],
)
async def test_a_create_whose_answer_is_lost_is_found_again(kind: Any) -> None:
    async with open_place(proxied=True) as place:
        assert place.proxy
        place.proxy.trouble("PUT", kind)

        made = await place.desk.ok("create_event", **EVENT, idempotency_key=KEY)

        assert (made["applied"], place.proxy.writes) == (True, ["PUT"])
        assert (await place.desk.ok("create_event", **EVENT, idempotency_key=KEY))["replayed"] is True


@pytest.mark.parametrize(
    "kind",
    ["500_before", *(pytest.param(kind, marks=pytest.mark.full) for kind in ("drop_before", "garbage"))],
)
async def test_a_write_that_went_nowhere_is_unknown_until_it_can_no_longer_arrive(kind: Any) -> None:
    async with open_place(proxied=True) as place:
        assert place.proxy
        place.proxy.trouble("PUT", kind)

        error = await place.desk.refused("create_event", **EVENT, idempotency_key=KEY)
        soon = await place.desk.ok("get_receipt", idempotency_key=KEY, fence=True)
        place.desk.later(seconds=31)
        later = await place.desk.ok("get_receipt", idempotency_key=KEY, fence=True)

        assert (error["code"], soon["state"], later["state"]) == ("unknown_outcome", "unknown", "cancelled")
        assert soon["retry_after_s"] == 30
        assert (await place.desk.refused("create_event", **EVENT, idempotency_key=KEY))["code"] == "cancelled"
        assert place.proxy.writes == ["PUT"]


@pytest.mark.full
async def test_a_write_that_arrives_late_is_found_by_its_key() -> None:
    async with open_place(proxied=True) as place:
        assert place.proxy
        place.proxy.trouble("PUT", "held")
        assert (await place.desk.refused("create_event", **EVENT, idempotency_key=KEY))[
            "code"
        ] == "unknown_outcome"

        place.proxy.let_go.set()
        with anyio.fail_after(10):
            while (await place.desk.ok("get_receipt", idempotency_key=KEY, fence=True))[
                "state"
            ] != "committed":
                await anyio.lowlevel.checkpoint()

        assert (await place.desk.ok("create_event", **EVENT, idempotency_key=KEY))["replayed"] is True
        assert place.proxy.writes == ["PUT"]


@pytest.mark.parametrize(
    ("kind", "code", "retry"), [("429", "rate_limited", "after:7"), ("401", "auth", "no")]
)
async def test_a_refused_write_leaves_its_key_free(kind: Any, code: str, retry: str) -> None:
    async with open_place(proxied=True) as place:
        assert place.proxy
        place.proxy.trouble("PUT", kind)

        error = await place.desk.refused("create_event", **EVENT, idempotency_key=KEY)

        assert (error["code"], error["retry"]) == (code, retry)
        assert await place.desk.ok("get_receipt", idempotency_key=KEY) == {"state": "absent"}
        assert (await place.desk.ok("create_event", **EVENT, idempotency_key=KEY))["replayed"] is False


async def test_the_second_of_two_files_refused_takes_the_first_back() -> None:
    async with open_place(proxied=True) as place:
        assert place.proxy
        series = await a_series(place.desk)
        before = place.files()
        place.proxy.trouble("PUT", "429", after=1)
        args = {**series, "scope": "following", "occurrence": THIRD, "changes": {"title": "Late"}}

        error = await place.desk.refused("update_event", **args, idempotency_key=KEY)

        assert (error["code"], place.files()) == ("rate_limited", before)
        assert await place.desk.ok("get_receipt", idempotency_key=KEY) == {"state": "absent"}


@pytest.mark.full
@pytest.mark.parametrize("kind", ["500_before", "drop_before", "drop_after", "silent", "cut"])
async def test_a_read_survives_two_bad_answers_and_no_third(kind: Any) -> None:
    async with open_place(proxied=True) as place:
        assert place.proxy
        whole = await place.desk.ok("list_events", calendar="rep_1", **WHOLE)
        place.proxy.trouble("PROPFIND", kind, times=2)
        assert await place.desk.ok("list_events", calendar="rep_1", **WHOLE) == whole

        place.proxy.trouble("PROPFIND", kind, times=3)
        assert (await place.desk.refused("list_events", calendar="rep_1", **WHOLE))["code"] == "unavailable"


@pytest.mark.parametrize(("method", "kind", "code"), [
    ("PROPFIND", "html", "unavailable"), ("PROPFIND", "garbage", "unavailable"), ("PROPFIND", "elsewhere", "unavailable"),
    ("REPORT", "html", "unavailable"), ("REPORT", "garbage", ""), ("REPORT", "elsewhere", ""),
])  # fmt: skip
async def test_an_answer_in_no_form_of_ours_is_unavailable_or_asked_for_file_by_file(
    method: str, kind: Any, code: str
) -> None:
    async with open_place(proxied=True) as place:
        assert place.proxy
        place.proxy.trouble(method, kind, times=20)

        is_error, answer, _ = await place.desk.answer("list_events", calendar="rep_1", **WHOLE)

        assert (answer["error"]["code"] if is_error else "") == code
        assert is_error or len(answer["items"]) == 50


# Rights and settings


async def test_rights_are_named_and_kept(place: Place) -> None:
    error = await place.desk.refused(
        "create_event", **{**EVENT, "calendar": "read-only"}, idempotency_key=KEY
    )
    busy = await place.desk.ok("free_busy", calendars=["empty", "closed", "nobody"], **{"from": "2027-03-01T00:00:00Z", "to": "2027-03-02T00:00:00Z"})  # fmt: skip
    found = {
        finding.what.partition(":")[0]: finding.level for finding in await SERVICE.examine(place.environ)
    }

    assert error["code"] == "forbidden"
    assert busy == {"busy": [], "unreadable": ["closed", "nobody"]}
    assert (found["Calendar rep_1 can be read and written."], found["Calendar read-only"]) == (
        "ok",
        "warning",
    )


@pytest.mark.parametrize(
    "calendar", ["..", ".", "../user1/rep_1", "%2e%2e", "", "rep_1/", "/", "rep_1/../empty"]
)
async def test_no_name_leads_out_of_the_calendars(calendar: str, place: Place) -> None:
    assert (await place.desk.refused("list_events", calendar=calendar, **WHOLE))["code"] == "not_found"
    assert (await place.desk.refused("create_event", **{**EVENT, "calendar": calendar}))[
        "code"
    ] == "not_found"


async def test_doctor_says_what_is_wrong_with_password_and_address() -> None:
    environ = environ_of(radicale().user())
    for key, value in (("PASSWORD", "guessed"), ("URL", "http://127.0.0.1:1/"), ("URL", radicale().url)):
        findings = await SERVICE.examine({**environ, f"LOCKKEEP_CALENDAR_{key}": value})
        levels = [finding.level for finding in findings]
        assert ("unusable" in levels) == (value != radicale().url), (
            findings
        )  # the root leads to the user's own
        assert "guessed" not in str(findings)


@pytest.mark.parametrize(("key", "value"), [
    ("URL", ""), ("URL", "ftp://127.0.0.1/"), ("URL", "http://dav.example/"), ("URL", "https://ida:x@dav.example/"),
    ("URL", "https://[::1"), ("URL", "https://dav.example:x/"), ("USER", ""), ("PASSWORD", ""), ("WORLD", "demo"),
    ("CALENDARS", "rep_1"), ("ADAPTER", "caldaf"),
])  # fmt: skip
def test_a_setting_that_cannot_be_meant_ends_the_start(key: str, value: str) -> None:
    with pytest.raises(SettingError) as refused:
        build({**environ_of("nobody"), f"LOCKKEEP_CALENDAR_{key}": value})

    assert "LOCKKEEP_CALENDAR_" in str(refused.value)


def test_without_icalendar_the_start_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if "adapters.caldav" in name]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "icalendar", None)

    with pytest.raises(SettingError, match=r"lockkeep\[caldav\]"):
        build(environ_of("nobody"))


async def test_nobody_is_told_and_nothing_is_sent(place: Place) -> None:
    stored = place.files()
    told = {**EVENT, "attendees": ["ida@kestrel.example"], "notify": "all", "idempotency_key": KEY}

    assert (await place.desk.refused("create_event", **told))["code"] == "unsupported"
    assert (await place.desk.ok("get_receipt", idempotency_key=KEY), place.files()) == (
        {"state": "absent"},
        stored,
    )


async def test_a_server_that_invites_by_itself_is_not_given_what_it_would_send() -> None:
    async with open_place(proxied=True) as place:
        assert place.proxy
        place.proxy.trouble("OPTIONS", "invites", times=9)
        place.put("theirs.ics", calendar_file("UID:theirs", "DTSTART:20270302T100000Z", "SUMMARY:Theirs", "ORGANIZER:mailto:bo@kestrel.example", "ATTENDEE:mailto:ida@kestrel.example"))  # fmt: skip
        change = {"calendar": "empty", "event_id": "evt_theirs", "changes": {"title": "New"}}

        assert (await place.desk.refused("update_event", **change))["code"] == "unsupported"
        assert place.proxy.writes == []
