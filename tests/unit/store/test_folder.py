"""One gateway a folder, told apart by a lock of the operating system."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lockkeep.errors import AlreadyServing
from lockkeep.store.folder import served, serving

HOLD = (
    "import sys; from pathlib import Path; from lockkeep.store.folder import served\n"
    "with served(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
)


def test_the_folder_is_held_by_one_and_the_second_is_told_by_whom(tmp_path: Path) -> None:
    with served(tmp_path):
        assert serving(tmp_path) == os.getpid()
        with pytest.raises(AlreadyServing, match=f"process {os.getpid()} holds"), served(tmp_path):
            pass
    assert serving(tmp_path) is None


def test_a_process_that_is_killed_holds_nothing(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert serving(tmp_path) == holder.pid
    finally:
        holder.kill()
        holder.communicate()
    assert serving(tmp_path) is None
    with served(tmp_path):
        assert serving(tmp_path) == os.getpid()


def test_a_folder_nobody_ever_served_is_free(tmp_path: Path) -> None:
    assert serving(tmp_path) is None


@pytest.mark.parametrize("times", [40, pytest.param(200, marks=pytest.mark.full)])
def test_asking_who_serves_never_keeps_a_gateway_from_starting(tmp_path: Path, times: int) -> None:
    with served(tmp_path):
        pass
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            serving(tmp_path)

    askers = [threading.Thread(target=ask) for _ in range(2)]
    for asker in askers:
        asker.start()
    try:
        for _ in range(times):
            with served(tmp_path):
                pass
    finally:
        stop.set()
        for asker in askers:
            asker.join()
