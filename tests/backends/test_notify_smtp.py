"""Mail through a real mail server: taken once, refused, tried again, or unknown; never twice."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from email.headerregistry import Address
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import pytest

pytest.importorskip("aiosmtplib", reason="the mail adapter needs aiosmtplib: pip install 'lockkeep[smtp]'")
pytest.importorskip("aiosmtpd", reason="the test mail server needs aiosmtpd")

from tests.backends.smtp_server import PASSWORD, USER, MailServer, certificate, mail_server
from tests.unit.servers.desk import MONDAY, Desk
from tests.unit.servers.office import KEY, LENA, MAIL, office, rows, state, until

from lockkeep_servers.check.cases import WORLD
from lockkeep_servers.check.reading import read_cases
from lockkeep_servers.check.run import check
from lockkeep_servers.check.target import named
from lockkeep_servers.notify import port
from lockkeep_servers.notify.adapters.effects import reference_of
from lockkeep_servers.notify.adapters.smtp import Server, SmtpMail, compose
from lockkeep_servers.notify.server import SERVICE

SENDER = "Acme Service <service@acme.example>"
THERE = Address("Acme Service", addr_spec="service@acme.example")


def smtp(server: MailServer, **settings: str) -> dict[str, str]:
    return {
        "ADAPTER": "smtp", "SMTP_URL": f"smtp://127.0.0.1:{server.port}", "SMTP_FROM": SENDER, **settings,
    }  # fmt: skip


@asynccontextmanager
async def mailing(folder: Path, server: MailServer, **settings: str) -> AsyncGenerator[Desk]:
    async with office(folder, MONDAY, **smtp(server, **settings)) as desk:
        yield desk


async def due(desk: Desk, **given: Any) -> str:
    sent = await desk.ok("send", **{**MAIL, "idempotency_key": KEY, **given})
    desk.later(seconds=60)
    return sent["id"]


async def why(desk: Desk, id: str) -> str | None:
    return (await desk.ok("status", message_id=id))["messages"][0].get("why")


async def put_back(desk: Desk, id: str) -> None:
    """Return once it was tried and waits for its next turn."""
    with anyio.fail_after(10):
        while await why(desk, id) is None:
            await anyio.sleep(0.01)
    assert await state(desk, id) == "queued"


async def test_a_mail_arrives_as_it_was_meant(tmp_path: Path) -> None:
    body = "Grüße aus Köln 🎉\n.\n..two dots\nFrom here on\n" + "x" * 2000
    async with mail_server() as server, mailing(tmp_path, server) as desk:
        id = await due(desk, subject="Ihre Bestellung: größer, schöner 佐藤", body=body)
        await until(desk, id, "sent")

    (message,) = server.taken
    assert server.envelopes == [("service@acme.example", [LENA])]
    assert (message["From"], message["To"]) == (SENDER, LENA)
    assert message["Subject"] == "Ihre Bestellung: größer, schöner 佐藤"
    assert message["Message-ID"] == f"<{reference_of('send', KEY)}@acme.example>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Date"].datetime == desk.now
    assert message.get_content() == body.replace("\n", "\r\n") + "\r\n"
    assert server.raw[0].isascii()
    assert b"\n" not in server.raw[0].replace(b"\r\n", b"")


@pytest.mark.parametrize(
    "letter",
    [
        port.Letter(LENA, "a\r\nBcc: all@kestrel.example", "x", "ref"),
        port.Letter(f"{LENA}\r\nBcc: all@kestrel.example", "a", "x", "ref"),
        port.Letter(LENA, "a\nb", "x", "ref"),
    ],
)
async def test_a_line_break_in_a_header_never_reaches_the_wire(letter: port.Letter) -> None:
    with pytest.raises(ValueError):
        compose(letter, THERE, MONDAY)
    async with mail_server() as server:
        mail = SmtpMail(
            Server("127.0.0.1", server.port, implicit_tls=False, loopback=True), THERE, lambda: MONDAY
        )
        assert await mail.deliver(letter, lambda: True) == port.Refused("not_composable", permanent=True)
    assert server.connections == 0


@pytest.mark.parametrize(
    "body", ["a\r\n.\r\nMAIL FROM:<x@y.example>", "a\n.\nb", "a\r.\rb", ".\r\n", "\r\n.\r\n\r\n"]
)
async def test_a_body_cannot_end_itself(body: str, tmp_path: Path) -> None:
    async with mail_server() as server, mailing(tmp_path, server) as desk:
        await until(desk, await due(desk, body=body), "sent")

    assert len(server.raw) == 1
    assert server.taken[0].get_content().splitlines() == body.splitlines()


@pytest.mark.parametrize("answer", ["550 5.1.1 no such user", "554 we do not take this"])
@pytest.mark.parametrize("where", ["rcpt", "data"])
async def test_what_is_refused_for_good_has_failed(where: str, answer: str, tmp_path: Path) -> None:
    async with mail_server() as server, mailing(tmp_path, server) as desk:
        getattr(server, where).append(answer)
        id = await due(desk)
        await until(desk, id, "failed")
        assert await why(desk, id) == f"smtp_{answer[:3]}"
        desk.later(hours=5)
        await until(desk, await due(desk, idempotency_key="step-0002"), "sent")

    assert (len(server.taken), server.connections) == (1, 2)


@pytest.mark.parametrize(
    ("server_does", "reason"),
    [
        ({"rcpt": ["451 come back"]}, "smtp_451"),
        ({"data": ["452 full"]}, "smtp_452"),
        ({"rcpt": ["421 closing"]}, "smtp_421"),
        ({"rcpt": ["530 log in first"]}, "smtp_530"),
        ({"breaks": ["greeting"]}, "unreachable"),
        ({"breaks": ["before_data"]}, "unreachable"),
    ],
    ids=["rcpt", "dot", "closing", "login", "greeting", "before data"],
)
async def test_what_surely_did_not_go_is_tried_again_and_arrives_once(
    server_does: dict[str, list[str]], reason: str, tmp_path: Path
) -> None:
    async with mail_server() as server, mailing(tmp_path, server) as desk:
        for what, answers in server_does.items():
            getattr(server, what).extend(answers)
        id = await due(desk)
        await put_back(desk, id)
        assert (await why(desk, id), server.taken) == (reason, [])

        desk.later(seconds=30)

        await until(desk, id, "sent")
    assert (server.references, server.connections) == ([reference_of("send", KEY)], 2)


@pytest.mark.parametrize("where", ["in_body", "after_dot"])
async def test_a_connection_lost_once_the_body_went_leaves_it_unknown_and_it_is_never_sent_again(
    where: Any, tmp_path: Path
) -> None:
    async with mail_server() as server, mailing(tmp_path, server) as desk:
        server.breaks.append(where)
        id = await due(desk)
        await until(desk, id, "unknown")
        server.dotted.clear()
        desk.later(hours=5)
        await until(desk, await due(desk, idempotency_key="step-0002"), "sent")
        assert (await state(desk, id), await why(desk, id)) == ("unknown", "no_answer")
        assert (await desk.refused("cancel", message_id=id, reason="x"))["code"] == "window_closed"

    first = reference_of("send", KEY)
    assert server.references.count(first) == (1 if where == "after_dot" else 0)
    assert server.connections == 2


async def test_a_server_that_is_silent_after_the_final_dot_leaves_it_unknown() -> None:
    async with mail_server() as server:
        server.breaks.append("silence")
        mail = SmtpMail(
            Server("127.0.0.1", server.port, implicit_tls=False, loopback=True),
            THERE,
            lambda: MONDAY,
            answer_s=0.2,
        )

        said = await mail.deliver(port.Letter(LENA, "a", "b", "ref"), lambda: True)

    assert (said, len(server.taken)) == (port.Doubtful("no_answer"), 1)


async def test_a_no_at_the_last_look_leaves_nothing_at_the_server() -> None:
    async with mail_server() as server:
        mail = SmtpMail(
            Server("127.0.0.1", server.port, implicit_tls=False, loopback=True), THERE, lambda: MONDAY
        )

        said = await mail.deliver(port.Letter(LENA, "a", "b", "ref"), lambda: False)

    assert (said, server.connections, server.raw) == (port.Held(), 1, [])


async def test_a_server_that_is_away_is_waited_for(tmp_path: Path) -> None:
    async with mail_server() as server:
        away = server.port
    async with mailing(tmp_path, server) as desk:
        id = await due(desk)
        await put_back(desk, id)
        assert await why(desk, id) == "unreachable"
        async with mail_server(port=away) as back:
            desk.later(seconds=30)
            await until(desk, id, "sent")
            assert len(back.taken) == 1


# Credentials, encryption, the doctor


def logged_in(server: MailServer, password: str = PASSWORD) -> dict[str, str]:
    return {"SMTP_URL": f"smtp://{USER}@127.0.0.1:{server.port}", "SMTP_PASSWORD": password}


async def test_it_logs_in_and_a_wrong_password_keeps_the_mail(tmp_path: Path) -> None:
    async with mail_server(login=True) as server:
        async with mailing(tmp_path, server, **logged_in(server, "wrong-word")) as desk:
            id = await due(desk)
            await put_back(desk, id)
            assert await why(desk, id) == "auth"
            now = desk.now
        async with office(tmp_path, now, **smtp(server, **logged_in(server))) as desk:
            desk.later(seconds=60)
            await until(desk, id, "sent")


@pytest.mark.parametrize(("password", "levels"), [(PASSWORD, "ok"), ("wrong-word", "unusable")])
async def test_the_doctor_greets_and_logs_in(password: str, levels: str, tmp_path: Path) -> None:
    async with mail_server(login=True) as server:
        settings = {"DATA": str(tmp_path), "CHANNELS": "ops", **smtp(server), **logged_in(server, password)}
        found = await SERVICE.examine({f"LOCKKEEP_NOTIFY_{key}": value for key, value in settings.items()})

    assert [one.level for one in found if "mail server" in one.what] == [levels]
    assert (server.raw, password in str(found)) == ([], False)


async def test_the_doctor_says_when_nobody_answers(tmp_path: Path) -> None:
    async with mail_server() as server:
        pass
    settings = {"DATA": str(tmp_path), **smtp(server)}

    found = await SERVICE.examine({f"LOCKKEEP_NOTIFY_{key}": value for key, value in settings.items()})

    assert ["unreachable" in one.what for one in found if one.level == "unusable"] == [True]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command for a certificate")
async def test_what_is_offered_is_encrypted_and_a_stranger_is_told_nothing(tmp_path: Path) -> None:
    context, trusted = certificate(tmp_path)
    async with mail_server(tls=context, login=True) as server:
        url = {"SMTP_URL": f"smtp://{USER}@localhost:{server.port}", "SMTP_PASSWORD": PASSWORD}
        async with mailing(tmp_path, server, **url) as desk:
            id = await due(desk)
            await put_back(desk, id)
            assert (await why(desk, id), server.raw) == ("tls", [])
            now = desk.now
        async with office(tmp_path, now, **smtp(server, **url, SMTP_CA=str(trusted))) as desk:
            desk.later(seconds=60)
            await until(desk, id, "sent")

    assert server.encrypted == [True]


async def test_a_server_that_offers_no_encryption_gets_nothing_unless_it_is_this_machine() -> None:
    async with mail_server() as server:
        elsewhere = Server("127.0.0.1", server.port, implicit_tls=False, loopback=False)
        mail = SmtpMail(elsewhere, THERE, lambda: MONDAY)

        said = await mail.deliver(port.Letter(LENA, "a", "b", "ref"), lambda: True)

    assert (said, server.raw) == (port.Refused("not_offered"), [])


# Kills and crowds

WORKER = """
import os, sys
from datetime import datetime, timedelta
import anyio
from lockkeep_servers.notify.server import SERVICE

async def main():
    now = [datetime.fromisoformat(sys.argv[1])]
    mailroom = SERVICE.open(SERVICE.settings(os.environ), lambda: now[0])
    async with mailroom.session():
        now[0] += timedelta(seconds=60)  # the rest after the start is over
        await anyio.to_thread.run_sync(sys.stdin.read)

anyio.run(main)
"""


def worker(folder: Path, server: MailServer, **settings: str) -> "subprocess.Popen[str]":
    """A process of its own that sends what is due, until its stdin ends."""
    given = {"DATA": str(folder), **smtp(server), **settings}
    environ = {**os.environ, **{f"LOCKKEEP_NOTIFY_{key}": value for key, value in given.items()}}
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, MONDAY.isoformat()],
        env=environ, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, encoding="utf-8",
    )  # fmt: skip


async def filled(folder: Path, server: MailServer, count: int) -> list[str]:
    """A queue in which so many messages wait, and no server runs."""
    async with mailing(folder, server) as desk:
        await desk.ok("pause_queue", paused=True, reason="to fill it")
        sent = [
            await desk.ok("send", **MAIL, idempotency_key=f"step-{number:04}")
            for number in range(1, count + 1)
        ]
        await desk.ok("pause_queue", paused=False, reason="filled")
    return [one["id"] for one in sent]


async def ended(process: "subprocess.Popen[str]", *, told: bool = True) -> int:
    """Return what the process ended with; one that is not told to ends by itself."""
    with anyio.fail_after(20):
        if not told:
            await anyio.to_thread.run_sync(process.wait, abandon_on_cancel=True)
        await anyio.to_thread.run_sync(process.communicate, "", abandon_on_cancel=True)
    return process.returncode


async def at_last(folder: Path, server: MailServer, id: str) -> str:
    """What a server that starts long after the kill makes of the message."""
    async with office(folder, MONDAY, **smtp(server)) as desk:
        desk.later(minutes=30)
        await until(desk, await due(desk, idempotency_key="step-probe"), "sent")
        return await until(desk, id, "sent", "unknown", "failed")


@pytest.mark.full
@pytest.mark.crash
async def test_killed_in_the_middle_of_the_body_it_is_unknown_and_never_sent_twice(tmp_path: Path) -> None:
    async with mail_server() as server:
        (id,) = await filled(tmp_path, server, 1)
        server.breaks.append("silence")
        process = worker(tmp_path, server)
        with anyio.fail_after(20):
            await server.dotted.wait()
        process.send_signal(signal.SIGKILL)
        assert await ended(process, told=False) == -signal.SIGKILL
        assert [row["status"] for row in rows(tmp_path, "SELECT status FROM messages")] == ["sending"]

        assert await at_last(tmp_path, server, id) == "unknown"

    assert server.references.count(reference_of("send", KEY)) == 1


@pytest.mark.full
@pytest.mark.crash
@pytest.mark.parametrize(
    ("fault", "arrived", "becomes"),
    [
        ("crash_before:deliver", 0, "unknown"),
        ("crash_inside:deliver", 1, "unknown"),
        ("crash_after:deliver", 1, "sent"),
    ],
)
async def test_killed_at_any_step_it_arrives_once_at_most(
    fault: str, arrived: int, becomes: str, tmp_path: Path
) -> None:
    async with mail_server() as server:
        (id,) = await filled(tmp_path, server, 1)
        assert await ended(worker(tmp_path, server, FAULT=fault), told=False) == 137

        assert await at_last(tmp_path, server, id) == becomes

    assert server.references.count(reference_of("send", KEY)) == arrived


@pytest.mark.full
@pytest.mark.crash
@pytest.mark.parametrize("fault", ["crash_before:deliver", "crash_inside:deliver", "crash_after:deliver"])
async def test_where_the_transport_can_tell_a_kill_ends_in_exactly_one(fault: str, tmp_path: Path) -> None:
    async with mail_server() as server:
        (id,) = await filled(tmp_path, server, 1)
        assert await ended(worker(tmp_path, server, ADAPTER="embedded", FAULT=fault), told=False) == 137
    async with office(tmp_path) as desk:
        desk.later(minutes=30)
        await until(desk, id, "sent")

    assert [row["reference"] for row in rows(tmp_path, "SELECT reference FROM outbox")] == [
        reference_of("send", KEY)
    ]


@pytest.mark.full
async def test_two_processes_on_one_queue_send_each_message_once(tmp_path: Path) -> None:
    async with mail_server() as server:
        ids = await filled(tmp_path, server, 40)
        crowd = [worker(tmp_path, server) for _ in range(3)]
        with anyio.fail_after(60):
            while len(server.taken) < len(ids):
                await anyio.sleep(0.05)
        assert [await ended(process) for process in crowd] == [0, 0, 0]

    assert len(server.references) == len(set(server.references)) == 40
    assert {row["status"] for row in rows(tmp_path, "SELECT status FROM messages")} == {"sent"}


@pytest.mark.full
async def test_the_ten_points_hold(tmp_path: Path) -> None:
    numbers = count()
    async with mail_server() as server:

        def fresh() -> dict[str, str]:
            given = {"DATA": str(tmp_path / str(next(numbers))), **WORLD, **smtp(server)}
            return {f"LOCKKEEP_NOTIFY_{key}": value for key, value in given.items()}

        cases = read_cases(SERVICE.folder / "conformance.yaml")
        report = await check(named("notify", "smtp", fresh=fresh), cases)

    assert [(each.point, each.tool, each.case, each.sentence) for each in report.failed] == []
    assert report.reaches("silver")


async def test_a_made_up_world_leaves_no_mail_for_a_real_server(tmp_path: Path) -> None:
    async with mail_server() as server:
        given = {"DATA": str(tmp_path), **WORLD, **smtp(server)}
        SERVICE.build({f"LOCKKEEP_NOTIFY_{key}": value for key, value in given.items()}, lambda: MONDAY)

    assert "queued" not in {row["status"] for row in rows(tmp_path, "SELECT status FROM messages")}
