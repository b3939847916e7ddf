"""No secret that passes through a call reaches the disk, the log, a trace or an export (P10)."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.crash.command import command

from house import House, house, said
from shop import Shop, error, ok

CANARIES = {
    "key": "sk_live_4eC39HqLyjWDarjtT1zdp7dcAAAA",
    "token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dBjftJeZ4CVPmB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    "bearer": "Bearer abcdefghijklmnopqrstuvwxyz012345",
    "password": "password=correct-horse-battery",
    "card": "4111 1111 1111 1111",
    "own": "lk_" + "a1B2c3D4e5" * 5,
}
ASK = """\
api: lockkeep/v1
policy: shop
owner: lead
applies_to: {everywhere: true}
tools:
  shop.read, shop.pay: {allow: anyone}
  shop.write:
    allow: anyone
    ask: [{name: asked, when: 'id == "ask"', from: [lead], edit: [text]}]
    deny: [{name: never, when: 'id == "no"', say: "Not {text}."}]
"""


def places(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Everything the gateway has written, page by page of the database as it lies on the disk."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.name, path.read_bytes()


def found(folder: Path, secret: str) -> list[str]:
    return [name for name, content in places(folder) if secret.encode() in content]


async def through(home: House, secret: str) -> None:
    """In arguments, keys, names of tools, answers and errors; allowed, denied, asked for and refused by people."""
    said(await home.call("shop.write", {"id": "t1", "text": secret}))
    said(await home.call("shop.write", {"id": "no", "text": secret}))
    said(await home.call("shop.write", {"id": secret, "text": "x"}))
    said(await home.call("shop.nothing", {"id": secret}))
    said(await home.call("shop.write", {"id": "t2", "text": "y", "extra": secret}))
    said(await home.call("shop.write", {"id": "t3", "text": "z"}, meta={"lockkeep/idempotency_key": secret}))
    waiting = said(await home.call("shop.write", {"id": "ask", "text": secret}))
    await home.vote(waiting["approval_id"], "bo", "deny")

    async def answers(_name: str, _arguments: Any) -> Any:
        return ok({"applied": True, "id": secret})

    async def fails(_name: str, _arguments: Any) -> Any:
        return error(secret)

    for behave in (answers, fails):
        home.shop.behave = behave
        await home.call("shop.write", {"id": "t4", "text": behave.__name__})
    home.shop.behave = None


@pytest.mark.promise("P10")
@pytest.mark.parametrize(
    "kind",
    [
        "key",
        "card",
        *(pytest.param(each, marks=pytest.mark.full) for each in ("token", "bearer", "password", "own")),
    ],
)
async def test_a_secret_in_a_call_is_nowhere_once_the_call_has_ended(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    secret = CANARIES[kind]
    async with house(tmp_path, Shop(), rules=ASK) as home:
        await through(home, secret)
        environ = {"LOCKKEEP_DATA": str(tmp_path / "data"), "PATH": ""}
        exported = await command(environ, "audit", "export", "--format", "jsonl")
        shown = [await command(environ, "calls", "list", "--json")]
        assert home.sound()

    db = sqlite3.connect(tmp_path / "data" / "lockkeep.db")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # what a call that waited had to keep stood there until now
    db.close()
    assert found(tmp_path, secret) == []
    assert secret not in exported.out + "".join(each.out for each in shown)


@pytest.mark.promise("P3", "P10")
async def test_a_call_that_waits_still_runs_with_what_people_agreed_to(tmp_path: Path) -> None:
    secret = CANARIES["key"]
    async with house(tmp_path, Shop(), rules=ASK) as home:
        waiting = said(await home.call("shop.write", {"id": "ask", "text": secret}))
        await home.vote(waiting["approval_id"], "bo")
        with anyio.fail_after(5):
            while not home.shop.effects:
                await anyio.sleep(0.02)
        await home.call("lockkeep_wait", {"approval_id": waiting["approval_id"], "max_wait_s": 2})
        row = home.store.read.one("payload_get", call=waiting["call_id"])

    assert home.shop.effects[0][1]["text"] == secret
    assert row is not None
    assert secret not in row["arguments"] + row["sent"]


@pytest.mark.promise("P10")
async def test_what_an_approver_changed_is_told_without_the_secret_in_it(tmp_path: Path) -> None:
    secret = CANARIES["key"]
    async with house(tmp_path, Shop(), rules=ASK) as home:
        waiting = said(await home.call("shop.write", {"id": "ask", "text": secret}))
        row = home.store.read.one("approval_get", id=waiting["approval_id"])
        assert row is not None
        environ = {
            "LOCKKEEP_DATA": str(tmp_path / "data"),
            "LOCKKEEP_TOKEN": await home.token("bo", None),
            "PATH": "",
        }
        ran = await command(
            environ, "approvals", "edit", row["id"], "--digest", row["bound"][:16], "--set", "text=none"
        )
        old = home.store.read.one("call_get", id=waiting["call_id"])

        assert (ran.code, old is not None and "[key hidden]" in old["reason"]) == (0, True), ran.err
        assert secret not in ran.out + "".join(str(each) for each in home.audit())
