"""`lockkeep backup`, `lockkeep restore`: everything this installation remembers, kept elsewhere and put back."""

import getpass
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from lockkeep.cli.audit import send_heads
from lockkeep.cli.here import here, utc_now
from lockkeep.cli.show import AsJson, data, say
from lockkeep.errors import BadBackup, LockkeepError
from lockkeep.ledger import audit, backups, heads, restoring
from lockkeep.ledger.backups import Backup
from lockkeep.ledger.restoring import Restored
from lockkeep.model import Json
from lockkeep.settings import Settings, from_environment
from lockkeep.store import Store, Tx, reading_any
from lockkeep.store.folder import HALF_RESTORED, served

LARGE = 5_000  # pages
LOST = (
    "What was done after the backup is not in it: calls made since may be asked for again, and messages that were "
    "queued then may have been sent since. Look before you let anything run."
)


def backup(
    folder: Annotated[Path, typer.Argument(help="A new or empty folder.")],
    as_json: AsJson = False,
) -> None:
    """Copy the ledger and the embedded servers' files, also while a gateway serves. No keys, no secrets."""
    with here() as place:
        now, author = utc_now(), place.author()
        key = place.store.write_now(lambda tx: heads.make_key(place.settings.data, tx, now))
        made = backups.write(
            place.store, place.settings.data, folder, key, release=version("lockkeep"), now=now, told=_told
        )
        place.store.write_now(
            lambda tx: audit.append(
                tx,
                "backup.made",
                now,
                by=author,
                size=made.head.size,
                hash=made.head.hash,
                files=len(made.files),
            )
        )
        shown: dict[str, Json] = {
            "folder": str(folder), "records": made.head.size, "head": made.head.hash, "files": list(made.files)
        }  # fmt: skip
        if as_json:
            data(shown)
            return
        say(f"Backup in {folder}: {made.head.size} records, {len(made.files)} files, head {made.head.hash}")
        say(
            f"Not in it: the signing key ({place.settings.data / heads.FILE}), credentials, and the policies folder."
        )


def restore(
    folder: Annotated[Path, typer.Argument(help="A folder that `lockkeep backup` wrote.")],
    key: Annotated[
        Path | None,
        typer.Option(
            help="The public key it must be signed with; default: this data folder's own, if it has one."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Put a backup back. Refused while a gateway serves. What was open is void or in doubt, and writes are paused."""
    settings = from_environment()
    made, signature = backups.read(folder)
    with served(settings.data, restoring=True):
        own = heads.key_of(settings.data)
        public = heads.public_key(key) if key else own.public if own else None
        backups.check(folder, made, signature, public)
        _same(folder, settings)
        with backups.staged(folder, made, settings.data) as staged:
            done = _closed(staged / backups.LEDGER, made, settings)
        aside = backups.swap(settings.data, utc_now())
    with here() as place:
        send_heads(place)
    _say(made, done, aside, as_json)


def _same(folder: Path, settings: Settings) -> None:
    """A ledger is only replaced by an earlier state of itself."""
    if not settings.store.exists() or (settings.data / HALF_RESTORED).exists():
        return
    try:
        ours = backups.first_record(settings.store)
    except LockkeepError:
        return  # broken: what a backup is for
    theirs = backups.first_record(folder / backups.LEDGER)
    if ours and theirs and ours != theirs:
        raise BadBackup(
            f"the backup is of another installation than {settings.data}; restore it into an empty LOCKKEEP_DATA"
        )


def _closed(ledger: Path, made: Backup, settings: Settings) -> Restored:
    """The staged ledger, brought to this release, with nothing left open."""
    lost, revoked = _since(settings, made)
    store = Store(ledger)
    try:
        author = f"local:{getpass.getuser()}"
        return store.write_now(
            lambda tx: restoring.restored(tx, made.head, by=author, now=utc_now(), lost=lost, revoked=revoked)
        )
    finally:
        store.close()


def _since(settings: Settings, made: Backup) -> tuple[int | None, set[str]]:
    """How many records the ledger in use has more, and which tokens were revoked; nothing, if it cannot be read."""
    if not settings.store.exists():
        return None, set()
    try:
        with reading_any(settings.store) as tx:
            return _longer(tx, made), {row["id"] for row in tx.all("tokens_list") if row["revoked_at"]}
    except LockkeepError:
        return None, set()


def _longer(tx: Tx, made: Backup) -> int:
    end = tx.one("audit_head")
    return max(0, (end["seq"] if end else 0) - made.head.size)


def _say(made: Backup, done: Restored, aside: Path, as_json: bool) -> None:
    shown: dict[str, Json] = {
        "records": made.head.size, "backup_at": made.at, "voided": list(done.voided), "unknown": list(done.in_doubt),
        "revoked": list(done.revoked), "paused_by": done.switch, "replaced": str(aside),
    }  # fmt: skip
    if as_json:
        data(shown)
        return
    say(f"Restored {made.head.size} records from the backup of {made.at}. What was here is in {aside}.")
    say(
        f"Approvals void: {', '.join(done.voided) or 'none'}. Calls in doubt: {', '.join(done.in_doubt) or 'none'}."
    )
    if done.revoked:
        say(f"Tokens that were revoked since the backup stay revoked: {', '.join(done.revoked)}.")
    say(LOST)
    say('All writes are paused. A person lets them run: lockkeep resume all --reason "…"')


def _told(name: str, done: int, total: int) -> None:
    """How far a file is that takes a while."""
    if sys.stderr.isatty() and total > LARGE:
        typer.echo(f"\r{name}: {done:,} of {total:,} pages", nl=done == total, err=True)
