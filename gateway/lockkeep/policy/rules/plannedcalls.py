"""Calls that stand in a workflow file: the tool, and its arguments as checked code."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import jsonschema_rs

from lockkeep.model import Json, Tool, Tools
from lockkeep.policy.conditions import runtime
from lockkeep.policy.conditions.checked import Code
from lockkeep.policy.conditions.lexer import Unreadable
from lockkeep.policy.conditions.parser import Attr, Name, Tree, parse_lookup
from lockkeep.policy.conditions.runtime import Env, Value, as_json, needed
from lockkeep.policy.conditions.types import ANY, BOOL, NULL, NUMBER, TEXT, Type, of_answer, of_schema
from lockkeep.policy.positions import Listing, Node, Text, nearest
from lockkeep.policy.positions import Mapping as Node_
from lockkeep.policy.rules.terms import CHECKER, Names, Terms
from lockkeep.upstream.exported import exported_schema

NO_ARGUMENTS = ("money", "duration", "table")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCall:
    """One tool and its arguments. `open` are required ones that nobody has filled in yet; `text` is for people."""

    tool: str
    arguments: Mapping[str, Code]
    answer: Type
    text: str
    open: tuple[str, ...] = ()

    def filled(self, env: Env) -> dict[str, Json]:
        """The arguments, but for the open ones; raises EvalError if one has no value."""
        return {name: _json(code, env, name) for name, code in self.arguments.items()}


class Planner:
    """Checks the calls of workflow files against the accepted tools."""

    def __init__(self, tools: Tools, terms: Terms) -> None:
        self.tools, self.terms = tools, terms

    def tool(self, at: Text, name: str, *, by_gateway: bool = False) -> Tool | None:
        """The tool that a run may call, or that the gateway asks itself."""
        offered = [tool.name for tool in self.tools.values() if tool.offered]
        tool = self.tools.get(name)
        if tool is None:
            hint = nearest(name, offered) or "accept the integration's tools first: lockkeep catalog accept"
            self.terms.say(at, f"no accepted tool is called '{name}'", hint, code="unknown-tool")
        elif not tool.offered and not by_gateway:
            message = f"'{name}' is for the gateway only"
            self.terms.say(at, message, "agents never see it, so no run calls it", code="unknown-tool")
        else:
            return tool
        return None

    def look_up(self, text: Text, names: Names) -> PlannedCall | None:
        """`integration.tool(arguments)` that the gateway asks itself: the tool only reads."""
        call = self._call(text, names, by_gateway=True)
        if call is None or self.tools[call.tool].reads:
            return call
        message = f"{call.tool} does not only read (it is {self.tools[call.tool].risk})"
        self.terms.say(
            text, message, nearest(call.tool, [each.name for each in self.tools.values() if each.reads])
        )
        return None

    def of_step(self, text: Text, given: Node_ | None, names: Names) -> PlannedCall | None:
        """`integration.tool(arguments)`, whole; or a tool, and `with` says what is known of its arguments."""
        if "(" in text.text:
            if given is not None:
                message = "the arguments stand in 'call' and in 'with'"
                self.terms.problems.add(given.place, message, "write them in one place")
                return None
            return self._call(text, names)
        tool = self.tool(text, text.text)
        arguments = self.given(tool, given, names) if tool is not None and given is not None else {}
        if tool is None or arguments is None:
            return None
        required: Iterable[str] = exported_schema(tool).get("required", ())
        said = ", ".join(f"{key.text}={_said(value)}" for key, value in given.entries) if given else ""
        return PlannedCall(
            tool=tool.name, arguments=arguments, answer=_answer(tool, arguments), text=f"{tool.name}({said})",
            open=tuple(name for name in required if name not in arguments),
        )  # fmt: skip

    def given(self, tool: Tool, node: Node_, names: Names) -> dict[str, Code] | None:
        """`argument: value`: a text that begins with `=` is a condition, anything else stands for itself."""
        parameters, found = _parameters(tool), dict[str, Code]()
        for key, value in node.entries:
            if key.text not in parameters:
                message = f"{tool.name} has no parameter '{key.text}'"
                self.terms.say(key, message, nearest(key.text, parameters), code="unknown-name")
                continue
            what = f"{key.text} of {tool.name}"
            code = self._given(value, parameters[key.text], what, names)
            fault = _fault(tool, key.text, code) if code is not None else None
            if fault is not None:
                self.terms.problems.add(value.place, f"{what} does not fit: {fault}", code="condition")
            elif code is not None:
                found[key.text] = code
        return found if len(found) == len(node.entries) else None

    def _given(self, node: Node, kind: Type, what: str, names: Names) -> Code | None:
        if isinstance(node, Text):
            return self._scalar(node, kind, what, names)
        wanted = "list" if isinstance(node, Listing) else "object"
        if kind.kind not in (wanted, "any"):
            self.terms.problems.add(node.place, f"{what} is {kind}, this is {node.kind}", code="condition")
            return None
        if isinstance(node, Listing):
            items = [self._given(item, kind.item or ANY, f"an item of {what}", names) for item in node.items]
            there = [item for item in items if item is not None]
            return _list(there) if len(there) == len(items) else None
        fields: dict[str, Code] = {}
        for key, value in node.entries:
            found = kind.attribute(key.text)
            if found is None or found.kind == "money":  # money is a view of the two fields behind it
                self.terms.say(key, f"{what} has no field '{key.text}'", nearest(key.text, kind.names()))
            elif (code := self._given(value, found, f"{key.text} in {what}", names)) is not None:
                fields[key.text] = code
        return _object(fields) if len(fields) == len(node.entries) else None

    def _scalar(self, node: Text, kind: Type, what: str, names: Names) -> Code | None:
        value = node.value
        if isinstance(value, str) and value.startswith("=") and not value.startswith("=="):
            code, begin = self.terms.value(node, names, begin=1), 1
        else:
            code, begin = (
                _literal(value[1:] if isinstance(value, str) and value.startswith("==") else value),
                0,
            )
        if code is None:
            return None
        try:
            _must_fit(what, kind, code)
        except Unreadable as error:
            self.terms.say(node, error.message, error.hint, offset=begin + error.at)
            return None
        return code

    def _call(self, text: Text, names: Names, *, by_gateway: bool = False) -> PlannedCall | None:
        """`integration.tool(name=condition, condition)` with nothing left open."""
        try:
            name, arguments = parse_lookup(text.text)
            tool = self.tool(text, name, by_gateway=by_gateway)
            if tool is None or any(names.breaks(tree) for _, tree in arguments):
                return None
            found = _arguments(tool, arguments, names)
        except Unreadable as error:
            self.terms.say(text, error.message, error.hint, offset=error.at)
            return None
        return PlannedCall(
            tool=tool.name, arguments=found, answer=_answer(tool, found), text=" ".join(text.text.split())
        )


class OwnTools:
    """The tools of one workflow. None: not certain, since some step is wrong; then no tool is a stranger."""

    def __init__(self, planner: Planner, names: tuple[str, ...] | None) -> None:
        self.planner, self.terms, self.names = planner, planner.terms, names

    def tool(self, text: Text) -> Tool | None:
        tool = self.planner.tool(text, text.text)
        if tool is None or self.names is None or tool.name in self.names:
            return tool
        close = nearest(tool.name, self.names)
        hint = close if close.startswith("did you mean") else "name it in a step, or under tools"
        self.terms.say(text, f"this workflow does not use {tool.name}", hint, code="unknown-tool")
        return None


def _arguments(tool: Tool, given: Iterable[tuple[str | None, Tree]], names: Names) -> dict[str, Code]:
    """By parameter; raises Unreadable at the first that does not fit, and if a required one is not there."""
    parameters, found = _parameters(tool), dict[str, Code]()
    required: list[str] = exported_schema(tool).get("required", [])
    for name, tree in given:
        last = tree.name if isinstance(tree, Name | Attr) else ""
        bare = required[0] if last not in parameters and len(required) == 1 else last
        parameter = name or bare
        if parameter not in parameters:
            shown_as = f"'{parameter}'" if parameter else "this value"
            message = f"{tool.name} has no parameter for {shown_as}"
            raise Unreadable(tree.at, message, nearest(parameter, parameters))
        if parameter in found:
            raise Unreadable(tree.at, f"'{parameter}' is given twice")
        code = CHECKER.value(tree, names.scope_for(tree))
        _must_fit(f"{parameter} of {tool.name}", parameters[parameter], code)
        if (fault := _fault(tool, parameter, code)) is not None:
            raise Unreadable(code.at, f"{parameter} of {tool.name} does not fit: {fault}")
        found[parameter] = code
    missing = [name for name in required if name not in found]
    if missing:
        raise Unreadable(0, f"{tool.name} needs {', '.join(missing)}", f"write {missing[0]}=…")
    return found


def _parameters(tool: Tool) -> dict[str, Type]:
    """What a run may say; `exported_schema` has left out what the gateway fills in."""
    schema = exported_schema(tool)
    kind, properties = of_schema(schema), schema.get("properties", {})
    return {name: kind.attribute(name) or ANY for name in properties or kind.names()}


def _answer(tool: Tool, arguments: Mapping[str, Code]) -> Type:
    """What it answers, narrowed by what is literally asked (`kind="lead"`)."""
    return of_answer(tool.output or {}).narrowed(
        {name: code.value for name, code in arguments.items() if code.literal}
    )


def _must_fit(what: str, wanted: Type, code: Code) -> None:
    """Raises Unreadable if the value can never be this argument."""
    given = code.type
    if given.kind in NO_ARGUMENTS:
        hint = "say its number and its currency: x_minor, currency" if given.kind == "money" else ""
        raise Unreadable(code.at, f"{given} is no argument of a tool", hint)
    if not _may_be(wanted, given) and not (wanted.kind == "time" and code.literal and _is_time(code.value)):
        raise Unreadable(code.at, f"{what} is {wanted}, this is {given}")
    if wanted.options and code.literal and code.value not in wanted.options:
        message = f"{what} is never {runtime.shown(code.value)}"
        raise Unreadable(code.at, message, nearest(str(code.value), wanted.options))


def _may_be(wanted: Type, given: Type) -> bool:
    if "any" in (wanted.kind, given.kind) or (given.kind == "null" and wanted.maybe):
        return True
    if wanted.kind == "list" and given.kind == "list":
        return _may_be(wanted.item or ANY, given.item or ANY)
    return wanted.kind == given.kind or (wanted.kind, given.kind) == ("text", "time")  # RFC 3339 is text


def _is_time(value: Value) -> bool:
    try:
        runtime.time(value)
    except runtime.EvalError:
        return False
    return True


def _fault(tool: Tool, name: str, code: Code) -> str | None:
    """What the tool's own schema says against a literal value: its length, its range, its pattern."""
    if not code.literal:
        return None
    schema = {key: part for key, part in exported_schema(tool).items() if key != "required"}
    validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True, offline=True)
    errors = validator.iter_errors({name: as_json(code.value)})
    return next(
        (runtime.shown(error.message) for error in errors if list(error.instance_path)[:1] == [name]), None
    )


def _literal(value: Value) -> Code:
    kinds: tuple[tuple[type | tuple[type, ...], Type], ...] = (
        (bool, BOOL), ((int, float), NUMBER), (str, TEXT),
    )  # fmt: skip
    kind = next((each for python, each in kinds if isinstance(value, python)), NULL)
    return Code(kind, lambda env: value, 0, literal=True, value=value)


def _list(items: list[Code]) -> Code:
    literal = all(item.literal for item in items)
    return Code(
        Type("list", item=ANY), lambda env: [_json(item, env, "an item") for item in items], 0, literal=literal,
        value=[as_json(item.value) for item in items] if literal else None, parts=tuple(items),
    )  # fmt: skip


def _object(fields: Mapping[str, Code]) -> Code:
    literal = all(code.literal for code in fields.values())
    return Code(
        Type("object", open=True), lambda env: {name: _json(code, env, name) for name, code in fields.items()}, 0,
        literal=literal, value={name: as_json(code.value) for name, code in fields.items()} if literal else None,
        parts=tuple(fields.values()),
    )  # fmt: skip


def _json(code: Code, env: Env, what: str) -> Json:
    return as_json(code.value if code.literal else needed(code.run(env), what))


def _said(node: Node) -> str:
    """As it would stand in a call: conditions as they are, texts in quotes."""
    if isinstance(node, Listing):
        return f"[{', '.join(map(_said, node.items))}]"
    if isinstance(node, Node_):
        return f"{{{', '.join(f'{key.text}: {_said(value)}' for key, value in node.entries)}}}"
    value = node.value
    if isinstance(value, str) and value.startswith("=") and not value.startswith("=="):
        return value[1:].strip()
    return json.dumps(
        value[1:] if isinstance(value, str) and value.startswith("==") else value, ensure_ascii=False
    )
