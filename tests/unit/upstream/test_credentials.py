"""Credentials are references, and nothing that goes wrong with one shows its value."""

from pathlib import Path

import pytest

from lockkeep.errors import BadCredential
from lockkeep.upstream.credentials import resolve, resolve_bearer, resolve_env, secrets_of
from lockkeep.upstream.stderr import shown

CANARY = "canary-s3cret"


def secret_file(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "secret"
    path.write_text(text, encoding="utf-8", newline="")
    path.chmod(mode)
    return path


def test_a_reference_gives_the_value_behind_it(tmp_path: Path) -> None:
    path = secret_file(tmp_path, f"{CANARY}\n\n")

    assert resolve("env:NAME", {"NAME": CANARY}) == CANARY
    assert resolve(f"file:{path}") == f"{CANARY}\n"  # one newline is the editor's, two are not


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o620, 0o610])
def test_a_file_that_others_can_touch_is_refused(tmp_path: Path, mode: int) -> None:
    path = secret_file(tmp_path, CANARY, mode)
    with pytest.raises(BadCredential) as refused:
        resolve(f"file:{path}")
    assert CANARY not in str(refused.value)


@pytest.mark.parametrize(
    "reference",
    [CANARY, f"env:{CANARY}", "env:", "env:MISSING", "env:EMPTY", "file:/nowhere/at/all", "file:", ""],
)
def test_what_cannot_be_read_is_refused_without_its_value(reference: str) -> None:
    with pytest.raises(BadCredential) as refused:
        resolve(reference, {"EMPTY": ""})
    assert CANARY not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_file_that_is_empty_or_no_text_is_refused_without_its_value(tmp_path: Path) -> None:
    path = secret_file(tmp_path, "\n")
    with pytest.raises(BadCredential):
        resolve(f"file:{path}")
    path.write_bytes(CANARY.encode() + b"\xff")
    with pytest.raises(BadCredential) as refused:
        resolve(f"file:{path}")
    assert CANARY not in str(refused.value)


@pytest.mark.parametrize("value", [f"{CANARY}\nx: y", f"{CANARY} b", f"{CANARY}é", f"{CANARY}\x00"])
def test_a_bearer_that_no_header_can_hold_is_refused_without_its_value(value: str) -> None:
    with pytest.raises(BadCredential) as refused:
        resolve_bearer("env:TOKEN", {"TOKEN": value})
    assert CANARY not in str(refused.value)


def test_an_environment_takes_literals_but_no_written_out_secrets() -> None:
    env = {"MODE": "demo", "API_TOKEN": "env:MINE", "TOKEN_FILE": "/run/token"}

    resolved = resolve_env(env, {"MINE": CANARY})

    assert resolved == {"MODE": "demo", "API_TOKEN": CANARY, "TOKEN_FILE": "/run/token"}
    assert secrets_of(env, resolved) == (CANARY,)
    for name in ("API_TOKEN", "db_password", "CLIENT_SECRET", "OPENAI_API_KEY"):
        with pytest.raises(BadCredential) as refused:
            resolve_env({name: CANARY}, {})
        assert CANARY not in str(refused.value)


def test_a_line_of_a_childs_stderr_is_printable_short_and_without_its_secrets() -> None:
    line = f"\x1b[31mtoken={CANARY}-long {CANARY}\t" + "x" * 1000

    assert shown(line, (CANARY, f"{CANARY}-long")) == f"[31mtoken=*** *** {'x' * 481}"
