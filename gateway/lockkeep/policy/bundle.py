"""A policy set: every file of the policies folder, read, checked and compiled together, or not at all."""

from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property, partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from lockkeep.errors import BadPolicySet
from lockkeep.ledger import redaction
from lockkeep.model import Arguments, Deny, Integration, Json, Tool, ToolCall, Tools, is_object
from lockkeep.policy.conditions.lexer import Unreadable
from lockkeep.policy.conditions.runtime import Env, Money
from lockkeep.policy.engine import engine
from lockkeep.policy.engine.course import OBSERVED, Room, Taken, nothing_taken
from lockkeep.policy.engine.index import Index
from lockkeep.policy.engine.lookups import Kept, LookUps
from lockkeep.policy.files import gatewayfile, people, simple, workflowfile
from lockkeep.policy.files.forms import PolicyFile
from lockkeep.policy.files.gatewayfile import GatewayFile
from lockkeep.policy.files.people import People
from lockkeep.policy.memo import Memo
from lockkeep.policy.positions import Mapping as Node_
from lockkeep.policy.positions import Node, Place, Problem, Problems, Text, nearest, parse
from lockkeep.policy.rules import manifest, queue
from lockkeep.policy.rules.compile import Compiler
from lockkeep.policy.rules.manifest import Effects
from lockkeep.policy.rules.operations import Unmatched
from lockkeep.policy.rules.rule import PROJECTED, Rule, ToolRules, together
from lockkeep.policy.rules.workflow import Workflow, Workflows
from lockkeep.upstream.exported import exported_schema
from lockkeep.upstream.lock import BadCatalog, Lock, read_lock

GATEWAY, PEOPLE, LOCK = "gateway.yaml", "people.yaml", "catalog.lock.json"
FILES = (
    "*.yaml", "manifests/*.yaml", "tests/*.yaml", "workflows/*.yaml", "workflows/*.md", LOCK,
    "*.yml", "manifests/*.yml", "tests/*.yml", "workflows/*.yml",
)  # fmt: skip
Manifests = Mapping[str, Mapping[str, Mapping[str, Json]]]


NOTHING_SAID = Index(ToolRules())
MEMO = Memo()


@dataclass(frozen=True, kw_only=True)
class PolicySet:
    """Everything in force at one time, ready to decide."""

    generation: int
    files: Mapping[str, str]
    gateway: GatewayFile
    people: People
    lock: Lock
    manifests: Manifests
    rules: Mapping[str, ToolRules]
    effects: Mapping[str, Effects]
    tools: Tools = field(default_factory=dict[str, Tool])
    exported: Mapping[str, Tool] = field(default_factory=dict[str, Tool])
    schemas: Mapping[str, Mapping[str, Json]] = field(
        default_factory=dict[str, Mapping[str, Json]]
    )  # as hosts see them

    defaults: Mapping[str, Mapping[str, Json]] = field(
        default_factory=dict[str, Mapping[str, Json]]
    )  # tool -> argument
    secret: Mapping[str, frozenset[str]] = field(
        default_factory=dict[str, frozenset[str]]
    )  # tool -> arguments that are never kept
    workflows: Mapping[str, Workflow] = field(default_factory=dict[str, Workflow])

    observe_until: date | None = None  # the last day on which most rules only observe

    @cached_property
    def _users(self) -> dict[tuple[str, frozenset[str]], Env]:
        return {}

    @cached_property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.gateway.zone)

    @cached_property
    def room(self) -> Room:
        return Room(
            generation=self.generation, zone=self.zone, people=self.people, kept=Kept(), observe_until=self.observe_until
        )  # fmt: skip

    @cached_property
    def hides(self) -> bool:
        """Whether any answer is ruled at all."""
        return any(rules.shown for rules in self.rules.values())

    @cached_property
    def indexes(self) -> Mapping[str, Index]:
        return {tool: Index(rules) for tool, rules in self.rules.items()}

    @property
    def integrations(self) -> Mapping[str, Integration]:
        return self.gateway.integrations

    def rules_of(self, tool: str) -> ToolRules:
        return self.rules.get(tool, ToolRules())

    def unknown_scope(self, scope: str) -> str | None:
        """What is wrong with a switch's scope that names nothing there is, with the nearest name; None if it does."""
        kind, _, name = scope.partition(":")
        there: dict[str, Iterable[str]] = {
            "integration": self.integrations, "tool": self.tools, "agent": self.gateway.agents, "user": self.people.persons,
        }  # fmt: skip
        if kind not in there or name in there[kind]:
            return None
        return f"there is no {kind} '{name}'; {nearest(name, there[kind])}"

    def offered(self, *, user: str, agent: str) -> list[Tool]:
        """The tools this caller sees, sorted by the name hosts know."""
        roles = self.people.roles(user)

        def may(tool: Tool) -> bool:
            if self.observe_until is not None and tool.risk in OBSERVED:
                return True
            return engine.may_use(self.rules_of(tool.name), user=user, agent=agent, roles=roles)

        return [tool for _, tool in sorted(self.exported.items()) if tool.offered and may(tool)]

    def env(self, call: ToolCall) -> Env:
        """What the names in conditions stand for, but for look-ups."""
        amount = (
            Money(call.amount.minor, call.amount.currency)
            if call.amount
            else self.effects_of(call.tool).within(call.operation).money(call.arguments)
        )
        about: Env = {
            "user": self._user(call.user, call.roles),
            "agent": call.agent,
            "host": call.host,
            "tool": {
                "name": call.tool,
                "operation": call.operation,
                "integration": call.integration,
                "class": call.risk,
            },
            "run": {"id": call.run, "step": call.step} if call.run else None,
            "now": call.at.astimezone(self.zone),
            "subject": call.subject,
            "amount": amount,
        }
        return {"args": dict(call.arguments), PROJECTED: call.projected, "call": about, "read": {}}

    def _user(self, user: str, roles: frozenset[str]) -> Env:
        """One mapping for each caller: nobody changes it."""
        found = self._users.get((user, roles))
        if found is None:
            person = self.people.persons.get(user)
            manager = person.manager if person else None
            found = self._users[user, roles] = {"id": user, "roles": sorted(roles), "manager": manager}
        return found

    def effects_of(self, tool: str) -> Effects:
        return self.effects.get(tool, Effects())

    def decide(
        self,
        call: ToolCall,
        facts: LookUps,
        *,
        taken: Taken = nothing_taken,
        telling: bool = True,
        changes: bool = True,
        granted: tuple[Rule, ...] = (),
    ) -> Coroutine[Any, Any, engine.Decision]:
        """The verdict. `facts` reads what the rules want to know, `taken` is what others hold of a limit."""
        index = self.indexes.get(call.tool) or NOTHING_SAID
        return engine.decide(
            call,
            index,
            self.env(call),
            room=self.room,
            facts=facts,
            taken=taken,
            telling=telling,
            changes=changes,
            granted=granted,
        )

    def with_arguments(self, call: ToolCall, arguments: Arguments) -> ToolCall:
        """The call as its changed arguments make it: another subject, amount or operation, perhaps."""
        effects = self.effects_of(call.tool)
        found = effects.operations.of(arguments) if effects.operations else None
        if isinstance(found, Unmatched):
            return replace(
                call,
                arguments=arguments,
                unresolved=Deny("arguments.operation", found.reason, "Ask for less.", "changed"),
            )
        does = found.operation if found else None
        operation, risk = (does.name, does.risk) if does else (call.operation, call.risk)
        own, projected = effects.within(operation), found.projected if found else None
        return replace(
            call, arguments=arguments, projected=projected, operation=operation, risk=risk, subject=own.subject_of(arguments),
            amount=own.amount_of(arguments),
        )  # fmt: skip


def read_folder(folder: Path) -> dict[str, str]:
    """Every file of the set by its path in the folder. Symbolic links are refused, and names that would be passed by."""
    if not folder.is_dir():
        raise BadPolicySet(f"there is no folder {folder}; `lockkeep init` makes one")
    found: dict[str, str] = {}
    for path in sorted(path for pattern in FILES for path in folder.glob(pattern)):
        name = path.relative_to(folder).as_posix()
        if path.suffix == ".yml":
            raise BadPolicySet(f"{name} would not be read; name it .yaml")
        if path.is_symlink() or (path.parent != folder and path.parent.is_symlink()):
            raise BadPolicySet(f"{name} is a symbolic link; put the file itself there")
        found[name] = _text(path, name)
    return found


def _text(path: Path, name: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise BadPolicySet(f"{name}:{line}: this is not UTF-8 text; save it as UTF-8") from None
    except OSError as error:
        raise BadPolicySet(f"{name} cannot be read: {error.strerror}") from None


def load(files: Mapping[str, str], *, generation: int = 0) -> tuple[PolicySet | None, list[Problem]]:
    """The set, or None and everything that is wrong with it, in the order of the files."""
    problems = Problems()
    loaded = _load(files, generation, problems)
    return (None, sorted(problems.found, key=lambda each: each.place)) if problems else (loaded, [])


def _load(files: Mapping[str, str], generation: int, problems: Problems) -> PolicySet | None:
    for needed in (GATEWAY, PEOPLE):
        if needed not in files:
            hint = "`lockkeep init` makes a starter folder"
            problems.add(Place(needed, 1, 1), f"{needed} is missing", hint)
    MEMO.begin()
    nodes = {
        name: node
        for name, text in sorted(files.items())
        if name != LOCK and not name.endswith(".md")
        and (node := MEMO.of(("node", name, text), partial(parse, name, text, problems), problems))
    }  # fmt: skip
    if problems:
        return None
    catalog = files.get(LOCK)
    lock = MEMO.of(("lock", catalog), lambda: _lock(catalog, problems), problems)
    gateway = gatewayfile.read(nodes[GATEWAY], problems)
    persons = people.read(nodes[PEOPLE], problems)
    if not problems:
        _owners(nodes[GATEWAY], gateway, persons, problems)
    said = tuple(sorted((name, text) for name, text in files.items() if name.startswith("manifests/")))
    effects = MEMO.of(("effects", catalog, said), lambda: judged(lock.tools, nodes, problems), problems)
    beside = bool(problems)
    manifests, policies = _manifests(nodes, gateway, problems), _policies(nodes, files, problems)
    planned = workflowfile.read_all(nodes, problems)
    if beside:  # the rules speak of what stands there: judging them now would blame them for it
        return None
    tools = lock.tools
    workflows = Workflows(tools, persons, gateway, files, problems).checked(planned)
    named = tuple(workflowfile.id_of(name) for name in nodes if name.startswith(workflowfile.FOLDER))
    compiler = Compiler(tools, persons, gateway, files, problems, named, effects)
    around = (catalog, files[GATEWAY], files[PEOPLE], said, named)  # what a policy file is held against
    compiled = together(
        MEMO.of(("rules", file.file, files[file.file], around), partial(compiler.compile, file), problems)
        for file in policies
    )
    schemas = MEMO.of(
        ("schemas", catalog), lambda: {name: exported_schema(tool) for name, tool in tools.items()}, problems
    )
    return PolicySet(
        generation=generation, files=dict(files), gateway=gateway, people=persons, lock=lock, manifests=manifests,
        rules=compiled, effects=effects, tools=tools, exported={tool.exported: tool for tool in tools.values()},
        schemas=schemas, defaults={name: _defaults(schema) for name, schema in schemas.items()},
        workflows=workflows, secret={name: hidden for name, tool in tools.items() if (hidden := _secret(tool))},
    )  # fmt: skip


def _defaults(schema: Mapping[str, Json]) -> dict[str, Json]:
    """What the schema itself says for arguments that are left out."""
    properties: Mapping[str, Json] = schema.get("properties", {})
    said = {name: part.get("default") for name, part in properties.items() if is_object(part)}
    return {name: value for name, value in said.items() if value is not None}


def _secret(tool: Tool) -> frozenset[str]:
    """The arguments its schema declares to be given and never shown."""
    properties: Mapping[str, Json] = tool.input.get("properties", {})
    return frozenset(
        name for name, part in properties.items() if is_object(part) and redaction.declared(part)
    )


def _lock(text: str | None, problems: Problems) -> Lock:
    if text is None:
        return Lock()
    try:
        return read_lock(text)
    except (BadCatalog, RecursionError) as error:
        problems.add(
            Place(LOCK, 1, 1), str(error), "run lockkeep catalog pull and accept, or take the file from git"
        )
        return Lock()


def _policies(nodes: Mapping[str, Node], files: Mapping[str, str], problems: Problems) -> list[PolicyFile]:
    found: dict[str, PolicyFile] = {}
    for name, node in nodes.items():
        if "/" in name or name in (GATEWAY, PEOPLE):
            continue
        if not isinstance(node, Node_) or node.get("policy") is None:
            _says_nothing(node, problems)
            continue
        form = MEMO.of(("form", name, files[name]), partial(simple.read, name, node, problems), problems)
        if form is not None and form.name in found:
            message = f"the policy '{form.name}' stands in {found[form.name].file}, too"
            problems.add(node.place, message, "give one of them another name", code="duplicate")
        elif form is not None:
            found[form.name] = form
    return list(found.values())


def _says_nothing(node: Node, problems: Problems) -> None:
    """A file without `policy`: told at the key that was probably meant to be it, else at its beginning."""
    for key, _ in node.entries if isinstance(node, Node_) else ():
        hint = nearest(key.text, ("policy",))
        if key.text not in simple.TOP and hint.startswith("did"):
            problems.add(key.place, f"unknown key '{key.text}' in a policy file", hint, code="unknown-key")
            return
    hint = "begin with: api: lockkeep/v1, then policy: NAME"
    problems.add(node.place, "this file does not say what it is", hint)


def _manifests(
    nodes: Mapping[str, Node], gateway: GatewayFile, problems: Problems
) -> dict[str, Mapping[str, Mapping[str, Json]]]:
    found: dict[str, Mapping[str, Mapping[str, Json]]] = {}
    for file, node in nodes.items():
        read = manifest.read(node, problems) if file.startswith("manifests/") else None
        if read is None:
            continue
        name, entries = read
        if name in found:
            problems.add(
                node.place, f"there are two manifests of {name}", "keep one of them", code="duplicate"
            )
        elif name not in gateway.integrations:
            message = f"there is no integration '{name}'"
            problems.add(node.place, message, nearest(name, gateway.integrations), code="unknown-name")
        found[name] = entries
    return found


def _owners(node: Node, gateway: GatewayFile, persons: People, problems: Problems) -> None:
    for agent, owner in gateway.agents.items():
        if owner is not None and owner not in persons.persons:
            message = f"agent {agent} belongs to '{owner}', who is not in people.yaml"
            place = _at(node, "agents", agent, "owner")
            problems.add(place, message, nearest(owner, persons.persons), code="unknown-name")


def _at(node: Node, *path: str) -> Place:
    for key in path:
        node = (node.get(key) or node) if isinstance(node, Node_) else node
    return node.place


def judged(tools: Tools, nodes: Mapping[str, Node], problems: Problems) -> dict[str, Effects]:
    """What the manifests of these tools mean. Each is held against its tool; `nodes` are the files by name."""
    found: dict[str, Effects] = {}
    queues: dict[str, str] = {}
    for name, tool in tools.items():
        if tool.effect.get("queue") is not None and queues.setdefault(tool.integration, name) != name:
            message = f"{name} and {queues[tool.integration]} both hold the queue of {tool.integration}"
            problems.add(Place(LOCK, 1, 1), message, "keep `queue` at one of them")
        try:
            found[name] = manifest.effects(tool)
        except Unreadable as error:
            problems.add(Place(LOCK, 1, 1), f"the manifest of {name}: {error.message}", error.hint)
        try:
            queue.check(tool)
        except Unreadable as error:
            problems.add(_queue_at(tool, nodes), f"the manifest of {name}: {error.message}", error.hint)
    return found


def _queue_at(tool: Tool, nodes: Mapping[str, Node]) -> Place:
    """The file that still says what was accepted; else the catalog, which has it from the server or an older file."""
    for file, node in nodes.items():
        if file.startswith("manifests/") and _is_manifest_of(tool.integration, node):
            said = _inside(node, "tools", tool.server_name, "queue")
            if said is not None and manifest.plain(said) == tool.effect["queue"]:
                return said.place
    return Place(LOCK, 1, 1)


def _is_manifest_of(integration: str, node: Node) -> bool:
    name = _inside(node, "manifest")
    return isinstance(name, Text) and name.text == integration


def _inside(node: Node | None, *path: str) -> Node | None:
    for key in path:
        node = node.get(key) if isinstance(node, Node_) else None
    return node
