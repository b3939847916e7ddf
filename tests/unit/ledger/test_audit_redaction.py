"""What looks like a secret is not written, and what does not is written as it is (P10)."""

import io
import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lockkeep.ledger import audit, redaction
from lockkeep.serving import PlainFrames
from lockkeep.store import Store

# put together, so that no scanner takes this file for a leak
CANARIES = (
    "sk" + "_live_4eC39HqLyjWDarjtT1zdp7dc", "sk" + "-ant-api03-AbCdEfGhIjKlMnOpQrStUv", "gh" + "p_16C7e42F292c6912E7710c838347Ae178B4a",
    "github" + "_pat_11ABCDEFG0aBcDeFgHiJkL_mNoPqRs", "glpat" + "-abcdefghijklmnop1234", "xox" + "b-123456789012-abcdefABCDEF",
    "xap" + "p-1-A012345-67890-abcdef", "AKIA" + "IOSFODNN7EXAMPLE0", "AIza" + "SyA1234567890abcdefghijklmnopqrstu", "npm" + "_abcdefghijklmnopqrstuvwx",
    "eyJ" + "hbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N", "lk" + "_" + "aZ09_-" * 8, "Bearer " + "abcdefghijklmnop",
    "Authorization: Basic " + "YWRhOnNlY3JldHBhc3M=", "-----BEGIN " + "RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----",
    "password=" + "hunter2hunter2", "api_key: " + "0123456789abcdef", '"client_secret": "' + "s3cr3tvalue" + '"', "postgres://ada:" + "s3cretpw" + "@db/x",
    "4242 4242" + " 4242 4242", "5555-5555" + "-5555-4444", "378282246" + "310005", "SG" + ".ngeVfQFYQlKU0ufo8x5d1A", "hf" + "_abcdefghijklmnopqrstuvwxyz",
)  # fmt: skip
HARMLESS = (
    "desk_create_something_long_enough", "task.assign_owner_to_somebody_else", "2027-03-01T00:00:00.000000Z", "call_0123456789abcdef0123",
    "0" * 64, "1234567890123456", "Order 4242 4242 4242 4241 is late", "Nobody agrees to their own call.", "https://shop.example/orders/7?page=2",
    "tok_0123456789abcdef", "The token is not known, or was revoked", "bearer tokens expire", "ask-anything-you-like-about-this", "9.6 kB",
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.mark.promise("P10")
@pytest.mark.parametrize("canary", CANARIES)
def test_a_secret_reaches_neither_the_log_of_events_nor_that_of_the_process(
    folder: Path, canary: str
) -> None:
    store = Store(folder / "lockkeep.db")
    store.write_now(
        lambda tx: audit.append(
            tx, "call.denied", datetime(2027, 3, 1, tzinfo=UTC), reason=f"It said {canary}, twice: {canary}",
            verdicts=[{"gate": "policy", "reason": canary}], actor={"host": canary}, run=canary,
        )
    )  # fmt: skip
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(PlainFrames("%(message)s"))
    handler.emit(logging.LogRecord("x", logging.ERROR, "x", 1, "it said %s", (canary,), None))
    on_disk = b"".join(path.read_bytes() for path in folder.iterdir())
    rows = store.read.all("audit_from", seq=1, count=1)
    secret = max(canary.replace("\n", " ").replace('"', " ").split(), key=len).removeprefix("password=")

    assert secret.encode() not in on_disk
    assert secret not in written.getvalue()
    assert "hidden]" in written.getvalue()
    assert audit.verify([(row["seq"], row["hash"], row["record"]) for row in rows]) == []
    store.close()


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_secret_stays_as_it_is(text: str) -> None:
    assert redaction.text(text) == text


def test_a_payload_is_kept_without_what_is_declared_or_named_secret() -> None:
    schema = {
        "properties": {
            "pin": {"type": "string", "writeOnly": True},
            "code": {"type": "string", "format": "password"},
            "rows": {"items": {"properties": {"word": {"writeOnly": True}}}},
        }
    }
    value = {
        "pin": "1234", "code": "abc", "name": "Ida", "rows": [{"word": "x", "n": 1}], "Api-Key": "k", "amount": 4242424242424242,
        "note": CANARIES[0],
    }  # fmt: skip

    assert redaction.stored(value, schema) == {
        "pin": "[secret hidden]",
        "code": "[secret hidden]",
        "name": "Ida",
        "rows": [{"word": "[secret hidden]", "n": 1}],
        "Api-Key": "[secret hidden]",
        "amount": 4242424242424242,
        "note": "[key hidden]",
    }
    assert redaction.stored({"note": CANARIES[1]}, {}) == {"note": "[key hidden]"}
