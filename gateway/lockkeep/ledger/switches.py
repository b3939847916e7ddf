"""The kill switch: read on every call and again inside the claim, never cached, unreadable means denied."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from lockkeep.errors import NotAllowed, NotFound
from lockkeep.ledger import approvals, audit, outbox
from lockkeep.model import Deny, Switch, SwitchMode, ToolCall, moment, stamp
from lockkeep.store import Row, Tx

SCOPES = ("all", "integration", "tool", "agent", "user")
FILE = "KILL"


def thrown(tx: Tx) -> list[Switch]:
    return [_switch(row) for row in tx.all("switches_thrown")]


def by_file(folder: Path) -> list[Switch]:
    """The switch that works without the database: a file named KILL in the data folder."""
    path = folder / FILE
    try:
        at = datetime.fromtimestamp(path.stat().st_mtime).astimezone()
    except FileNotFoundError:
        return []
    return [
        Switch(
            id=0,
            scope="all",
            mode="kill",
            reason=f"the file {FILE} is in the data folder",
            by="its owner",
            at=at,
        )
    ]


def covering(switches: Iterable[Switch], call: ToolCall) -> Switch | None:
    """The strictest switch that covers this call."""
    found = [switch for switch in switches if covers(switch, call)]
    return min(found, key=lambda switch: switch.mode != "kill", default=None)


def covers(switch: Switch, call: ToolCall | Row) -> bool:
    """Whether the switch stops this call; `pause` and `drain` let reads go on."""
    if isinstance(call, ToolCall):
        names = (call.integration, call.tool, call.agent, call.user)
        reads = call.reads
    else:
        names = (call["integration"], call["tool"], call["agent"], call["user"])
        reads = call["risk"] == "read"
    if isinstance(call, ToolCall) and call.undo_of is not None and switch.undo_allowed_by is not None:
        return False  # the one way to repair while everything else is stopped
    scopes = {"all", *(f"{kind}:{name}" for kind, name in zip(SCOPES[1:], names, strict=True))}
    return switch.scope in scopes and not (switch.mode != "kill" and reads)


def denial(switch: Switch) -> Deny:
    """What the agent is told."""
    fix = f"Someone other than {switch.by} can lift it."
    if switch.mode == "kill":
        return Deny("switch.killed", switch.reason, fix, "no")
    return Deny("switch.draining" if switch.mode == "drain" else "switch.paused", switch.reason, fix, "later")


def throw(tx: Tx, *, scope: str, mode: SwitchMode, reason: str, by: str, now: datetime) -> Switch:
    """The switch stands once this transaction commits; later claims see it."""
    kind, _, name = scope.partition(":")
    if kind not in SCOPES or bool(name) == (kind == "all"):
        raise NotFound(
            f"no such scope: {scope}; use all, or one of {', '.join(SCOPES[1:])} and a name, as in tool:crm.get"
        )
    row = tx.one("switch_throw", scope=scope, mode=mode, reason=reason, by=by, at=stamp(now))
    if row is None:
        raise NotFound(scope)
    audit.append(tx, "switch.thrown", now, switch=row["id"], scope=scope, mode=mode, reason=reason, by=by)
    outbox.announce(tx, "switch.thrown", row["id"], now)
    switch = Switch(id=row["id"], scope=scope, mode=mode, reason=reason, by=by, at=now)
    if mode == "kill":
        _cancel_parked(tx, switch, now)
    return switch


def _cancel_parked(tx: Tx, switch: Switch, now: datetime) -> None:
    """Nothing that people were asked about runs after a kill."""
    for row in tx.all("calls_in_state", state="pending_approval"):
        if covers(switch, row):
            why = f"Stopped by {switch.by}: {switch.reason}"
            tx.run("approval_end", id=row["approval"], state="cancelled", at=stamp(now), note=why)
            outbox.announce(tx, "approval.decided", row["approval"], now)
            approvals.end_parked(tx, row["id"], "cancelled", why, now)


def lift(tx: Tx, *, scope: str, reason: str, by: str, now: datetime, self_allowed: bool) -> list[Switch]:
    """All switches of exactly this scope end; whoever threw one needs somebody else to lift it."""
    found = _others(tx, scope, by, self_allowed)
    for switch in found:
        tx.run("switch_lift", id=switch.id, by=by, at=stamp(now), note=reason)
        audit.append(tx, "switch.lifted", now, switch=switch.id, scope=scope, reason=reason, by=by)
        outbox.announce(tx, "switch.lifted", switch.id, now)
    return found


def _others(tx: Tx, scope: str, by: str, self_allowed: bool) -> list[Switch]:
    """The thrown switches of exactly this scope, if this person may decide about them."""
    found = [switch for switch in thrown(tx) if switch.scope == scope]
    if not found:
        there = ", ".join(switch.scope for switch in thrown(tx)) or "none"
        raise NotFound(f"no thrown switch has the scope {scope}; thrown: {there}")
    if not self_allowed and any(switch.by == by for switch in found):
        raise NotAllowed(
            f"{by} threw it; another person has to lift it (or set resume_self: true in people.yaml)"
        )
    return found


def allow_undo(
    tx: Tx, *, scope: str, reason: str, by: str, now: datetime, self_allowed: bool
) -> list[Switch]:
    """What this scope stops may be taken back, though nothing else runs. A second person allows it."""
    found = _others(tx, scope, by, self_allowed)
    for switch in found:
        tx.run("switch_undo_allowed", id=switch.id, by=by)
        audit.append(tx, "switch.undo_allowed", now, switch=switch.id, scope=scope, reason=reason, by=by)
    return found


def _switch(row: Row) -> Switch:
    return Switch(
        id=row["id"],
        scope=row["scope"],
        mode=row["mode"],
        reason=row["reason"],
        by=row["by"],
        at=moment(row["at"]),
        undo_allowed_by=row["undo_allowed_by"],
    )
