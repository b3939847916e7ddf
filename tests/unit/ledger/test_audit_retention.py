"""Old records and payloads go, and what is left still proves itself (P7)."""

import json
import random
import secrets
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lockkeep.errors import BadSetting, Conflict
from lockkeep.ledger import audit, calls, chain, heads, retention
from lockkeep.model import Json, stamp
from lockkeep.settings import from_environment
from lockkeep.store import Store, Tx

START = datetime(2027, 3, 1, tzinfo=UTC)
DAYS, A_DAY = 30, 4
NOW = START + timedelta(days=DAYS)


@pytest.fixture
def store(tmp_path: Path) -> Generator[Store]:
    """Thirty days, four calls a day; every seventh is still open."""
    store = Store(tmp_path / "lockkeep.db")
    for number in range(DAYS * A_DAY):
        at = START + timedelta(days=number // A_DAY, hours=number % A_DAY)
        store.write_now(lambda tx, number=number, at=at: _call(tx, number, at))
    yield store
    store.close()


def _call(tx: Tx, number: int, at: datetime) -> None:
    state = "unknown" if number % 7 == 0 else "succeeded"
    names = (
        "id state tool operation integration exported risk pin user agent host roles subject amount_minor currency key run step "
        "asked bound generation rules verdicts approval retry_of undo_of deny reason at claimed_at settled_at"
    )
    values: dict[str, Json] = {name: None for name in names.split()}  # noqa: C420 - typed
    texts = "tool operation integration exported risk pin user agent host roles asked rules verdicts"
    values |= dict.fromkeys(texts.split(), "x")
    values |= {
        "id": f"call_{number:04}",
        "state": state,
        "at": stamp(at),
        "settled_at": stamp(at),
        "generation": 1,
    }
    tx.run("call_insert", **values)
    secret = f"secret-{number}"
    tx.run(
        "call_payload",
        call=values["id"],
        salt=secrets.token_hex(16),
        arguments=calls.dump({"s": secret}),
        sent=None,
        facts=None,
        kept=None,
    )
    digest = calls.digest_with_salt(tx, f"call_{number:04}", {"s": secret})
    audit.append(tx, "call.settled", at, call=f"call_{number:04}", args=digest)


def rows(store: Store) -> list[tuple[int, str, str]]:
    return [
        (row["seq"], row["hash"], row["record"]) for row in store.read.all("audit_from", seq=1, count=100_000)
    ]


def payloads(store: Store) -> set[str]:
    return {
        row["id"]
        for row in store.read.all("calls_in_state", state="succeeded")
        if store.read.one("payload_get", call=row["id"])
    }


def key(store: Store) -> heads.Key:
    return store.write_now(lambda tx: heads.make_key(store.path.parent, tx, NOW))


def prune(store: Store, before: datetime) -> int:
    """All pieces; how many records are gone."""
    signer, upto, gone = key(store), retention.end_of(store.read, before), 0
    while (piece := store.write_now(
        lambda tx: retention.prune(tx, signer, upto=upto, before=before, by="ada", now=NOW)
    )) and (piece.records or piece.payloads):  # fmt: skip
        gone += piece.records
    return gone


def check(store: Store, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    dice = random.Random(seed)
    monkeypatch.setattr(retention, "BATCH", dice.choice([1, 7, 1000]))
    marks = [chain.Mark(seq, stored) for seq, stored, _ in rows(store) if dice.random() < 0.2]
    forgotten = dice.sample(sorted(payloads(store)), dice.randrange(5))
    for call in forgotten:
        row = retention.find(store.read, call)
        store.write_now(lambda tx, row=row: retention.forget(tx, row, by="ada", reason="asked to", now=NOW))
    assert audit.verify(rows(store), marks) == []
    day = dice.randrange(DAYS)
    gone = prune(store, START + timedelta(days=day))
    left = rows(store)
    found = chain.walked(left, marks)

    assert (gone, found.tampering, found.first) == (day * A_DAY, (), gone + 1)
    assert len(found.gaps) == (1 if gone else 0)
    assert payloads(store) == {
        f"call_{number:04}" for number in range(day * A_DAY, DAYS * A_DAY) if number % 7
    } - set(forgotten)
    assert chain.walked(left[1:], marks).tampering
    if gone:
        pruned = [
            json.loads(text) for _, _, text in left if '"log.pruned"' in text and "upto" in json.loads(text)
        ]
        head = heads.Head(
            installation=key(store).public.installation, size=pruned[-1]["upto"], hash=pruned[-1]["hash"],
            at=pruned[-1]["at"], signature=pruned[-1]["signature"],
        )  # fmt: skip
        assert key(store).public.fault(head) is None


@pytest.mark.promise("P7")
@pytest.mark.parametrize("seed", range(3))
def test_after_payloads_and_records_are_gone_the_rest_still_verifies(
    store: Store, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    check(store, seed, monkeypatch)


@pytest.mark.full
@pytest.mark.promise("P7")
@pytest.mark.parametrize("seed", range(3, 40))
def test_after_payloads_and_records_are_gone_forty_times(
    store: Store, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    check(store, seed, monkeypatch)


@pytest.mark.promise("P7")
def test_records_go_only_up_to_a_head_that_was_signed_before(store: Store) -> None:
    signer = key(store)
    store.write_now(lambda tx: heads.keep(tx, signer.sign(9, rows(store)[8][1], stamp(NOW))))

    assert prune(store, START + timedelta(days=5)) == 9


@pytest.mark.promise("P7")
def test_a_forgotten_payload_leaves_nothing_to_guess(store: Store) -> None:
    row = retention.find(store.read, "call_0001")
    told = json.loads(store.read.all("audit_of_call", call="call_0001")[0]["record"])["args"]
    store.write_now(lambda tx: retention.forget(tx, row, by="ada", reason="asked to", now=NOW))
    again = [audit.hashed(f"{salt}{calls.dump({'s': 'secret-1'})}") for salt in ("", "0" * 32)]

    assert told not in again
    assert store.read.one("payload_get", call="call_0001") is None
    with pytest.raises(Conflict, match="already"):
        store.write_now(lambda tx: retention.forget(tx, row, by="ada", reason="x", now=NOW))
    still_open = retention.find(store.read, "call_0000")
    with pytest.raises(Conflict, match="unknown"):
        store.write_now(lambda tx: retention.forget(tx, still_open, by="ada", reason="x", now=NOW))


@pytest.mark.parametrize(
    ("environ", "days"),
    [({}, 400), ({"RETENTION_DAYS": "183"}, 183), ({"RETENTION_DAYS": "30", "RETENTION_FLOOR": "off"}, 30)],
)
def test_how_long_records_are_kept(environ: dict[str, str], days: int) -> None:
    found = from_environment({f"LOCKKEEP_{name}": value for name, value in environ.items()})

    assert found.retention_days == days


@pytest.mark.parametrize(
    "environ",
    [
        {"RETENTION_DAYS": "182"},
        {"RETENTION_DAYS": "0", "RETENTION_FLOOR": "off"},
        {"RETENTION_FLOOR": "no"},
    ],
)
def test_less_than_half_a_year_is_refused_unless_the_floor_is_off(environ: dict[str, str]) -> None:
    with pytest.raises(BadSetting, match="RETENTION_FLOOR"):
        from_environment({f"LOCKKEEP_{name}": value for name, value in environ.items()})
