"""What each writer does inside its transaction. Checks that need the store stand here, before the effect."""

import json
from datetime import timedelta
from typing import Any

from lockkeep_servers.kit.errors import (
    CheckFailed,
    Conflict,
    Duplicate,
    IllegalTransition,
    Invalid,
    NotFound,
    WindowClosed,
)
from lockkeep_servers.kit.receipts import Effect
from lockkeep_servers.kit.results import Undo
from lockkeep_servers.kit.sqlite import Row
from lockkeep_servers.kit.times import parse_time, stamp
from lockkeep_servers.ticketing import port
from lockkeep_servers.ticketing.adapters.rows import Rows, fields_of, with_tags
from lockkeep_servers.ticketing.states import allowed, landing

FINAL = Undo(possible="no", note="A closed ticket is final. Create a follow-up.")
READ = Undo(possible="no", note="The customer has read it. Reply again to correct it.")
GONE = Undo(possible="no", note="Make it again instead.")
NOTHING = Undo(possible="no", note="Nothing changed.")


def create(rows: Rows, ask: port.Create) -> Effect:
    """There is one ticket of this external_id, or a new one; a ticket that exists is answered as it is."""
    person = rows.tx.row("get_person", id=ask.requester)
    if person is None:
        hint = "Use the id of a person this desk knows."
        raise CheckFailed("requester_known", "Nobody here has this id.", hint=hint, field="requester")
    if ask.external_id is not None:
        found = rows.tx.row("find_by_external_id", external_id=ask.external_id)
        if found is not None:
            return _existing(found, ask)
    values = {
        "requester_id": person["id"],
        "requester_name": person["name"],
        "requester_email": person["email"],
        "subject": ask.subject,
        "priority": ask.priority,
        "type": ask.type,
        "tags": json.dumps(with_tags("[]", ask.tags, ())),
        "external_id": ask.external_id,
    }
    row = rows.add(values)
    rows.say(row["id"], "request", ask.body, by=ask.requester)
    after = {name: value for name, value in fields_of(row).items() if value not in (None, [], False)}
    return Effect(row["id"], "1", None, after)


def _existing(row: Row, ask: port.Create) -> Effect:
    """One who asks again gets the ticket and no second one; somebody else's ticket is nobody's answer."""
    if row["requester_id"] != ask.requester:
        raise Duplicate("ticket", row["id"])
    warnings = ["same_external_id: this ticket existed; nothing was changed"]
    if other := [name for name in ("subject", "body") if row[name] != getattr(ask, name)]:
        warnings.append(f"same_external_id: not taken over, since they differ: {', '.join(other)}")
    if row["status"] == "closed":
        warnings.append("same_external_id: it is closed; a follow-up needs an external_id of its own")
    return Effect(row["id"], str(row["version"]), {}, {}, warnings=tuple(warnings))


def triage(rows: Rows, ask: port.Triage) -> Effect:
    """The named fields have these values, the tags are added and gone."""
    add, remove = ask.tags_add or [], ask.tags_remove or []
    given = {name: getattr(ask, name) for name in ("priority", "type", "group", "assignee")}
    given = {name: value for name, value in given.items() if value is not None}
    if not given and not add and not remove:
        raise Invalid({"priority": "or type, group, assignee, tags_add, tags_remove is required"})
    if set(add) & set(remove):
        raise Invalid({"tags_remove": "must not name a tag of tags_add"})
    row = rows.fetch_alive(ask.id, ask.expected_version)
    tags = with_tags(row["tags"], add, remove)
    if len(tags) > port.MOST_TAGS:
        raise Invalid({"tags_add": f"a ticket holds at most {port.MOST_TAGS} tags"})
    return rows.save(row, _checked(rows, row, {**given, "tags": tags}))


def restore_triage(rows: Rows, ask: port.RestoreTriage) -> Effect:
    """The fields are what they were before the triage that led to this version, for thirty days."""
    given = ask.before.given()
    if not given:
        raise Invalid({"before": "needs one field at least"})
    if "tags" in given and given["tags"] is None:
        raise Invalid({"before.tags": "cannot be null"})
    row = rows.fetch_alive(ask.id, ask.expected_version)
    made = rows.tx.row("change_at", id=row["id"], version=row["version"])
    if made is not None:
        _within_window(rows, made["at"])
    return rows.save(row, _checked(rows, row, given), reason="undo", undo=GONE)


def _checked(rows: Rows, row: Row, given: dict[str, Any]) -> dict[str, Any]:
    """Return the columns for these fields; a new group is known, a new assignee known and active."""
    columns = dict(given)
    if "group" in columns:
        columns["group_id"] = columns.pop("group")
        group = columns["group_id"]
        if group not in (None, row["group_id"]) and rows.tx.row("get_group", id=group) is None:
            raise NotFound("group")
    if "assignee" in columns:
        columns["assignee_id"] = columns.pop("assignee")
        if columns["assignee_id"] not in (None, row["assignee_id"]):
            _assignee_present(rows, columns["assignee_id"])
    if "tags" in columns:
        columns["tags"] = json.dumps(columns["tags"])
    return columns


def _assignee_present(rows: Rows, id: str) -> None:
    agent = rows.tx.row("get_agent", id=id)
    if agent is None or not agent["active"]:
        message = "This agent is not active." if agent else "No agent has this id."
        active = [one["id"] for one in rows.tx.rows("active_agents")]
        raise CheckFailed(
            "assignee_present", message, hint="Choose one of details.active.", field="assignee", active=active
        )


def add_note(rows: Rows, ask: port.AddNote) -> Effect:
    """The note stands in the ticket, for colleagues; what was decided about the ticket stays valid."""
    row = rows.fetch_alive(ask.id)
    id = rows.say(row["id"], "note", ask.body)
    return Effect(id, str(row["version"]), None, {"ticket_id": row["id"], "visibility": "internal"})


def reply(rows: Rows, ask: port.Reply) -> Effect:
    """The customer reads it. The ticket has a new version: whoever decided before has not read it."""
    row = rows.fetch_alive(ask.id)
    id = rows.say(row["id"], "reply", ask.body)
    first = row["first_replied_at"] or stamp(rows.now)
    rows.write({**row, "first_replied_at": first})
    version = row["version"] + 1
    rows.remember(row["id"], version, {}, {"messages": id}, None)
    after = {"ticket_id": row["id"], "visibility": "public"}
    return Effect(id, str(version), None, after, undo=READ)


def transition(rows: Rows, ask: port.Transition) -> Effect:
    """The ticket has that status; solved holds its resolution until it is opened again."""
    if ask.to != "solved" and ask.resolution is not None:
        raise Invalid({"resolution": "is for solving"})
    row = rows.fetch(ask.id)
    rows.expect(row, ask.expected_version)
    if row["withdrawn_at"] is not None:
        raise IllegalTransition([])
    status: str = row["status"]
    if ask.to == status and ask.resolution in (None, row["resolution"]):
        return Effect(row["id"], str(row["version"]), {}, {}, undo=NOTHING)
    if ask.to not in allowed(status):
        raise IllegalTransition(allowed(status))
    if ask.to == "solved" and not (ask.resolution or "").strip():
        hint = "Say in resolution how it was solved."
        raise CheckFailed("resolution_present", "Solving needs a resolution.", hint=hint, field="resolution")
    resolution = row["resolution"] if ask.to == "closed" else ask.resolution
    undo = _way_back(rows, status, ask.to)
    return rows.save(row, {"status": ask.to, "resolution": resolution}, ask.reason, undo)


def _way_back(rows: Rows, before: str, after: str) -> Undo | None:
    """What taking the step back can do; None = exactly, for thirty days."""
    end = landing(before, after)
    if end is None:
        return FINAL
    if end == before:
        return None
    until = (rows.now + timedelta(days=port.UNDO_DAYS)).replace(microsecond=0)
    return Undo(possible="until", until=until, note=f"It was {before}; taken back, it is open.")


def withdraw(rows: Rows, ask: port.Withdraw) -> Effect:
    """The ticket or the note counts as never made; nothing that was built on it is lost."""
    return _withdraw_ticket(rows, ask) if ask.note_id is None else _withdraw_note(rows, ask, ask.note_id)


def _withdraw_ticket(rows: Rows, ask: port.Withdraw) -> Effect:
    row = rows.fetch(ask.id)
    if row["withdrawn_at"] is not None:
        return Effect(row["id"], str(row["version"]), {}, {}, undo=NOTHING)
    _made_here(row["made_by"], "tool:create")
    _within_window(rows, row["created_at"])
    _as_created(rows, row)
    return rows.save(row, {"withdrawn_at": stamp(rows.now)}, ask.reason, GONE)


def _as_created(rows: Rows, row: Row) -> None:
    """Every field has its first value again, or still, and nobody has said anything that stands."""
    now = fields_of(row)
    first = {one["field"]: json.loads(one["old"]) for one in rows.tx.rows("first_values", id=row["id"])}
    moved = [name for name, value in first.items() if now.get(name) != value]
    if rows.tx.rows("said_since_created", id=row["id"])[0]["count"] and "messages" not in moved:
        moved.append("messages")
    if moved:
        raise Conflict(str(row["version"]), moved)


def _withdraw_note(rows: Rows, ask: port.Withdraw, note_id: str) -> Effect:
    row = rows.fetch(ask.id)
    note = rows.tx.row("get_note", id=ask.id, note_id=note_id)
    if note is None:
        raise NotFound("note")
    if note["withdrawn_at"] is not None:
        return Effect(note_id, str(row["version"]), {}, {}, undo=NOTHING)
    if row["status"] == "closed" or row["withdrawn_at"] is not None:
        raise IllegalTransition([])
    _made_here(note["by"], "tool:add_note")
    _within_window(rows, note["at"])
    rows.tx.run("withdraw_note", id=note_id, at=stamp(rows.now))
    return Effect(note_id, str(row["version"]), {"withdrawn": False}, {"withdrawn": True}, undo=GONE)


def _made_here(by: str, tool: str) -> None:
    if by != tool:
        message = "Only what a tool of this server made can be withdrawn."
        raise CheckFailed("made_here", message, hint="Leave it, or solve and close the ticket.")


def _within_window(rows: Rows, at: str) -> None:
    if parse_time(at) < rows.now - timedelta(days=port.UNDO_DAYS):
        raise WindowClosed(port.UNDO_DAYS)
