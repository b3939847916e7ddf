"""`lockkeep serve`, `status`, `doctor`, `server`: running it, and what is wrong with it."""

import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Annotated

import anyio
import typer

from lockkeep.cli.drill.command import last_drill
from lockkeep.cli.here import Here, here, utc_now
from lockkeep.cli.policy import activate_folder
from lockkeep.cli.show import AsJson, ago, data, fail, fields, rows, say
from lockkeep.errors import BadPolicySet, LockkeepError, UnknownServer
from lockkeep.heads import outside
from lockkeep.ledger import audit, outbox, switches
from lockkeep.model import Json
from lockkeep.policy.bundle import load, read_folder
from lockkeep.settings import from_environment
from lockkeep.sinks import sinks_of
from lockkeep.store import Store
from lockkeep.store.folder import serving

NO_SINK = "none configured: against the owner of this data folder the log proves nothing"
if TYPE_CHECKING:
    from lockkeep.app import Gateway


def serve(
    watch: Annotated[
        bool, typer.Option(help="Bring the policies folder into force whenever its files change and check.")
    ] = False,
) -> None:
    """Run the gateway, its inbox and health addresses until Ctrl-C."""
    from lockkeep.serving import serve as run  # web and protocol libraries: no other command waits for them

    settings = from_environment()
    read_folder(
        settings.policies
    )  # in a wrong folder nothing is written, so that `lockkeep init` still works there
    with here(must_exist=False) as place:
        if place.rules is None:
            activate_folder(place, reason="first start", by=place.author())
        elif dict(place.rules.files) != read_folder(settings.policies):
            fail(
                f"the folder {settings.policies} differs from what is in force; `lockkeep policy activate` brings it into force"
            )

    def started(gateway: "Gateway") -> None:
        say(f"lockkeep serves {settings.url}/mcp, inbox {settings.url}/inbox, data in {settings.data}")
        for state in gateway.supervisor.states():
            say(f"  {state.integration}: {'up' if state.up else f'down ({state.reason})'}")
        if watch:
            gateway.tasks.start_soon(_watch, gateway)

    anyio.run(lambda: run(settings, started=started), backend_options={"use_uvloop": sys.platform != "win32"})


async def _watch(gateway: "Gateway") -> None:
    """The folder comes into force when it changed and checks; otherwise the last good set stays."""
    known = dict(gateway.in_force.current.files) if gateway.in_force.current else {}
    while True:
        await anyio.sleep(1)
        try:
            files = read_folder(gateway.settings.policies)
        except BadPolicySet as error:
            fail(str(error))
            continue
        if files == known:
            continue
        known = files
        await anyio.to_thread.run_sync(_activate_changed)


def _activate_changed() -> None:
    with here() as place:
        try:
            generation = activate_folder(place, reason="files changed", by=place.author())
            say(f"policy generation {generation} is in force")
        except LockkeepError as error:
            fail(f"{error}")


def status(as_json: AsJson = False) -> None:
    """One screen: what runs, what waits, what is stopped."""
    with here() as place:
        read = place.store.read
        pid = serving(place.settings.data)
        by_state = {row["state"]: row["n"] for row in read.all("calls_by_state")}
        found: dict[str, Json] = {
            "gateway": f"process {pid} at {place.settings.url}" if pid else "not running",
            "policy": f"generation {place.rules.generation}" if place.rules else "none: everything is denied",
            "integrations": _integrations(place.settings.url) if pid else [],
            "calls": by_state,
            "waiting_for_people": len(read.all("approvals_list", state="pending", count=1000)),
            "stopped": [
                f"{each.mode} {each.scope} by {each.by} {ago(each.at.isoformat(), utc_now())} ago: {each.reason}"
                for each in [*switches.by_file(place.settings.data), *switches.thrown(read)]
            ],
            "notify": _told(place),
            "last_drill": last_drill(read, utc_now()),
            "heads_outside": outside(place.store, sinks_of(place.settings)) or NO_SINK,
        }
        fields(found, as_json)


def _told(place: Here) -> list[str]:
    """Whether people hear of approvals and alarms elsewhere."""
    channels = tuple(place.rules.gateway.notify) if place.rules else ()
    troubles = outbox.troubles(place.store.read, utc_now())
    return troubles or ([f"{', '.join(channels)}: all told"] if channels else ["no channel in gateway.yaml"])


def _integrations(url: str) -> list[str]:
    import httpx2

    try:
        said = httpx2.get(f"{url}/readyz", timeout=2).json()
    except (httpx2.HTTPError, ValueError):
        return ["the gateway does not answer"]
    down = said.get("down", {})
    return [f"{name} is down: {reason}" for name, reason in down.items()] or ["all up"]


def doctor(as_json: AsJson = False) -> None:
    """What is wrong here, each with how to mend it. Exit 1 if anything is."""
    settings = from_environment()
    found: list[dict[str, Json]] = []

    def note(what: str, ok: bool, remedy: str = "") -> None:
        found.append({"check": what, "ok": ok, "remedy": "" if ok else remedy})

    note("data folder exists", settings.store.exists(), "run `lockkeep init`")
    note(
        "data folder is private",
        not settings.data.exists() or not settings.data.stat().st_mode & 0o077,
        f"chmod 700 {settings.data}",
    )
    try:
        files = read_folder(settings.policies)
        loaded, problems = load(files)
        note("policy files load", loaded is not None, f"{len(problems)} problems: `lockkeep policy check`")
    except BadPolicySet as error:
        note("policy files load", ok=False, remedy=str(error))
    if settings.store.exists():
        _store_checks(note)
    pid = serving(settings.data)
    note("gateway runs", pid is not None, "`lockkeep serve`")
    if pid is not None:
        said = _integrations(settings.url)
        note("integrations answer", said == ["all up"], "; ".join(said))
    if as_json:
        data(found)
    else:
        shown: list[dict[str, Json]] = [{**each, "ok": "ok" if each["ok"] else "NO"} for each in found]
        rows(("ok", "check", "remedy"), shown, False)
    if not all(each["ok"] for each in found):
        raise typer.Exit(1)


def _store_checks(note: Callable[[str, bool, str], None]) -> None:
    with here() as place:
        store: Store = place.store
        note("a policy set is in force", place.rules is not None, "`lockkeep policy activate`")
        tail = [
            (row["seq"], row["hash"], row["record"])
            for row in reversed(store.read.all("audit_tail", count=1))
        ]
        sound = all(audit.hashed(text) == digest for _, digest, text in tail)
        note("the log's last record is sound", sound, "`lockkeep audit verify`")
        troubles = outbox.troubles(store.read, utc_now())
        note("people are told", not troubles, "; ".join([*troubles, "`lockkeep notify test`"]))
        waiting = store.read.all("calls_in_state", state="needs_human")
        note(
            "no call waits to be resolved",
            not waiting,
            f"{len(waiting)} calls: `lockkeep calls list --state needs_human`",
        )


def server(
    context: typer.Context, name: Annotated[str, typer.Argument(help="An installed tool server, as crm.")]
) -> None:
    """Run a tool server alone; the same as lockkeep-NAME."""
    installed = {each.name: each for each in entry_points(group="lockkeep_servers.servers")}
    if name not in installed:
        raise UnknownServer(f"{name}; installed: {', '.join(sorted(installed))}")
    module = installed[name].value.partition(":")[0]
    sys.argv = [f"lockkeep-{name}", *context.args]
    entry = __import__(module, fromlist=["main"])
    entry.main()
