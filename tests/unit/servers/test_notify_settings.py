"""Settings that cannot be used, and what the doctor sees."""

import sys
from pathlib import Path

import pytest
from tests.unit.servers.desk import MONDAY
from tests.unit.servers.office import office

from lockkeep_servers.kit.settings import SettingError
from lockkeep_servers.notify.server import SERVICE, build

# Settings


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"ADAPTER": "pigeon"}, "ADAPTER must be one of: embedded, smtp"),
        ({"CHAT_ADAPTER": "smoke"}, "CHAT_ADAPTER must be one of: embedded, slack"),
        ({"HOLD_S": "90000"}, "HOLD_S"),
        ({"CHANNELS": "ops #sales"}, "NAME=ID"),
        ({"BOOK": "/nowhere/book.yaml"}, "cannot be read"),
        ({"COLOUR": "red"}, "is not a setting"),
        ({"ADAPTER": "smtp"}, "SMTP_URL"),
        ({"ADAPTER": "smtp", "SMTP_URL": "http://mail.example", "SMTP_FROM": "a@b.example"}, "smtp://"),
        (
            {"ADAPTER": "smtp", "SMTP_URL": "smtp://u:p@mail.example", "SMTP_FROM": "a@b.example"},
            "SMTP_PASSWORD",
        ),
        (
            {"ADAPTER": "smtp", "SMTP_URL": "smtp://u@mail.example", "SMTP_FROM": "a@b.example"},
            "SMTP_PASSWORD",
        ),
        ({"ADAPTER": "smtp", "SMTP_URL": "smtp://mail.example", "SMTP_FROM": "nobody"}, "SMTP_FROM"),
        ({"CHAT_ADAPTER": "slack"}, "SLACK_TOKEN"),
        ({"CHAT_ADAPTER": "slack", "SLACK_TOKEN": "xoxb-1"}, "ops=C0123ABCD"),
        (
            {
                "CHAT_ADAPTER": "slack",
                "SLACK_TOKEN": "xoxb-1",
                "CHANNELS": "ops=C1A",
                "SLACK_URL": "https://evil.example/api/",
            },
            "SLACK_URL",
        ),
        (
            {
                "CHAT_ADAPTER": "slack",
                "SLACK_TOKEN": "xoxb-1",
                "CHANNELS": "ops=C1A",
                "SLACK_URL": "http://slack.com/api/",
            },
            "SLACK_URL",
        ),
    ],
)
async def test_a_setting_that_cannot_be_used_stops_the_start(
    settings: dict[str, str], words: str, tmp_path: Path
) -> None:
    for name, library in (("smtp", "aiosmtplib"), ("slack", "slack_sdk")):
        if name in settings.values():
            pytest.importorskip(library)
    with pytest.raises(SettingError, match=words):
        async with office(tmp_path, MONDAY, **settings):
            pass


@pytest.mark.parametrize(
    ("settings", "library", "words"),
    [
        ({"ADAPTER": "smtp"}, "aiosmtplib", r"lockkeep\[smtp\]"),
        ({"CHAT_ADAPTER": "slack"}, "slack_sdk", r"lockkeep\[slack\]"),
    ],
)
async def test_a_missing_library_is_named_with_how_to_get_it(
    settings: dict[str, str], library: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith(f"{library}.")]:
        monkeypatch.delitem(sys.modules, name)
    for adapter in ("smtp", "slack"):
        monkeypatch.delitem(sys.modules, f"lockkeep_servers.notify.adapters.{adapter}", raising=False)
    monkeypatch.setitem(sys.modules, library, None)

    with pytest.raises(SettingError, match=words):
        async with office(tmp_path, MONDAY, **settings):
            pass


@pytest.mark.parametrize(
    ("book", "words"),
    [
        ("[]", "templates"),
        ("templates: [{id: a", "not YAML"),
        ('templates: [{id: a, locale: en, subject: "a\\nb", body: x}]', "templates.0.subject"),
        (
            "recipients: [{email: a@b.example, tz: Mars/Base, quiet_from: '21:00', quiet_to: '08:00'}]",
            "recipients.0.tz",
        ),
        ("colours: []", "colours"),
    ],
)
def test_a_book_that_cannot_be_used_stops_the_start(book: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "book.yaml"
    file.write_text(book, encoding="utf-8")

    with pytest.raises(SettingError, match=words):
        build({"LOCKKEEP_NOTIFY_DATA": str(tmp_path), "LOCKKEEP_NOTIFY_BOOK": str(file)})


async def test_the_doctor_sees_what_waits_for_people(tmp_path: Path) -> None:
    settings = {"LOCKKEEP_NOTIFY_DATA": str(tmp_path)}
    async with office(tmp_path) as desk:
        await desk.ok("pause_queue", paused=True, reason="drill")

    found = await SERVICE.examine(settings)

    assert [one.level for one in found] == ["ok", "warning", "warning", "ok", "ok"]
    assert "paused" in found[1].what
    assert "CHANNELS" in found[2].fix
