"""The kit's own promises: strict arguments, money, times, cursors, settings."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import BeforeValidator, Field

from lockkeep_servers.kit.arguments import Arguments, Changes, VersionedWrites, digest, parse
from lockkeep_servers.kit.cursor import read_cursor, write_cursor
from lockkeep_servers.kit.errors import Invalid
from lockkeep_servers.kit.faults import read_fault
from lockkeep_servers.kit.money import exponent, minor_units, money_given
from lockkeep_servers.kit.schema import NonStandard, input_schema
from lockkeep_servers.kit.settings import SettingError, Settings
from lockkeep_servers.kit.times import Moment, Zone, localise, refuse_gap

BERLIN = ZoneInfo("Europe/Berlin")


class Part(Changes):
    note: str | None = None


class Asked(VersionedWrites):
    count: Annotated[int, Field(ge=1, le=9)]
    owner: str | None
    at: Moment | None = None
    tz: Zone | None = None
    names: list[str] = []  # noqa: RUF012
    part: Part | None = None


def faults(given: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(Invalid) as refused:
        parse(Asked, given)
    return {fault["field"]: fault["problem"] for fault in refused.value.details["fields"]}


@pytest.mark.parametrize("count", ["2", True, 2.5, None, [2], float("nan"), float("inf"), 2**53, 10, 0])
def test_a_number_that_is_none_is_refused(count: Any) -> None:
    assert set(faults({"count": count, "owner": None})) == {"count"}


def test_a_whole_float_is_a_whole_number() -> None:
    assert parse(Asked, {"count": 2.0, "owner": None}).count == 2


def test_all_faults_are_named_at_once_and_none_quotes_what_was_sent() -> None:
    secret = "hunter2"
    found = faults(
        {
            "count": secret,
            "owner": 7,
            "at": secret,
            "tz": secret,
            "names": [1, "a", secret, 2],
            "colour": secret,
        }
    )

    assert set(found) == {"count", "owner", "at", "tz", "names.0", "names.3", "colour"}
    assert secret not in " ".join(found.values())


def test_an_optional_null_is_absent_and_a_required_one_is_meant() -> None:
    parsed = parse(Asked, {"count": 1, "owner": None, "at": None, "names": None, "idempotency_key": None})

    assert parsed == parse(Asked, {"count": 1, "owner": None})
    assert set(faults({"count": 1})) == {"owner"}


def test_null_in_changes_clears_and_is_not_the_same_as_absent() -> None:
    cleared = parse(Asked, {"count": 1, "owner": None, "part": {"note": None}})
    absent = parse(Asked, {"count": 1, "owner": None, "part": {}})

    assert (cleared.part, absent.part) == (Part(note=None), Part())
    assert digest(cleared) != digest(absent)


def test_the_digest_leaves_key_and_dry_run_out() -> None:
    plain = parse(Asked, {"count": 1, "owner": None})
    keyed = parse(Asked, {"count": 1.0, "owner": None, "idempotency_key": "k" * 8, "dry_run": True})

    assert digest(plain) == digest(keyed)


@pytest.mark.parametrize("text", ["2026-03-01T09:00:00", "2026-03-01", "soon", "2026-13-01T09:00:00Z", 0])
def test_a_time_without_an_offset_is_refused(text: Any) -> None:
    assert set(faults({"count": 1, "owner": None, "at": text})) == {"at"}


@pytest.mark.parametrize(
    "zone", ["CET+1", "Europe", "../etc/passwd", "Europe/Atlantis", "posix/Europe/Berlin", ""]
)
def test_a_zone_that_is_none_is_refused(zone: str) -> None:
    assert set(faults({"count": 1, "owner": None, "tz": zone})) == {"tz"}


@pytest.mark.parametrize("text", ["a\x00b", "\ud800"])
def test_text_that_cannot_be_stored_is_refused(text: str) -> None:
    assert set(faults({"count": 1, "owner": text})) == {"owner"}


def test_a_schema_is_slim_and_says_no_null_but_where_null_is_meant() -> None:
    schema = input_schema(Asked)

    assert schema["properties"] == {
        "idempotency_key": {"type": "string", "minLength": 8, "maxLength": 128},
        "dry_run": {"type": "boolean", "default": False},
        "expected_version": {"type": "string", "maxLength": 40},
        "count": {"type": "integer", "minimum": 1, "maximum": 9},
        "owner": {"type": ["string", "null"]},
        "at": {"type": "string", "format": "date-time"},
        "tz": {"type": "string", "maxLength": 64},
        "names": {"type": "array", "items": {"type": "string"}, "default": []},
        "part": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"note": {"type": ["string", "null"]}},
        },
    }


def test_a_keyword_nothing_enforces_stops_the_start() -> None:
    class Trap(Arguments):
        count: Annotated[int, BeforeValidator(lambda value: value), Field(gt=0)]  # pyright: ignore

    with pytest.raises(NonStandard, match="gt"):
        input_schema(Trap)


@pytest.mark.parametrize(("amount", "currency", "minor"), [("10.50", "EUR", 1050), ("10.505", "EUR", None), ("500", "JPY", 500), ("1.5", "JPY", None), ("1.234", "KWD", 1234), ("ten", "EUR", None), ("NaN", "EUR", None), ("1", "XXX", None)])  # fmt: skip
def test_decimals_become_minor_units_by_the_digits_of_the_currency(
    amount: str, currency: str, minor: int | None
) -> None:
    assert minor_units(amount, currency) == minor


@pytest.mark.parametrize(("minor", "currency", "field"), [(100, None, "currency"), (None, "EUR", "value_minor"), (100, "XYZ", "currency")])  # fmt: skip
def test_an_amount_without_a_currency_and_an_unknown_currency_are_refused(minor: int | None, currency: str | None, field: str) -> None:  # fmt: skip
    with pytest.raises(Invalid) as refused:
        money_given(minor, currency, "value_minor")
    assert [fault["field"] for fault in refused.value.details["fields"]] == [field]
    assert exponent("EUR") == 2


def test_a_wall_time_in_a_gap_is_refused_and_the_next_valid_one_named() -> None:
    with pytest.raises(Invalid) as refused:
        refuse_gap("start", datetime.fromisoformat("2027-03-28T02:30:00+01:00"), BERLIN)
    assert "2027-03-28T03:00:00+02:00" in refused.value.details["fields"][0]["problem"]

    refuse_gap("start", datetime.fromisoformat("2027-03-28T02:30:00+00:00"), BERLIN)  # an instant, in UTC


def test_an_ambiguous_wall_time_is_the_first_one() -> None:
    assert localise(datetime(2027, 10, 31, 2, 30), BERLIN).astimezone(UTC) == datetime(
        2027, 10, 31, 0, 30, tzinfo=UTC
    )


def test_a_cursor_belongs_to_its_filters() -> None:
    cursor = write_cursor("7", {"stage": "new"})

    assert read_cursor(cursor, {"stage": "new"}) == "7"
    for text, filters in ((cursor, {"stage": "won"}), ("???", {}), ("e30", {}), ("é", {})):
        with pytest.raises(Invalid):
            read_cursor(text, filters)


def test_a_setting_comes_from_its_value_or_its_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("s3cret\n", encoding="utf-8")
    file.chmod(0o600)

    assert Settings("crm", {"LOCKKEEP_CRM_KEY": "plain"}, ["KEY"]).text("KEY") == "plain"
    assert Settings("crm", {"LOCKKEEP_CRM_KEY_FILE": str(file)}, ["KEY"]).text("KEY") == "s3cret"


def test_settings_that_cannot_be_used_stop_the_start(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("s3cret", encoding="utf-8")
    file.chmod(0o644)
    both = {"LOCKKEEP_CRM_KEY": "a", "LOCKKEEP_CRM_KEY_FILE": str(file)}

    for given in (both, {"LOCKKEEP_CRM_KEY_FILE": str(file)}, {"LOCKKEEP_CRM_KEY_FILE": "gone"}):
        with pytest.raises(SettingError):
            Settings("crm", given, ["KEY"]).text("KEY")
    with pytest.raises(SettingError, match="LOCKKEEP_CRM_KYE"):
        Settings("crm", {"LOCKKEEP_CRM_KYE": "a"}, ["KEY"])
    with pytest.raises(SettingError, match="embedded"):
        Settings("crm", {"LOCKKEEP_CRM_ADAPTER": "tryton"}, ["ADAPTER"]).choice(
            "ADAPTER", ["embedded"], "embedded"
        )
    for text in ("crash", "crash_before", "slow:x:y"):
        with pytest.raises(SettingError):
            read_fault(text)
