"""`lockkeep kill`, `pause`, `resume`: straight to the store, also when nothing else works."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import typer

from lockkeep.cli.audit import send_heads
from lockkeep.cli.here import Here, here, utc_now
from lockkeep.cli.show import AsJson, data, fail, say
from lockkeep.errors import NotFound
from lockkeep.ledger import switches
from lockkeep.model import Json, Switch, SwitchMode, moment
from lockkeep.queues import HELD, holders, reaches
from lockkeep.store.folder import serving

SEEN_WITHIN = 5.0
Scope = Annotated[str, typer.Argument(help="all, integration:NAME, tool:NAME, agent:NAME or user:NAME")]
Reason = Annotated[str, typer.Option(help="Why. Agents and people are told.")]


def kill(reason: Reason, scope: Scope = "all", as_json: AsJson = False) -> None:
    """Stop everything in the scope at once. Parked calls are cancelled. Returns when the gateway has seen it."""
    _throw(scope, "kill", reason, as_json)


def pause(reason: Reason, scope: Scope = "all", as_json: AsJson = False) -> None:
    """Stop writes in the scope; reads and parked calls stay."""
    _throw(scope, "pause", reason, as_json)


def drain(
    reason: Reason,
    scope: Scope = "all",
    within: Annotated[float, typer.Option(help="Seconds to wait for what is on the wire.")] = 300.0,
    as_json: AsJson = False,
) -> None:
    """Stop writes in the scope, and return when those on the wire have ended: nothing is under way any more."""
    _throw(scope, "drain", reason, as_json, within=within)


def resume(
    scope: Scope,
    reason: Annotated[str, typer.Option(help="Why it may go on.")],
    undo_only: Annotated[
        bool, typer.Option("--undo-only", help="It stays stopped, but calls may be taken back.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Lift the switch of exactly this scope. Somebody other than who threw it."""
    with here() as place:
        author = place.author("resume")
        alone = place.people.resume_self
        if undo_only:
            place.store.write_now(
                lambda tx: switches.allow_undo(
                    tx, scope=scope, reason=reason, by=author, now=utc_now(), self_allowed=alone
                )
            )
            said: dict[str, Json] = {"scope": scope, "undo_allowed_by": author}
            data(said) if as_json else say(f"{scope} stays stopped; calls may be taken back, by {author}.")
            return
        lifted = place.store.write_now(
            lambda tx: switches.lift(
                tx, scope=scope, reason=reason, by=author, now=utc_now(), self_allowed=alone
            )
        )
        shown: dict[str, Json] = {"scope": scope, "lifted": [each.id for each in lifted], "by": author}
        data(shown) if as_json else say(f"{scope} may run again, by {author}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """What a stop came to."""

    switch: Switch
    pid: int | None  # of the gateway that serves the folder
    seen: bool  # that gateway's sends see the switch, or there is none
    wire: list[str]  # calls that were sent before
    queues: Mapping[str, str | None]  # why it is not held; None if it is
    readable: bool  # whether the rules in force say which queues there are

    @property
    def confirmed(self) -> bool:
        return self.seen and self.readable and not any(self.queues.values())


def stopped(
    place: Here, scope: str, mode: SwitchMode, reason: str, by: str, *, within: float = 0.0
) -> Stopped:
    """The switch stands, and the gateway was waited for. `within`: seconds for what is on the wire to end."""
    _known(place, scope)
    switch = place.store.write_now(
        lambda tx: switches.throw(tx, scope=scope, mode=mode, reason=reason, by=by, now=utc_now())
    )
    pid = serving(place.settings.data)
    seen = pid is None or _seen(place, switch.id)
    wire = _on_the_wire(place, switch, within)
    queues = _queues(place, switch, running=pid is not None)
    readable = place.rules is not None or not place.in_force.refused
    return Stopped(switch=switch, pid=pid, seen=seen, wire=wire, queues=queues, readable=readable)


def _throw(scope: str, mode: SwitchMode, reason: str, as_json: bool, *, within: float = 0.0) -> None:
    with here() as place:
        author = place.author("kill", in_emergency=True)
        done = stopped(place, scope, mode, reason, author, within=within)
        shown: dict[str, Json] = {
            "switch": done.switch.id, "scope": scope, "mode": mode, "by": author, "confirmed": done.seen,
            "on_the_wire": done.wire, "queues": dict(done.queues), "queues_known": done.readable,
        }  # fmt: skip
        if as_json:
            data(shown)
        else:
            _say(done)
        _complain(done, within)
        if done.pid is None:
            send_heads(place)
        if not done.confirmed or (done.wire and within):
            raise typer.Exit(1)


def _say(done: Stopped) -> None:
    say(f"{done.switch.mode} {done.switch.scope}, by {done.switch.by}: {done.switch.reason}")
    say("On the wire: " + (", ".join(done.wire) if done.wire else "nothing."))
    for integration, failure in done.queues.items():
        if failure is None:
            say(f"The queue of {integration} is held.")


def _complain(done: Stopped, within: float) -> None:
    if not done.seen:
        fail(
            f"not confirmed: gateway process {done.pid} has not seen it within {SEEN_WITHIN:g} seconds; end that process"
        )
    for integration, failure in done.queues.items():
        if failure is not None:
            fail(f"not held: the queue of {integration} ({failure}); stop that server itself")
    if not done.readable:
        fail(
            "not held: the rules in force do not load, so nobody knows which servers would still send what is queued; "
            "stop every server that sends by itself, then see: lockkeep policy check"
        )
    if done.wire and within:
        fail(f"not drained: these calls are still on the wire after {within:g} seconds")


def _on_the_wire(place: Here, switch: Switch, within: float) -> list[str]:
    """Calls of the scope that were sent and have no answer yet; waited for if there is time."""
    end = time.monotonic() + within
    while True:
        rows = place.store.read.all("calls_in_state", state="executing")
        wire = [row["id"] for row in rows if switches.covers(switch, row)]
        if not wire or time.monotonic() >= end:
            return wire
        time.sleep(0.05)  # noqa: TID251 - waits for another process; there is no event loop here


def _queues(place: Here, switch: Switch, *, running: bool) -> dict[str, str | None]:
    """Every queue the switch is about, and why it is not held; None if it is."""
    told = {row["integration"]: row for row in place.store.read.all("queues_all")}
    rules = place.rules
    named = told if rules is None else [tool.integration for tool in holders(rules.tools)]
    found: dict[str, str | None] = {}
    for name in named:
        row = told.get(name)
        if not reaches(switch, name, place.store.read):
            continue
        if row is not None and row["state"] in HELD and moment(row["at"]) >= switch.at:
            found[name] = None
        elif rules is not None and name not in rules.integrations:
            found[name] = "gateway.yaml names no such integration any more"
        elif running:
            found[name] = (row["failure"] if row is not None else None) or "it was not told"
        elif rules is None or rules.integrations[name].url:
            # any other server lives in the gateway, and ended with it
            found[name] = "no gateway runs here that could tell it"
    return found


def _known(place: Here, scope: str) -> None:
    """A typing mistake in an emergency is said at once, and nothing looks stopped that is not."""
    if place.rules is not None and (hint := place.rules.unknown_scope(scope)):
        raise NotFound(f"nothing was stopped: {hint}")


def _seen(place: Here, switch: int) -> bool:
    """Whether the gateway says, in the store, that its sends see this switch; a dead gateway sends nothing."""
    end = time.monotonic() + SEEN_WITHIN
    while time.monotonic() < end:
        row = place.store.read.one("seen")
        if (row and row["switch"] >= switch) or serving(place.settings.data) is None:
            return True
        time.sleep(0.02)  # noqa: TID251 - waits for another process; there is no event loop here
    return False
