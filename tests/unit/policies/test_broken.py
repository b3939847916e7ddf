"""Every mistake is one message, on its line and column, with a hint that helps."""

from pathlib import Path

import pytest
from tests.unit.policies.room import FOLDER

from lockkeep.policy.bundle import load
from lockkeep.policy.cases import cases
from lockkeep.policy.positions import Problems

BROKEN = Path(__file__).parent / "broken"
NAMES = sorted(path.stem for path in BROKEN.glob("*.txt"))
WITHOUT = "without"  # names a file that is missing


def files(name: str) -> dict[str, str]:
    """A folder that is fine, with this mistake in it."""
    folder = BROKEN / name
    if not folder.is_dir():
        return {**FOLDER, f"{name}.yaml": (BROKEN / f"{name}.yaml").read_text(encoding="utf-8")}
    mistaken = {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in folder.rglob("*")
        if path.is_file()
    }
    missing = mistaken.pop(WITHOUT, "").strip()
    return {file: text for file, text in {**FOLDER, **mistaken}.items() if file != missing}


@pytest.mark.parametrize("name", NAMES)
def test_one_mistake_is_one_message_in_its_place(name: str) -> None:
    given = files(name)
    loaded, found = load(given)
    if loaded is not None:
        problems = Problems()
        cases.read(given, problems)
        found = problems.found

    assert "\n".join(map(str, found)) + "\n" == (BROKEN / f"{name}.txt").read_text(encoding="utf-8")
    assert len(found) == 1


def test_the_folder_without_a_mistake_loads() -> None:
    assert load(FOLDER)[1] == []


def test_two_mistakes_in_two_files_are_told_at_once_in_the_order_of_the_files() -> None:
    both = dict(FOLDER)
    for name in ("unknown-owner", "key-twice", "name-misspelt", "option-misspelt"):
        both[f"{name}.yaml"] = files(name)[f"{name}.yaml"].replace("policy: desk", f"policy: {name}")
    assert [each.place.file for each in load(both)[1]] == ["key-twice.yaml"]
    del both["key-twice.yaml"]
    assert [each.place.file for each in load(both)[1]] == [
        "name-misspelt.yaml",
        "option-misspelt.yaml",
        "unknown-owner.yaml",
    ]


def test_a_secret_written_out_is_never_quoted_and_is_marked() -> None:
    for name in ("gateway-literal-secret", "gateway-secret-in-env", "gateway-password"):
        (found,) = load(files(name))[1]
        assert found.code == "secret"
        assert not any(secret in str(found) for secret in ("abc123", "secret@"))
