"""`lockkeep init --starter …`: the folder it writes is good as it is."""

from pathlib import Path

import pytest

from crash.command import lockkeep
from crash.place import Place


@pytest.mark.parametrize(
    "names", [pytest.param(("all",), marks=pytest.mark.full), ("support", "rebooking")], ids=" ".join
)
def test_a_fresh_starter_folder_checks_and_passes_its_tests(tmp_path: Path, names: tuple[str, ...]) -> None:
    place = Place(tmp_path)
    chosen = [word for name in names for word in ("--starter", name)]

    made = lockkeep(place.environ, "init", "--admin", "ada", *chosen)
    checked = lockkeep(place.environ, "policy", "check")
    tested = lockkeep(place.environ, "policy", "test")

    assert (made.code, checked.code, tested.code) == (0, 0, 0), made
    assert checked.out.startswith("Fine: ")
    assert tested.out.endswith(" cases as expected.\n")
    assert "ADMIN" not in (tmp_path / "policies" / "gateway.yaml").read_text(encoding="utf-8")


def test_a_starter_nobody_ships_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    place = Place(tmp_path)
    before = sorted(tmp_path.rglob("*"))

    ran = lockkeep(place.environ, "init", "--starter", "everything")

    assert (ran.code, ran.out) == (2, "")
    assert "there is no starter everything; there are: leads, support" in ran.err
    assert sorted(tmp_path.rglob("*")) == before
