"""How a write is taken back, as its manifest and its answer say."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import cast

from lockkeep.model import Json, Tool, Tools, UndoRecord, is_object, moment
from lockkeep.policy.conditions.lexer import Unreadable
from lockkeep.policy.conditions.runtime import EvalError, is_array, shown
from lockkeep.policy.files.reading import span
from lockkeep.policy.rules.manifest import Effects, filled, judge

Values = Mapping[str, Json]
LONGEST = 100 * 365 * 86400.0  # seconds


def entry_of(tool: Tool, effects: Effects, operation: str) -> Mapping[str, Json]:
    """What the manifest says of this operation of the tool."""
    found = effects.operations.named(operation) if effects.operations else None
    return found.entry if found else tool.effect


def image_read(
    entry: Mapping[str, Json], tool: Tool, tools: Tools, arguments: Values
) -> tuple[Tool, Values] | None:
    """The read that shows the state before, where answers do not: asked before the call is sent. None: answers do."""
    said: Json = entry.get("before")
    if not is_object(said):
        return None
    reader = sibling(tool, tools, said.get("tool"))
    if reader is None or not reader.reads:
        return None
    asked: Json = filled(said.get("with", {}), {"args": dict(arguments)})
    return (reader, asked) if is_object(asked) else None


def kept(entry: Mapping[str, Json], answer: Json) -> Json:
    """Of what was read, the fields the manifest wants to keep; all, if it names none."""
    said: Json = entry.get("before")
    names: Json = said.get("keep") if is_object(said) else None
    if not isinstance(names, list) or not is_object(answer):
        return answer
    return {name: answer.get(str(name)) for name in cast("list[str]", names)}


class Unclear(Exception):
    """What the manifest or the answer says about taking it back cannot be read."""


def record(
    tool: Tool,
    tools: Tools,
    entry: Mapping[str, Json],
    *,
    sent: Values,
    result: Json,
    before: Json,
    after: Json,
    at: datetime,
) -> UndoRecord:
    """What is kept about taking this back, right after it happened. What cannot be worked out is said, never guessed.

    `result` is the structured content of the answer; `before` and `after` were read around it, if the manifest says how.
    """
    said: Json = entry.get("undo")
    if not is_object(said) or said.get("restores") == "none":
        return UndoRecord(restores="none", why=f"{tool.name} cannot be taken back, says its manifest.")
    residue = shown(str(said.get("residue") or ""))
    if is_object(entry.get("before")) and before is None:
        return UndoRecord(
            restores="none", residue=residue, why="What stood before could not be read, so nothing says what to go back to."
        )  # fmt: skip
    values: dict[str, Json] = {"args": dict(sent), "result": result, "before": before}
    told: Mapping[str, Json] = result if is_object(result) else {}
    try:
        if isinstance(entry.get("before"), str):
            values["before"] = filled(f"={entry['before']}", values)
        until, no = _until(said, told, at), _impossible(told)
        case = None if no else _case(said, values)
        by = sibling(tool, tools, case.get("tool")) if case else None
        arguments: Json = filled(case.get("with", {}), values) if case else {}
    except (Unreadable, EvalError) as error:
        why = f"The answer does not hold what taking it back needs: {shown(error.message)}."
        return UndoRecord(restores="none", residue=residue, why=why)
    except Unclear as unclear:
        return UndoRecord(restores="none", residue=residue, why=str(unclear))
    why = no or ("" if by else "Its manifest has no way back for this case.")
    return UndoRecord(
        restores="exact" if said.get("restores") == "exact" else "compensates", residue=residue, until=until,
        tool=by.name if by else None, arguments=arguments if is_object(arguments) else {}, before=values["before"],
        after=told.get("after") if after is None else after, version=told.get("version"), id=told.get("id"), why=why,
    )  # fmt: skip


def sibling(tool: Tool, tools: Tools, name: Json) -> Tool | None:
    """The tool of the same integration that its server calls so."""
    named = (tool.integration, name)
    return next((each for each in tools.values() if (each.integration, each.server_name) == named), None)


def _case(said: Mapping[str, Json], values: Values) -> Mapping[str, Json] | None:
    """The first whose `when` holds."""
    cases: Json = said.get("cases") or []
    if not is_array(cases):
        raise Unclear("The cases of its manifest are no list.")
    for case in cases:
        if is_object(case) and ("when" not in case or judge(str(case["when"]), values)):
            return case
    return None


def _until(said: Mapping[str, Json], told: Mapping[str, Json], at: datetime) -> datetime | None:
    """The manifest's window or what the answer says, whichever ends first."""
    ends: list[datetime] = []
    if (window := said.get("window")) is not None:
        seconds = span(str(window))
        if seconds is None or seconds > LONGEST:
            raise Unclear(f"The window {shown(str(window))} of its manifest is no duration.")
        ends.append(at + timedelta(seconds=seconds))
    undo: Json = told.get("undo")
    if is_object(undo) and undo.get("until") is not None:
        ends.append(_moment(undo["until"]))
    return min(ends, default=None)


def _moment(said: Json) -> datetime:
    try:
        found = moment(str(said))
        if found.tzinfo is not None:
            return found.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise Unclear("Its answer says until when it can be taken back, but no time that can be read.")


def _impossible(told: Mapping[str, Json]) -> str:
    """Why not, if the answer says so; where it says neither yes nor no, that is a no."""
    undo: Json = told.get("undo")
    possible: Json = undo.get("possible") if is_object(undo) else None
    if not is_object(undo) or possible in (None, "yes", "until"):
        return ""
    if possible == "no":
        return shown(str(undo.get("note") or "The integration says it cannot be taken back."))
    return f"Its answer says neither yes nor no to taking it back: {shown(str(possible))}."
