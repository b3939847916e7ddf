"""The exercises of a drill, in their order."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from lockkeep.cli.drill.exercise import Exercise, carried_out
from lockkeep.cli.drill.ground import Command, Ground, typed
from lockkeep.cli.drill.killing import kill_under_load
from lockkeep.cli.drill.restarting import restart_while_parked
from lockkeep.cli.drill.restoring import backup_and_restore
from lockkeep.cli.drill.tampering import tamper_with_a_copy
from lockkeep.cli.drill.undoing import undo_with_verification

EXERCISES = {
    "kill": kill_under_load,
    "restart": restart_while_parked,
    "undo": undo_with_verification,
    "tampering": tamper_with_a_copy,
    "restore": backup_and_restore,
}


async def rehearsed(
    folder: Path, *, told: Callable[[Exercise], None] = lambda _: None, command: Command = typed
) -> list[Exercise]:
    """All of them, one after the other, over one installation in this folder."""
    ground = Ground(folder, command)
    await ground.prepare()
    done: list[Exercise] = []
    for name, work in EXERCISES.items():
        done.append(await carried_out(name, partial(work, ground)))
        told(done[-1])
    return done
