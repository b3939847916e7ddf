"""TC1, what the manifest says: every tool has a class, every writer a way back, and every expression can be filled."""

from collections.abc import Mapping
from typing import Any, cast

import jsonschema_rs

from lockkeep_servers.check.cases import Write
from lockkeep_servers.check.results import Book
from lockkeep_servers.check.scene import Room, Scene, each_case
from lockkeep_servers.check.undoing import CannotFill, fill, image, plan, value
from lockkeep_servers.kit.manifest import CLASSES

RESTORES = ("exact", "compensates", "none")
Entry = Mapping[str, Any]


async def look(room: Room, book: Book) -> None:
    """Entries first, then what they come to with the values of the cases."""
    for tool in room.tools:
        _entry(room, tool, book)
    if not room.target.writable:
        book.skip("expressions", "The manifest's expressions are filled from calls; nothing is written here.")
        return
    if not room.cases.there:
        return

    async def play(case: Write) -> None:
        async with room.scene(case) as scene:
            await _filled(scene, book)

    for tool in room.writers:
        book.expect(
            bool(room.cases.writes.get(tool)), "case", "This writer has no case.", tool=tool,
            fix=f"Add `writes.{tool}` to conformance.yaml.",
        )  # fmt: skip
    for tool in sorted(set(room.cases.writes) - set(room.tools)):
        book.expect(
            False, "case", "The cases name a tool that is not listed.", tool=tool,
            fix="Take it out of conformance.yaml, or list the tool.",
        )  # fmt: skip
    await each_case(room, book, play, room.each())


def _entry(room: Room, tool: str, book: Book) -> None:
    effect = room.effect(tool)
    known = effect.get("class") in CLASSES
    book.expect(
        known, "class", "The tool does not say its class.", tool=tool, expected=" | ".join(CLASSES),
        got=effect.get("class"), fix="Give it a class in the manifest.",
    )  # fmt: skip
    if not known or effect["class"] == "read":
        return
    faults = [*_undo_faults(room, effect), *_reference_faults(room, tool, effect)]
    for operation in cast(list[Entry], effect.get("operations", [])):
        faults += _operation_faults(room, effect, operation)
    book.expect(
        not faults, "undo", "The manifest entry is not complete.", tool=tool, got="; ".join(faults),
        fix="Correct it as docs/reference/manifests.md says.",
    )  # fmt: skip


def _operation_faults(room: Room, effect: Entry, operation: Entry) -> list[str]:
    whole = {**effect, **operation}
    faults = [] if whole.get("class") in CLASSES else ["an operation has no class"]
    faults += (
        [] if "when" in operation and "operation" in operation else ["an operation needs when and operation"]
    )
    return [*faults, *_undo_faults(room, whole)]


def _undo_faults(room: Room, entry: Entry) -> list[str]:
    undo: Any = entry.get("undo")
    if undo == "none":
        return []
    if not isinstance(undo, Mapping):
        return ["undo is missing"]
    said = cast(Entry, undo)
    faults: list[str] = []
    if said.get("restores") not in RESTORES:
        faults.append(f"undo.restores is none of {', '.join(RESTORES)}")
    if said.get("restores") == "compensates" and not said.get("residue"):
        faults.append("undo.residue is missing: what stays")
    cases = cast(list[Entry], said.get("cases", []))
    if not cases and said.get("restores") != "none":
        faults.append("undo.cases is empty")
    for case in cases:
        tool = str(case.get("tool"))
        if tool not in room.tools:
            faults.append(f"undo names {tool}, which is not listed")
            continue
        given = set(cast(Entry, case.get("with", {})))
        filled = given | set(cast(list[str], room.effect(tool).get("hidden", [])))  # the gateway gives those
        faults += [f"undo gives {tool} no {name}" for name in room.needs(tool) if name not in filled]
        faults += [f"{tool} takes no {name}" for name in sorted(given - set(room.takes(tool)))]
    return faults


def _reference_faults(room: Room, tool: str, effect: Entry) -> list[str]:
    """Arguments that the entry names are arguments; tools that it names are listed."""
    takes = set(room.takes(tool))
    named = {
        f"{part}.arg": cast(Entry, effect[part]).get("arg")
        for part in ("idempotency", "version")
        if isinstance(effect.get(part), Mapping)
    }
    faults = [
        f"{what} names {name}, which is no argument" for what, name in named.items() if name not in takes
    ]
    faults += [
        f"hidden names {name}, which is no argument"
        for name in cast(list[str], effect.get("hidden", []))
        if name not in takes
    ]
    verify: Any = effect.get("verify")
    if isinstance(verify, Mapping):
        said = cast(Entry, verify)
        if said.get("tool") not in room.tools:
            faults.append("verify names a tool that is not listed")
        faults += [f"verify.{name} is missing" for name in ("applied", "not_applied") if name not in said]
    return faults


async def _filled(scene: Scene, book: Book) -> None:
    """Every expression of the entry has an answer for what this call was and brought."""
    answer = await scene.call()
    where = scene.where
    fix = "Correct the case, or the server."
    if not book.expect(
        answer.ok, "case works", "The case was refused.", **where, expected="ok", got=answer.shown, fix=fix
    ):
        return
    entry = scene.entry
    values = {"args": scene.meant(), "result": dict(answer.content)}
    for name, faulty in (
        ("subject", lambda: _subject(entry, values)),
        ("amount", lambda: _amount(entry, values)),
        ("simulate", lambda: _simulate(entry, values)),
        ("verify", lambda: _verify(scene.room, entry, values)),
        ("undo", lambda: _undo(scene.room, entry, values)),
    ):
        try:
            fault = faulty()
        except CannotFill as error:
            fault = str(error)
        book.expect(
            not fault, name, f"The manifest's {name} does not fit this call.", **where, got=fault,
            fix="Correct the expression in manifest.yaml.",
        )  # fmt: skip


def _subject(entry: Entry, values: Entry) -> str:
    found = value(entry["subject"], values) if entry.get("subject") else ""
    return "" if isinstance(found, str | int) else f"{entry['subject']} is {found!r}, no text"


def _amount(entry: Entry, values: Entry) -> str:
    """Money is whole minor units with a currency, or not there at all."""
    said: Any = entry.get("amount")
    if not isinstance(said, Mapping):
        return ""
    amount = cast(Mapping[str, str], said)
    try:
        minor = value(amount["minor"], values)
        currency = value(amount["currency"], values)
    except CannotFill:
        return ""  # arguments that name no money; the gateway takes that as no amount
    fits = minor is None or (isinstance(minor, int) and isinstance(currency, str))
    return "" if fits else f"{minor!r} {currency!r} is no money"


def _simulate(entry: Entry, values: Entry) -> str:
    if "simulate" not in entry:
        return ""
    filled = fill(entry["simulate"], {"args": values["args"]})  # there is no result in the shadow lane
    return "" if isinstance(filled, Mapping) else "it is no object"


def _verify(room: Room, entry: Entry, values: Entry) -> str:
    if "verify" not in entry:
        return ""
    verify = cast(Entry, entry["verify"])
    faults = _faults_of_call(
        room, str(verify["tool"]), fill(verify.get("with", {}), {"args": values["args"]})
    )
    for name in ("applied", "not_applied"):
        value(str(verify[name]), {"result": {"state": "absent"}, "args": values["args"]})
    return faults


def _undo(room: Room, entry: Entry, values: Entry) -> str:
    if entry.get("undo") in (None, "none"):
        return ""
    planned = plan(entry, {**values, "before": image(entry, values)})
    if planned is None:
        possible = cast(Entry, cast(Entry, values["result"]).get("undo", {})).get("possible")
        restores = cast(Entry, entry["undo"]).get("restores")
        return "" if possible == "no" or restores == "none" else "no case holds"
    return _faults_of_call(room, *planned)


def _faults_of_call(room: Room, tool: str, arguments: Any) -> str:
    """What the tool's own schema says to these arguments."""
    if tool not in room.tools:
        return f"{tool} is not listed"
    schema = dict(room.tools[tool].input_schema)
    required = [name for name in room.needs(tool) if name != room.key_of(tool)]
    validator = jsonschema_rs.Draft202012Validator({**schema, "required": required})
    given = {name: part for name, part in arguments.items() if part is not None or name in required}
    return "; ".join(f"{tool}: {fault.message}" for fault in validator.iter_errors(given))
