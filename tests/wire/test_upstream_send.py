"""What a send proves: the outcome table, on every way to an integration."""

import json
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Literal

import anyio
import pytest

from lockkeep.model import Answer, Integration
from lockkeep.upstream import ReadFailed

from .fixture_servers.book import CRASH_TEXT, Book
from .fixture_servers.gateway_side import Side, claim, connected, in_process, over_wire
from .fixture_servers.over_http import Era, Fault, wired

Way = Literal["in process", "modern", "legacy"]
WAYS: tuple[Way, ...] = ("in process", "modern", "legacy")
ERAS: tuple[Era, ...] = ("modern", "legacy")


@asynccontextmanager
async def over(way: Way, book: Book) -> AsyncGenerator[Side]:
    if way == "in process":
        async with in_process(book) as side:
            yield side
        return
    async with over_wire(book, way) as (side, _):
        yield side


def outcome(answer: Answer) -> tuple[str, bool]:
    return answer.state, answer.withheld


@pytest.mark.parametrize("way", WAYS)
async def test_a_call_is_sent_once_with_the_calls_id_as_its_key_and_never_as_a_dry_run(way: Way) -> None:
    book = Book()
    async with over(way, book) as side:
        answer = await side.send("book.add", text="hello", dry_run=True, nothing=None)

    assert answer.state == "succeeded"
    assert answer.result is not None
    assert answer.result["structuredContent"] == {"said": "hello", "key": "call_1"}
    assert book.ran == [("add", {"text": "hello", "nothing": None, "idempotency_key": "call_1"})]


TABLE: list[tuple[str, dict[str, Any], str, str, str]] = [
    # what the server does           read      atomic write  other write
    ("result", {"do": "echo"}, "succeeded", "succeeded", "succeeded"),
    ("closed error", {"do": "code:conflict"}, "failed", "failed", "unknown"),
    ("in progress", {"do": "code:in_progress"}, "failed", "unknown", "unknown"),
    ("unknown outcome", {"do": "code:unknown_outcome"}, "failed", "unknown", "unknown"),
    ("plain error", {"do": "plain"}, "failed", "unknown", "unknown"),
    ("crash", {"do": "crash"}, "failed", "unknown", "unknown"),
    ("protocol error", {"do": "protocol:-32602"}, "failed", "unknown", "unknown"),
    ("connection closed", {"do": "protocol:-32000"}, "failed", "unknown", "unknown"),
    ("time-out", {"do": "wait"}, "failed", "unknown", "unknown"),
    ("question", {"do": "ask"}, "failed", "failed", "unknown"),
    ("unknown kind", {"do": "malformed"}, "failed", "unknown", "unknown"),
]


@pytest.mark.parametrize("way", WAYS)
async def test_the_outcome_table_holds_for_reads_and_writes(way: Way) -> None:
    async with over(way, Book()) as side:
        got: list[tuple[str, str, str, str]] = []
        for name, arguments, *_ in TABLE:
            timeout = 0.05 if name == "time-out" else 5
            states = [
                (await side.send(tool, timeout=timeout, **arguments)).state
                for tool in ("book.look", "book.add", "book.loose")
            ]
            got.append((name, states[0], states[1], states[2]))

    expected = [(name, *states) for name, _, *states in TABLE]
    if way == "legacy":  # has no kinds of results: its server cannot ask, and the tag counts for nothing
        expected[9] = ("question", "failed", "unknown", "unknown")
        expected[10] = ("unknown kind", "succeeded", "succeeded", "succeeded")
    assert got == expected


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("do", ["wrong", "text_only"])
async def test_a_write_whose_result_breaks_its_schema_did_happen_and_is_withheld_with_an_alarm(
    way: Way, do: str, caplog: pytest.LogCaptureFixture
) -> None:
    book = Book()
    async with over(way, book) as side:
        answer = await side.send("book.add", do=do)
        with pytest.raises(ReadFailed):
            await side.upstream.read(side.tools["book.look"], {"do": do})

    assert outcome(answer) == ("succeeded", True)
    assert [name for name, _ in book.ran] == ["add", "look"]  # sent once, not repeated
    assert [r.message for r in caplog.records if r.message.startswith("alarm:")] == [
        "alarm: book.add did happen (call call_1), but its result breaks the pinned output schema"
    ]


@pytest.mark.parametrize("way", WAYS)
async def test_a_forged_never_sent_is_no_proof(way: Way) -> None:
    forged = json.dumps({"sent": False, "token": "f" * 32})
    async with over(way, Book()) as side:
        answer = await side.send("book.add", do="protocol:-32000", text=forged)

    assert outcome(answer) == ("unknown", False)


FAULTS: list[tuple[Fault, str, int]] = [
    ("reset before", "unknown", 0),
    ("cut mid", "unknown", 1),
    ("reset after", "unknown", 1),
    ("silence", "unknown", 0),
    ("502", "unknown", 0),
    ("redirect", "unknown", 0),
    ("garbage", "unknown", 0),
]


@pytest.mark.parametrize("era", ERAS)
async def test_a_broken_connection_fails_its_own_call_alone(era: Era) -> None:
    book = Book()
    async with over_wire(book, era) as (side, wire):
        for fault, expected, ran in FAULTS:
            wire.fault, wire.met, book.gate, book.entered = fault, anyio.Event(), anyio.Event(), anyio.Event()
            book.ran.clear()
            neighbour: list[Answer] = []
            hit: list[Answer] = []
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_into, neighbour, side, {"do": "wait", "text": "neighbour"})
                with anyio.fail_after(5):
                    await book.entered.wait()
                tasks.start_soon(_into, hit, side, {"text": "faulty"}, 0.3)
                with anyio.fail_after(5):
                    await wire.met.wait()
                book.gate.set()

            again = await side.send("book.add", text="next")
            assert (fault, hit[0].state, neighbour[0].state, again.state) == (
                fault,
                expected,
                "succeeded",
                "succeeded",
            )
            assert (fault, [a["text"] for _, a in book.ran if a["text"] == "faulty"]) == (
                fault,
                ["faulty"] * ran,
            )


async def _into(answers: list[Answer], side: Side, arguments: dict[str, Any], timeout: float = 5) -> None:
    answers.append(await side.send("book.add", timeout=timeout, **arguments))


@pytest.mark.parametrize("era", ERAS)
async def test_a_refused_connection_is_proof_that_nothing_was_sent(era: Era) -> None:
    book = Book()
    async with over_wire(book, era) as (side, wire):
        await wire.disconnect()
        answer = await side.send(
            "book.add", text="hello"
        )  # the gateway may or may not know yet that it is down
        await side.down("book")
        meanwhile = await side.send("book.add", text="hello")

    assert (answer.state, meanwhile.state, book.ran) == ("failed", "failed", [])


async def test_no_text_of_a_server_reaches_our_log_or_a_reason(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="lockkeep")
    async with in_process(Book()) as side:
        answers = [await side.send("book.add", do=do) for do in ("crash", "protocol:-32602")]

    ours = [r.getMessage() for r in caplog.records if r.name.startswith("lockkeep")]
    assert [CRASH_TEXT in text for text in [*ours, *(a.reason for a in answers)]] == [False] * (len(ours) + 2)
    assert [r.exc_info for r in caplog.records if r.name.startswith("lockkeep") and r.exc_info] == []


@pytest.mark.parametrize("era", ERAS)
async def test_only_the_integrations_own_credential_goes_upstream(
    era: Era,
) -> None:
    book = Book()
    async with wired(book.server(), era) as wire:
        mine = Integration(name="book", url=wire.url, bearer="env:BOOK_TOKEN")
        async with connected(mine, environ={"BOOK_TOKEN": "own-token"}) as side:
            await side.send("book.add", text="hello")
            await side.upstream.read(side.tools["book.look"], {"text": "hello"})

    sensitive = {"authorization", "cookie", "proxy-authorization", "x-forwarded-for", "forwarded"}
    assert [{k: v for k, v in headers.items() if k in sensitive} for headers in book.headers] == [
        {"authorization": "Bearer own-token"},
        {"authorization": "Bearer own-token"},
    ]


@pytest.mark.parametrize("way", WAYS)
async def test_progress_reaches_the_caller_and_a_caller_that_cannot_take_it_disturbs_nothing(
    way: Way,
) -> None:
    told: list[tuple[float, float | None, str | None]] = []

    async def take(now: float, total: float | None, message: str | None) -> None:
        told.append((now, total, message))
        raise RuntimeError("the host has gone")

    async with over(way, Book()) as side:
        answer = await side.upstream.send(claim(side.tools["book.add"], {"do": "progress"}), progress=take)

    assert (answer.state, told) == ("succeeded", [(1.0, 2.0, "half")])


async def test_a_tool_that_is_not_the_one_decided_on_is_never_sent() -> None:
    book = Book()
    async with in_process(book) as side:
        decided = claim(side.tools["book.add"], {"text": "hello"})
        other = side.tools["book.loose"]
        answers = [await side.upstream.send(decided, other)]
        del side.tools["book.add"]
        answers.append(await side.upstream.send(decided))

    assert ([a.state for a in answers], book.ran) == (["failed", "failed"], [])


async def test_only_reads_and_the_tools_that_verify_can_be_read() -> None:
    async with in_process(Book()) as side:
        look = await side.upstream.read(side.tools["book.look"], {"text": "a"})
        receipt = await side.upstream.read(side.tools["book.receipt"], {"text": "b"})
        with pytest.raises(ReadFailed) as refused:
            await side.upstream.read(side.tools["book.add"], {"text": "c"})
        with pytest.raises(ReadFailed) as failed:
            await side.upstream.read(side.tools["book.look"], {"do": "code:not_found"})

    assert (look, receipt) == ({"said": "a", "key": None}, {"said": "b", "key": None})
    assert (refused.value.reason, bool(failed.value.reason)) == ("book.add is no read.", True)
