"""Heads of the log leave a running gateway, and no place outside can hold up a call (P7)."""

import socket
import socketserver
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import anyio
import pytest

from crash.command import lockkeep
from crash.place import LIMIT, Launcher, Place
from house import House, house
from lockkeep.heads import outside
from lockkeep.ledger import audit, heads
from lockkeep.ledger.chain import Mark
from lockkeep.ledger.heads import Head
from lockkeep.sinks import Folder, Sink, Syslog, Webhook

from .test_command_line import installed, place

__all__ = ["installed", "place"]


@dataclass
class Listening:
    """A sink of the test: takes heads, or fails as it is told."""

    name: str = "listening"
    fails: Exception | None = None
    stuck: bool = False
    got: list[Head] = field(default_factory=list[Head])

    async def send(self, head: Head) -> None:
        if self.stuck:
            await anyio.sleep_forever()
        if self.fails is not None:
            raise self.fails
        self.got.append(head)


@asynccontextmanager
async def watched(folder: Path, *sinks: Sink) -> AsyncGenerator[House]:
    async with house(folder) as at:
        at.gateway.heads.sinks = sinks
        yield at


async def until(holds: Callable[[], bool]) -> None:
    with anyio.fail_after(LIMIT):
        while not holds():
            await anyio.sleep(0.02)


def sound(at: House, sink: Listening) -> bool:
    rows = at.store.read.all("audit_from", seq=1, count=100_000)
    marks = [head.mark for head in sink.got]
    return audit.verify([(row["seq"], row["hash"], row["record"]) for row in rows], marks) == []


@pytest.mark.promise("P7")
async def test_a_head_leaves_each_minute_if_there_is_something_new(tmp_path: Path) -> None:
    sink = Listening()
    async with watched(tmp_path, sink) as at:
        await at.gateway.heads.run_once()
        await at.call("shop.read", {"id": "a"})
        await at.gateway.heads.run_once()
        early = len(sink.got)
        at.clock.ahead += timedelta(seconds=61)
        await at.gateway.heads.run_once()
        await at.gateway.heads.run_once()
        later, seen = len(sink.got), sound(at, sink)
        at.clock.ahead += timedelta(seconds=61)
        await at.gateway.heads.run_once()

        assert (early, later, len(sink.got), seen) == (1, 2, 2, True)


@pytest.mark.promise("P7")
async def test_a_head_leaves_after_256_records(tmp_path: Path) -> None:
    sink = Listening()
    async with watched(tmp_path, sink) as at:
        await at.gateway.heads.run_once()
        for number in range(heads.RECORDS):
            assert len(sink.got) == 1, number
            await at.store.write(lambda tx: audit.append(tx, "request.refused", at.clock(), status=401))
        await at.gateway.heads.run_once()

        assert sink.got[1].size - sink.got[0].size == heads.RECORDS


@pytest.mark.promise("P7")
async def test_a_head_leaves_at_once_after_a_kill_and_at_a_clean_stop(tmp_path: Path) -> None:
    sink = Listening()
    async with watched(tmp_path, sink) as at:
        await until(lambda: len(sink.got) == 1)
        await at.throw()
        await until(lambda: len(sink.got) == 2)
    async with house(tmp_path) as again:
        stopped = next(each for each in again.audit() if each["type"] == "gateway.stopped")

        assert sink.got[2].size == stopped["seq"]
        assert sound(again, sink)


@pytest.mark.promise("P7")
@pytest.mark.parametrize(
    "broken", [Listening("broken", OSError(28, "No space left on device")), Listening("broken", stuck=True)]
)
async def test_a_place_that_takes_nothing_stops_no_call_is_said_and_tried_again(
    tmp_path: Path, broken: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lockkeep.heads.LIMIT", 0.05)
    good = Listening("good")
    async with watched(tmp_path, broken, good) as at:
        await at.gateway.heads.run_once()
        answer = await at.call("shop.read", {"id": "a"})
        failing = outside(at.store, [broken, good])
        broken.fails, broken.stuck = None, False
        at.clock.ahead += timedelta(seconds=30)
        await at.gateway.heads.run_once()
        mended = outside(at.store, [broken, good])

        assert not answer.is_error
        assert len(good.got) == 1
        assert "FAILING" in failing[0]
        assert "FAILING" not in failing[1] + mended[0]
        assert broken.got == good.got


@pytest.mark.parametrize("address", ["udp", "tcp", "unix"])
async def test_syslog_gets_one_message_of_rfc_5424(tmp_path: Path, address: str) -> None:
    head = Head(installation="i", size=7, hash="0" * 64, at="2027-03-01T00:00:00.000000Z", signature="00")
    with syslog(address, tmp_path) as (where, heard):
        await Syslog(where).send(head)
        await until(lambda: bool(heard))

    assert heard[0].startswith(f"<110>1 {head.at} ".encode())
    assert heads.head_of(heard[0].decode(), "syslog") == head


@pytest.mark.parametrize(("status", "taken"), [(204, True), (302, False), (500, False)])
async def test_a_webhook_has_taken_a_head_when_it_says_so(status: int, taken: bool) -> None:
    head = Head(installation="i", size=7, hash="0" * 64, at="2027-03-01T00:00:00.000000Z", signature="00")
    with web(status) as (url, heard):
        hook = Webhook(f"{url}/secret-path")
        if taken:
            await hook.send(head)
        else:
            with pytest.raises(Exception, match=str(status)):
                await hook.send(head)

    assert [heads.head_of(each, "web") for each in heard] == [head]
    assert hook.name == "webhook 127.0.0.1"


async def test_a_folder_gets_a_file_a_head_and_none_is_ever_written_twice(tmp_path: Path) -> None:
    head = Head(installation="i", size=7, hash="0" * 64, at="2027-03-01T00:00:00.000000Z", signature="00")
    for each in (head, head, replace(head, hash="1" * 64)):
        await Folder(tmp_path).send(each)

    assert [found.hash[0] for found in heads.heads_in(tmp_path)] == ["0", "1"]


def test_status_says_where_heads_go_and_that_none_do(place: Place) -> None:
    nowhere = lockkeep(place.environ, "status", "--json").data["heads_outside"]
    (place.folder / "out").mkdir()
    environ = place.environ | {"LOCKKEEP_HEADS_FOLDER": str(place.folder / "out")}
    before = lockkeep(environ, "status", "--json").data["heads_outside"]
    head = lockkeep(environ, "audit", "head", "--json").data
    after = lockkeep(environ, "status", "--json").data["heads_outside"]

    assert nowhere.startswith("none configured")
    assert before == [f"folder {place.folder / 'out'}: nothing sent yet"]
    assert f"has {head['size']} records" in after[0]


@pytest.mark.promise("P7")
def test_a_kill_without_a_gateway_sends_a_head_too_and_a_dead_sink_does_not_hinder_it(place: Place) -> None:
    environ = place.environ | {"LOCKKEEP_HEADS_FOLDER": str(place.folder / "out")}
    hindered = lockkeep(environ, "kill", "--reason", "x", "--json")
    (place.folder / "out").mkdir()
    lockkeep(environ, "pause", "--reason", "y")
    thrown = place.events("switch.thrown")

    assert hindered.code == 0
    assert [head.size for head in heads.heads_in(place.folder / "out")] == [thrown[1]["seq"]]


@pytest.mark.promise("P7")
def test_an_export_is_checked_offline_against_heads_and_key(place: Place) -> None:
    out = place.folder / "out"
    out.mkdir()
    environ = place.environ | {"LOCKKEEP_HEADS_FOLDER": str(out)}
    lockkeep(environ, "audit", "head")
    lockkeep(environ, "token", "create", "--user", "bo")
    export, key = place.folder / "log.jsonl", place.folder / "key.pem"
    assert lockkeep(environ, "audit", "export", "--out", str(export)).code == 0
    key.write_text(lockkeep(environ, "audit", "key").out, encoding="utf-8")
    nowhere = {"LOCKKEEP_DATA": "/nowhere"}

    def checked() -> tuple[int, list[str]]:
        ran = lockkeep(
            nowhere,
            "audit",
            "verify",
            "--export",
            str(export),
            "--head",
            str(out),
            "--key",
            str(key),
            "--json",
        )
        return ran.code, [each["kind"] for each in ran.data["tampering"]]

    lines = export.read_text(encoding="utf-8").splitlines(keepends=True)
    good = checked()
    export.write_text("".join(lines[:2]), encoding="utf-8")
    cut = checked()
    export.write_text("".join(lines), encoding="utf-8")
    (file,) = out.iterdir()
    file.write_text(file.read_text(encoding="utf-8").replace('"size":', '"size":1'), encoding="utf-8")
    forged = checked()
    export.write_bytes(b"\x89PNG\r\n\x1a\n")
    unreadable = lockkeep(nowhere, "audit", "verify", "--export", str(export))
    without_key = lockkeep(nowhere, "audit", "verify", "--export", str(export), "--head", str(out))

    assert (good, cut, forged) == ((0, []), (1, ["truncated"]), (1, ["signature"]))
    assert (unreadable.code, "holds no records" in unreadable.err) == (2, True)
    assert (without_key.code, "--key" in without_key.err) == (2, True)


@pytest.mark.promise("P7")
def test_heads_of_two_keys_are_checked_with_both_and_only_with_both(place: Place) -> None:
    out = place.folder / "out"
    out.mkdir()
    environ = place.environ | {"LOCKKEEP_HEADS_FOLDER": str(out)}
    keys: list[str] = []
    for number in range(2):  # as after a restore on a new machine
        (place.data / heads.FILE).unlink(missing_ok=True)
        file = place.folder / f"key-{number}.pem"
        file.write_text(lockkeep(environ, "audit", "key").out, encoding="utf-8")
        assert lockkeep(environ, "audit", "head").code == 0
        keys += ["--key", str(file)]
    both = lockkeep(environ, "audit", "verify", "--head", str(out), *keys)
    one = lockkeep(environ, "audit", "verify", "--head", str(out), "--json")

    assert both.code == 0, both
    assert (one.code, [each["kind"] for each in one.data["tampering"]]) == (1, ["signature"])


def test_the_key_is_private_made_once_and_on_record(place: Place) -> None:
    first = lockkeep(place.environ, "audit", "key", "--json").data
    second = lockkeep(place.environ, "audit", "key", "--json").data
    file = place.data / heads.FILE
    (event,) = place.events("log.key")
    mode = file.stat().st_mode & 0o777
    file.chmod(0o644)
    open_ = lockkeep(place.environ, "audit", "key")

    assert first == second
    assert (mode, event["installation"], event["key"] in first["key"]) == (0o600, first["installation"], True)
    assert (open_.code, "chmod 600" in open_.err) == (2, True)


@pytest.mark.crash
@pytest.mark.promise("P7")
async def test_records_that_a_killed_gateway_lost_after_a_head_left_are_found(
    place: Place, launcher: Launcher, tmp_path: Path
) -> None:
    """A head covers nothing that is not on disk: what it names is there after kill -9."""
    async with launcher.gateway(place):
        with place.store() as store:
            key = store.write_now(lambda tx: heads.make_key(place.data, tx, place_now()))
            taken = store.write_now(lambda tx: heads.take(tx, key, place_now()))
    with place.store() as store:
        rows = store.read.all("audit_from", seq=1, count=1_000_000)

    found = audit.verify([(row["seq"], row["hash"], row["record"]) for row in rows], [taken.head.mark])
    assert found == []
    assert audit.verify(
        [(row["seq"], row["hash"], row["record"]) for row in rows[: taken.head.size - 1]],
        [Mark(taken.head.size, taken.head.hash)],
    )


def place_now() -> Any:
    from lockkeep.app import utc_now

    return utc_now()


# -- places outside ---------------------------------------------------------------------------------------------


@contextmanager
def syslog(kind: str, folder: Path) -> Generator[tuple[str, list[bytes]]]:
    heard: list[bytes] = []
    if kind == "tcp":

        class Take(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                heard.append(self.rfile.readline())

        with socketserver.TCPServer(("127.0.0.1", 0), Take) as server, running_in_thread(server):
            yield f"tcp:127.0.0.1:{server.server_address[1]}", heard
        return
    family = socket.AF_UNIX if kind == "unix" else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as bound:
        where = str(folder / "log") if kind == "unix" else ("127.0.0.1", 0)
        bound.bind(where)
        bound.settimeout(LIMIT)
        listener = threading.Thread(target=lambda: heard.append(bound.recv(65536)))
        listener.start()
        yield str(where) if kind == "unix" else f"127.0.0.1:{bound.getsockname()[1]}", heard
        listener.join()


@contextmanager
def web(status: int) -> Generator[tuple[str, list[str]]]:
    heard: list[str] = []

    class Take(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(status)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Take) as server, running_in_thread(server):
        yield f"http://127.0.0.1:{server.server_address[1]}", heard


@contextmanager
def running_in_thread(server: socketserver.BaseServer) -> Generator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield
    server.shutdown()
    thread.join()
