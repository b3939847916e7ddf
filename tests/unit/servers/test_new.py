"""`lockkeep-servers new` writes servers that work at once, and overwrites nothing (TS13)."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lockkeep.policy.positions import Problems, parse
from lockkeep_servers.new.make import NewError, full, one_file


def run(folder: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *words],
        capture_output=True,
        encoding="utf-8",
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "own_test", ["test_a_van_is_moved", pytest.param("test_the_server_is_bronze", marks=pytest.mark.full)]
)
def test_one_file_is_bronze_and_its_own_test_says_so(
    own_test: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = one_file("night_shift2", tmp_path)

    assert {path.name for path in written} == {
        "night_shift2.py",
        "test_night_shift2.py",
        "night_shift2.conformance.yaml",
    }
    assert "fleet" not in "".join(path.read_text(encoding="utf-8") for path in written)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "test_night_shift2", raising=False)
    own = importlib.import_module("test_night_shift2")
    getattr(own, own_test)()


@pytest.mark.full
@pytest.mark.parametrize("name", ["trucks", "night_shift2"])
def test_the_own_test_of_one_file_passes_where_it_stands(name: str, tmp_path: Path) -> None:
    one_file(name, tmp_path)

    run(tmp_path, "pytest", "-q", "-p", "no:cacheprovider", f"test_{name}.py")


def test_a_package_is_whole_and_names_nothing_of_ours(tmp_path: Path) -> None:
    written = full("night_shift", tmp_path)
    texts = {path.relative_to(tmp_path).as_posix(): path.read_text(encoding="utf-8") for path in written}

    assert "fleet" not in "".join(texts.values()).lower()
    assert "lockkeep_servers.new" not in "".join(texts.values())
    assert {"night_shift/night_shift/server.py", "night_shift/pyproject.toml"} <= texts.keys()
    policy = texts["night_shift/policies/night_shift.yaml"]
    problems = Problems()
    assert parse("night_shift.yaml", policy, problems) is not None
    assert problems.found == []


@pytest.mark.full
def test_a_package_is_gold_and_its_own_tests_pass(tmp_path: Path) -> None:
    full("trucks", tmp_path)

    run(tmp_path / "trucks", "pytest", "-q", "-p", "no:cacheprovider", "tests")


@pytest.mark.parametrize("name", ["Trucks", "t", "9lives", "a-b", "x" * 26, "../up", ""])
def test_a_name_that_is_none_is_refused_before_anything_is_written(name: str, tmp_path: Path) -> None:
    for write in (one_file, full):
        with pytest.raises(NewError, match="is no name"):
            write(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "test_trucks.py").write_text("mine", encoding="utf-8")

    with pytest.raises(NewError, match="is there already"):
        one_file("trucks", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["test_trucks.py"]
    assert (tmp_path / "test_trucks.py").read_text(encoding="utf-8") == "mine"
