"""A backup is made while the gateway serves, and put back: nothing goes on by itself."""

from pathlib import Path

import anyio

from lockkeep.cli.audit import verified
from lockkeep.cli.drill.exercise import Found, Wrong
from lockkeep.cli.drill.ground import SECOND, Ground, call
from lockkeep.model import Json

SETTLE = 0.6  # seconds in which a gateway that ran something by itself would have done so


async def backup_and_restore(ground: Ground) -> Found:
    """`lockkeep backup`, `lockkeep restore`: what waited is void, writes are paused until a person lets them run."""
    wrong, target = Wrong(), ground.folder / "backup"
    async with ground.gateway():
        async with ground.caller() as client:
            await call(client, "write", id="kept", text="in the backup")
            parked = await call(client, "sign", id="waits", text="not agreed")
            made = await ground.lockkeep("backup", str(target), "--json")
            await call(client, "write", id="lost", text="after the backup")
        refused = await ground.lockkeep("restore", str(target), "--json")
    wrong.unless(made.code == 0, f"the backup failed: {made.err.strip()}")
    wrong.unless(refused.code != 0, "a restore was not refused while a gateway served")
    restored = await ground.lockkeep("restore", str(target), "--json")
    wrong.unless(restored.code == 0, f"the restore failed: {restored.err.strip()}")
    if wrong.findings:
        return Found("A backup was made and put back.", {}, tuple(wrong.findings))
    await _after(ground, wrong, str(parked.get("approval_id")), restored.data)
    with ground.here() as place:
        wrong.unless(not verified(place.store).tampering, "the log does not verify after the restore")
    did = (
        "A backup was made while the gateway served; a restore was refused then, and done when nobody served. "
        "A second person let writes run again."
    )
    numbers = {
        "files": _files(target),
        "voided": len(restored.data["voided"]),
        "records": restored.data["records"],
    }
    return Found(did, numbers, tuple(wrong.findings))


async def _after(ground: Ground, wrong: Wrong, parked: str, said: dict[str, Json]) -> None:
    """The gateway over the restored folder."""
    wrong.unless(parked in said["voided"], "an approval of before the backup is still open")
    before = ground.sandbox.notes()
    wrong.unless(before.get("kept") == "in the backup", "what the backup held is not there")
    async with ground.gateway(), ground.caller() as client:
        await anyio.sleep(SETTLE)
        wrong.unless(ground.sandbox.notes() == before, "something ran by itself after the restore")
        paused = await call(client, "write", id="again", text="paused")
        wrong.unless(paused.get("code") == "switch.paused", "writes were not paused after the restore")
        lifted = await ground.lockkeep("resume", "all", "--reason", "drill", by=SECOND)
        wrong.unless(lifted.code == 0, f"the pause could not be lifted: {lifted.err.strip()}")
        again = await call(client, "write", id="again", text="runs")
        wrong.unless(again.get("applied"), "writes did not go on after the pause was lifted")


def _files(folder: Path) -> int:
    return sum(path.is_file() for path in folder.rglob("*"))
