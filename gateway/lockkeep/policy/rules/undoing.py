"""How a write is taken back, as its manifest and its answer say."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import cast

from lockkeep.model import Json, Tool, Tools, UndoRecord, is_object, moment
from lockkeep.policy.conditions.lexer import Unreadable
from lockkeep.policy.conditions.runtime import EvalError
from lockkeep.policy.files.reading import span
from lockkeep.policy.rules.manifest import Effects, filled, judge

Values = Mapping[str, Json]


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


def record(
    tool: Tool,
    tools: Tools,
    entry: Mapping[str, Json],
    *,
    sent: Values,
    result: Json,
    before: Json,
    at: datetime,
) -> UndoRecord:
    """What is kept about taking this back, right after it happened. What cannot be worked out is said, never guessed.

    `result` is the structured content of the answer, `before` what was read ahead of it.
    """
    said: Json = entry.get("undo")
    if not is_object(said) or said.get("restores") == "none":
        return UndoRecord(restores="none", why=f"{tool.name} cannot be taken back, says its manifest.")
    values: dict[str, Json] = {"args": dict(sent), "result": result, "before": before}
    shown: Mapping[str, Json] = result if is_object(result) else {}
    restores = "exact" if said.get("restores") == "exact" else "compensates"
    residue = str(said.get("residue") or "")
    try:
        if isinstance(entry.get("before"), str):
            values["before"] = filled(f"={entry['before']}", values)
        until, no = _until(said, shown, at), _impossible(shown)
        case = None if no else _case(said, values)
        by = sibling(tool, tools, case["tool"]) if case else None
        arguments: Json = filled(case.get("with", {}), values) if case else {}
    except (Unreadable, EvalError) as error:
        why = f"The answer does not hold what taking it back needs: {error.message}."
        return UndoRecord(restores="none", residue=residue, why=why)
    why = no or ("" if by else "Its manifest has no way back for this case.")
    return UndoRecord(
        restores=restores, residue=residue, until=until, tool=by.name if by else None,
        arguments=arguments if is_object(arguments) else {}, before=values["before"], after=shown.get("after"),
        version=shown.get("version"), id=shown.get("id"), why=why,
    )  # fmt: skip


def sibling(tool: Tool, tools: Tools, name: Json) -> Tool | None:
    """The tool of the same integration that its server calls so."""
    named = (tool.integration, name)
    return next((each for each in tools.values() if (each.integration, each.server_name) == named), None)


def _case(said: Mapping[str, Json], values: Values) -> Mapping[str, Json] | None:
    """The first whose `when` holds."""
    cases = cast("list[Mapping[str, Json]]", said.get("cases") or [])
    return next((each for each in cases if "when" not in each or judge(str(each["when"]), values)), None)


def _until(said: Mapping[str, Json], shown: Mapping[str, Json], at: datetime) -> datetime | None:
    """The manifest's window or what the answer says, whichever ends first."""
    ends: list[datetime] = []
    if (window := span(str(said.get("window") or ""))) is not None:
        ends.append(at + timedelta(seconds=window))
    told: Json = shown.get("undo")
    if is_object(told) and isinstance(told.get("until"), str):
        ends.append(moment(told["until"]))
    return min(ends, default=None)


def _impossible(shown: Mapping[str, Json]) -> str:
    told: Json = shown.get("undo")
    if is_object(told) and told.get("possible") == "no":
        return str(told.get("note") or "The integration says it cannot be taken back.")
    return ""
