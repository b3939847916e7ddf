"""Where the token is kept, and what is said about it."""

import io
import json
from pathlib import Path

import pytest
from tests.unit.client.stand_in import TOKEN

from lockkeep_client import NotLoggedIn, cli
from lockkeep_client.credentials import Credentials


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this user's token file will be."""
    monkeypatch.delenv("LOCKKEEP_TOKEN", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path / "lockkeep" / "token"


def typed(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """The user pipes this text in."""
    monkeypatch.setattr("sys.stdin", io.StringIO(text))


def test_a_token_set_is_kept_for_its_owner_alone_and_never_shown(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(monkeypatch, f"{TOKEN}\n")

    assert cli.main(["token", "set"]) == 0

    said = capsys.readouterr()
    assert file.read_text(encoding="utf-8") == f"{TOKEN}\n"
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert TOKEN not in said.out + said.err
    assert [kept.name for kept in file.parent.iterdir()] == ["token"]


def test_headers_are_printed_for_the_host(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Credentials(env={}, file=file).store(TOKEN)
    assert cli.main(["token", "--headers"]) == 0
    monkeypatch.setenv("LOCKKEEP_TOKEN", "from-env")
    assert cli.main(["token", "--headers"]) == 0

    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert printed == [{"Authorization": f"Bearer {TOKEN}"}, {"Authorization": "Bearer from-env"}]


def test_without_a_token_nothing_is_printed_and_the_remedy_is_said(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["token", "--headers"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "lockkeep-client token set" in said.err


@pytest.mark.parametrize("text", ["", "\n", "two words", "line\nline", "nön-ascii", "x" * 9000])
def test_what_cannot_be_a_token_is_refused_and_not_quoted(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    typed(monkeypatch, text)
    assert cli.main(["token", "set"]) == 1
    assert not text.strip() or text.strip() not in capsys.readouterr().err
    assert not file.exists()


@pytest.mark.parametrize("args", [["token"], ["token", "set", "--headers"]])
def test_a_token_command_says_which(file: Path, args: list[str]) -> None:
    assert cli.main(args) == 2


def test_a_file_others_can_read_is_noticed_and_one_that_is_none_is_an_error(file: Path) -> None:
    credentials = Credentials(env={}, file=file)
    credentials.store(TOKEN)
    assert not credentials.readable_by_others()
    file.chmod(0o640)
    assert credentials.readable_by_others()
    file.unlink()
    file.mkdir()
    with pytest.raises(NotLoggedIn):
        credentials.token()
