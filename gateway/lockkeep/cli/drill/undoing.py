"""Calls are taken back by a person, and what somebody else changed meanwhile stays."""

from lockkeep.cli.drill.exercise import Found, Wrong
from lockkeep.cli.drill.ground import FIRST, Ground, call

NOTE, OTHER, RUN = "note-{}", "theirs", "drill-undo"


async def undo_with_verification(ground: Ground, *, calls: int = 4) -> Found:
    """`lockkeep undo run`: everything is as before; what was changed since is left alone."""
    wrong, names = Wrong(), [*(NOTE.format(number) for number in range(calls)), OTHER]
    async with ground.gateway():
        async with ground.caller() as client:
            for run, text in ((None, "before"), (RUN, "wrong")):
                for name in names:
                    await call(client, "write", run, id=name, text=text)
        ground.sandbox.changed_by_somebody(OTHER, "theirs")
        words = ("undo", "run", RUN, "--reason", "drill", "--skip", "--apply", "--json")
        ran = await ground.lockkeep(*words, by=FIRST)
    rows = [row for row in ground.calls() if row["run"] == RUN]
    undone = [row["id"] for row in rows if row["state"] == "undone"]
    notes = ground.sandbox.notes()
    restored = [name for name in names[:-1] if notes.get(name) == "before"]
    wrong.unless(len(rows) == calls + 1, f"{len(rows)} of {calls + 1} writes are on record")
    wrong.unless(len(undone) == calls, f"{len(undone)} of {calls} calls were taken back and verified")
    wrong.unless(len(restored) == calls, f"{len(restored)} of {calls} notes are as they were before")
    wrong.unless(notes.get(OTHER) == "theirs", "a change of somebody else was overwritten")
    wrong.unless(
        ran.code == 1, f"the command ended with {ran.code}, though one call was left alone: {ran.err.strip()}"
    )
    did = f"{calls} writes were taken back with `lockkeep undo run`; one that somebody else had changed since was left alone."
    numbers = {"writes": len(rows), "taken_back": len(undone), "as_before": len(restored), "left_alone": len(rows) - len(undone)}  # fmt: skip
    return Found(did, numbers, tuple(wrong.findings))
