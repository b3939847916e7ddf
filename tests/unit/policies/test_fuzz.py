"""Whatever stands in a condition, a file or a folder: a result, or an error with its place. Never a traceback, never a second.

What is torn here is what there is: the starter's files, every broken file, and conditions drawn at random. `make test` takes
a sample, `make test-all` much more, and WHOLE_PROOFS=1 the whole number. PROOF_SEED=2 tears in other places.
"""

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from random import Random
from time import thread_time
from typing import Any

import anyio
import pytest
from tests.unit.policies.cel.draw import Draw
from tests.unit.policies.cel.oracle import TOOL, facts
from tests.unit.policies.room import ARGUMENTS, FOLDER, LookUps, decide, env, scope
from tests.unit.policies.test_properties import CONDITIONS, FACTS, GOOD, told

from lockkeep.model import Json, Request, is_object
from lockkeep.policy.bundle import PolicySet, load
from lockkeep.policy.cases import cases
from lockkeep.policy.conditions.check import Checker
from lockkeep.policy.conditions.checked import Scope
from lockkeep.policy.conditions.lexer import MOST, Unreadable
from lockkeep.policy.conditions.parser import parse, parse_lookup
from lockkeep.policy.conditions.runtime import EvalError, is_array
from lockkeep.policy.positions import Listing, Node, Problem, Problems, Text
from lockkeep.policy.positions import parse as parse_yaml
from lockkeep.policy.rules.scope import scope_of
from lockkeep.prepare import known_of, prepare

SEED = os.environ.get("PROOF_SEED", "1")
WHOLE = bool(os.environ.get("WHOLE_PROOFS"))
LONGEST = 1.0  # seconds of this thread
HERE = Path(__file__).parent
STARTER = HERE.parents[2] / "policies"


def numbers(sample: int, full: int, whole: int) -> Any:
    """How many: of each run, in full, and the whole number."""
    return pytest.mark.parametrize(
        "count", [sample, pytest.param(whole if WHOLE else full, marks=pytest.mark.full)]
    )


@cache
def texts() -> tuple[tuple[str, str], ...]:
    """Files to begin with: their path in a folder, and what stands in them."""
    broken = HERE / "broken"
    found = [(f"{path.stem}.yaml", path) for path in sorted(broken.glob("*.yaml"))]
    for folder in (STARTER, *sorted(path for path in broken.iterdir() if path.is_dir())):
        found += [
            (path.relative_to(folder).as_posix().replace("vendors/", "manifests/"), path)
            for path in sorted(folder.rglob("*"))
            if path.suffix in (".yaml", ".json")
        ]
    read = [(name, path.read_text(encoding="utf-8")) for name, path in found]
    return (*read, ("desk.yaml", GOOD), *FOLDER.items())


@cache
def conditions() -> tuple[str, ...]:
    """Conditions and look-ups to begin with: every text that stands where one may stand, and some of each function."""
    said = {text.text for name, file in texts() for node in _nodes(name, file) for text in _texts(node)}
    return (*sorted(said), *CONDITIONS, *MORE)


MORE = (
    'has(lead.value) && lead.value > 100 EUR || kind in ["lead", "deal"]', "lines.sum(l, l.price) <= 7 EUR && amount * 2 == 100 EUR",
    'default(names.first(i, i > "a"), "none").like("*b*")', "now - payment.at > 30 days && at + 90 minutes < now",
    "min(n, m, 3) == round(numbers.sum(i, i)) and not has(deep.a.b.c)", "has(run) ? run.id == t : user.manager == null",
    'crm.get(kind="lead", id=payment.order_id)', "x.exists(i, i.a[0] == 2) || -max(amount, 60 EUR) < 0 && lower(t) != 'it\\'s'",
)  # fmt: skip
PIECES = (
    *"()[]{},.:?!-+*/%<>=&|#@\\\"'\n\t \x00é١²", "&&", "||", "==", "!=", "<=", "in", "and", "or", "not", "true", "null", "has(", "size(",
    "default(x, ", ".exists(i, ", ".sum(i, ", ".first(", ".like(", "100 EUR", "1.5 JPY", "30 days", "9" * 30, "2.5", "0", "n", "t", "x",
    "payment", "lead.country", "read.", "args.", "call.user", "amount", "lines", "names[", "'a'", "\\u00e9", "\ud800", "😀",
)  # fmt: skip
LINES = (
    "- ", "  ", ": ", "? ", "| ", ">-\n", "&a ", "*a", "!!int ", "<<: ", "---\n", "...\n", "%YAML 1.1\n", "\t", "# ", "'", '"', "{", "}", "[",
    "]", ",", "~", "null", "yes", "12:30", "0x1f", "1e999", "9" * 400, "\ufeff", "\x85", "\x00", "\u2028", "when: ", "allow: anyone\n",
    "deny:\n", "- {when: b}\n", "from: [lead]\n", "limit: 1 per hour\n", "tools:\n", "api: lockkeep/v1\n", "🔒", "{a: {b: {c: [", "x\n" * 40,
)  # fmt: skip


def _nodes(name: str, text: str) -> list[Node]:
    node = parse_yaml(name, text, Problems()) if name.endswith(".yaml") else None
    return [node] if node is not None else []


def _texts(node: Node, key: str = "") -> Iterator[Text]:
    if isinstance(node, Text):
        if key in ("when", "unless", "read", "require", "value", "each", "subject") or "(" in node.text:
            yield node
    elif isinstance(node, Listing):
        for item in node.items:
            yield from _texts(item, key)
    else:
        for name, value in node.entries:
            yield from _texts(value, "read" if key == "read" else name.text)


# -- how things are torn ----------------------------------------------------------------------------------------


def torn(text: str, pieces: Sequence[str], others: Sequence[str], chance: Random) -> str:
    for _ in range(chance.choice((0, 0, 1, 1, 1, 1, 2, 3, 6))):
        text = chance.choice(WAYS)(text, pieces, others, chance)
    return text


Way = Callable[[str, Sequence[str], Sequence[str], Random], str]


def _span(text: str, chance: Random, longest: int = 12) -> tuple[int, int]:
    start = chance.randint(0, len(text))
    return start, min(len(text), start + chance.randint(0, longest))


def _put(text: str, pieces: Sequence[str], others: Sequence[str], chance: Random) -> str:
    start, end = _span(text, chance)
    return text[:start] + chance.choice(pieces) + text[chance.choice((start, end)) :]


def _cut(text: str, pieces: Sequence[str], others: Sequence[str], chance: Random) -> str:
    start, end = _span(text, chance, chance.choice((1, 4, 40)))
    return text[:start] + text[end:]


def _again(text: str, pieces: Sequence[str], others: Sequence[str], chance: Random) -> str:
    start, end = _span(text, chance, 30)
    return text[:end] + text[start:end] * chance.choice((1, 1, 2, 50)) + text[end:]


def _swapped(text: str, pieces: Sequence[str], others: Sequence[str], chance: Random) -> str:
    words = WORD.split(text)
    one, two = chance.randrange(len(words)), chance.randrange(len(words))
    words[one], words[two] = words[two], words[one]
    return "".join(words)


def _other_word(text: str, pieces: Sequence[str], others: Sequence[str], chance: Random) -> str:
    """A word of this text, or of another one, in the place of a word."""
    words = WORD.split(text)
    words[chance.randrange(len(words))] = chance.choice(
        WORD.split(chance.choice((text, text, chance.choice(others))))
    )
    return "".join(words)


def _spliced(text: str, pieces: Sequence[str], others: Sequence[str], chance: Random) -> str:
    other = chance.choice(others)
    return text[: chance.randint(0, len(text))] + other[chance.randint(0, len(other)) :]


def _line_moved(text: str, pieces: Sequence[str], others: Sequence[str], chance: Random) -> str:
    lines = text.splitlines(keepends=True) or [text]
    line = lines.pop(chance.randrange(len(lines)))
    line = chance.choice(
        (line, f"  {line}", line.lstrip(), line.replace(": ", ":"), line.strip(), f"- {line.lstrip()}")
    )
    lines.insert(chance.randint(0, len(lines)), line)
    return "".join(lines)


def _wrapped(text: str, pieces: Sequence[str], others: Sequence[str], chance: Random) -> str:
    before, after = chance.choice(
        (("(", ")"), ("[", "]"), ("!", ""), ("{", "}"), ("b ? ", " : c"), ("not ", ""), ("- ", ""))
    )
    times = chance.choice((1, 2, 45, 300))
    return before * times + text + after * times


WORD = re.compile(r"(\s+|\b|(?<=\W)(?=\W))")
WAYS: tuple[Way, ...] = (
    _put,
    _put,
    _cut,
    _cut,
    _again,
    _swapped,
    _other_word,
    _other_word,
    _other_word,
    _spliced,
    _line_moved,
    _wrapped,
)


def in_time(work: Callable[[], Any], text: str) -> Any:
    """What comes out; a second is too long, and whatever is raised is a failure that shows the text."""
    begun = thread_time()
    try:
        found = work()
    except Exception as error:
        raise AssertionError(f"{type(error).__name__} from {text!r}") from error
    assert thread_time() - begun < LONGEST, repr(text)
    return found


# -- conditions -------------------------------------------------------------------------------------------------


@cache
def places() -> tuple[tuple[Scope, tuple[dict[str, Any], ...]], ...]:
    """Where a condition may stand, and what its names may stand for there."""
    chance = Random(SEED)
    odd: dict[str, Any] = {
        "x": [1, "a", None],
        "perhaps": 0,
        "names": None,
        "t": 5,
        "lines": [{"price_minor": 1.5}, None],
    }
    rows = tuple(dict(facts(chance).arguments) for _ in range(20))
    return (scope(), (dict(ARGUMENTS), {**ARGUMENTS, **odd})), (scope_of(TOOL, {}), rows)


def condition(text: str, drawn: bool, chance: Random) -> str:
    """What became of it. Its error is within the text; its answer is true, false or an error."""
    if chance.random() < 0.1:
        try:
            parse_lookup(text)
        except Unreadable as error:
            _within(error, text)
    where, rows = places()[drawn]
    try:
        code = Checker().condition(parse(text), where)
    except Unreadable as error:
        _within(error, text)
        return "refused"
    row = chance.choice(rows)
    odd = {name: _other_json(row[name], chance) for name in chance.sample(sorted(row), min(3, len(row)))}
    about = env({"payment": chance.choice(FACTS), "lead": chance.choice(FACTS)}, **row | odd)
    try:
        answer = code.run(about)
    except EvalError:
        return "error"
    assert answer in (True, False)
    return "answer"


def _within(error: Unreadable, text: str) -> None:
    assert 0 <= error.at <= max(len(text), MOST)
    assert error.message


@pytest.mark.promise("P6")
@numbers(1_000, 200_000, 200_000)
def test_a_torn_condition_is_refused_in_its_place_or_has_an_answer(count: int) -> None:
    heard = Counter[str]()
    for number in range(count):
        chance = Random(f"{SEED}/condition/{number}")
        drawn = chance.random() < 0.6
        whole = Draw(chance).root()[1].ours if drawn else chance.choice(conditions())
        text = torn(whole, PIECES, conditions(), chance)
        heard[in_time(partial(condition, text, drawn, chance), text)] += 1
    assert min(heard["refused"], heard["answer"], 3 * heard["error"]) > count / 15, heard


# -- files and folders ------------------------------------------------------------------------------------------


LINE = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Loaded:
    rules: PolicySet | None
    found: Sequence[Problem]


def loaded(files: Mapping[str, str]) -> Loaded:
    """The set, or problems, each of them in a file and in its lines."""
    rules, found = load(files)
    assert (rules is None) == bool(found)
    if rules is not None:
        problems = Problems()
        cases.read(files, problems)
        found = problems.found
    told(found)
    for each in found:
        assert each.place.line <= len(LINE.split(files.get(each.place.file, ""))) + 1
    return Loaded(rules, found)


ODD: tuple[Json, ...] = (
    None, True, 0, -1, 1.5, "", "x", "args.id", [], {}, [None], {"type": "x"}, {"a": {"b": []}}, 2**70, "\ud800",
)  # fmt: skip


SCHEMAS = {"input", "output"}  # of a tool: they were proved to be schemas when the tool was accepted


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def torn_file(name: str, text: str, chance: Random) -> str:
    others = [other for _, other in texts()]
    if name.endswith(".json"):
        broken = torn(text, LINES, others, chance)
        return (
            broken
            if chance.random() < 0.3 and not _is_json(broken)
            else json.dumps(_other_json(json.loads(text), chance))
        )
    if chance.random() < 0.3 and (said := [each for each in conditions() if each in text]):
        one = chance.choice(said)
        return text.replace(one, torn(one, PIECES, conditions(), chance), 1)
    return torn(text, LINES if chance.random() < 0.8 else PIECES, others, chance)


def _other_json(value: Json, chance: Random) -> Json:
    """One part of it, somewhere, is something else."""
    if is_array(value) and value and chance.random() < 0.85:
        at = chance.randrange(len(value))
        return [*value[:at], *_instead(value[at], chance), *value[at + 1 :]]
    if is_object(value) and value and chance.random() < 0.85:
        key = chance.choice(sorted(value.keys() - SCHEMAS) or [""])
        found = _instead(value.get(key), chance)
        rest = {name: part for name, part in value.items() if name != key}
        return rest | dict.fromkeys([key] * len(found), found[0] if found else None)
    return chance.choice(ODD)


def _instead(value: Json, chance: Random) -> list[Json]:
    return [] if chance.random() < 0.1 else [_other_json(value, chance)]


@pytest.mark.promise("P6", "P12")
@numbers(40, 5_000, 50_000)
def test_a_torn_file_loads_or_is_told_in_its_place(count: int) -> None:
    heard = Counter[bool]()
    for number in range(count):
        chance = Random(f"{SEED}/file/{number}")
        name, text = chance.choice(texts() if chance.random() < 0.5 else tuple(WHOLE_FOLDER.items()))
        text = torn_file(name, text, chance)
        files = {**FOLDER, name: text}
        heard[in_time(partial(loaded, files), f"{name}: {text}").rules is not None] += 1
    assert heard[True] > count / 20
    assert heard[False] > count / 4


@pytest.mark.promise("P6", "P12")
@numbers(20, 1_000, 20_000)
def test_a_torn_folder_loads_whole_and_decides_or_is_told_in_its_place(count: int) -> None:
    heard = Counter[bool]()
    for number in range(count):
        chance = Random(f"{SEED}/folder/{number}")
        files = torn_folder(chance)
        shown = json.dumps(files)
        rules = in_time(partial(loaded, files), shown).rules
        heard[rules is not None] += 1
        if rules is not None:
            in_time(partial(decided, rules, chance), shown)
    assert heard[True] > count / 20
    assert heard[False] > count / 4


def torn_folder(chance: Random) -> dict[str, str]:
    """A few files more, a few torn, one left out, two that stand in each other's place."""
    files = dict(WHOLE_FOLDER)
    for _ in range(chance.randrange(2)):
        name, text = chance.choice(texts())
        files[chance.choice((name, "more.yaml", f"manifests/{Path(name).name}"))] = text
    for name in chance.sample(sorted(files), chance.choice((0, 1, 1, 1, 2, 3))):
        files[name] = torn_file(name, files[name], chance)
    if chance.random() < 0.1:
        del files[chance.choice(sorted(files))]
    if chance.random() < 0.1:
        one, two = chance.sample(sorted(files), 2)
        files[one], files[two] = files[two], files[one]
    return files


LAB = json.dumps(
    {
        "api": "lockkeep/v1", "policy": "lab", "owner": "lead", "applies_to": {"everywhere": True},
        "read": {"payment": "billing.payment(payment_id=t)", "lead": 'crm.get(kind="lead", id=t)'},
        "tools": {
            "lab.try": {"allow": "anyone", "deny": [{"when": each} for each in CONDITIONS], "limit": "3 per hour per t", "ask": [{"from": ["lead"]}]},
            "billing.*, crm.*": {"allow": {"roles": ["support"], "when": 'user.id == "ana"'}},
        },
    },
    indent=1,
)  # fmt: skip


ROUTE = """\
api: lockkeep/v1
workflow: routing
description: Every lead has an owner.
owner: lead
agents: [desk]
trigger: {poll: crm.owners(active=true), every: 90s, each: result.owners}
subject: item.id
deadline: 30 minutes
steps:
  - {id: lead, call: 'crm.get(kind="lead", id=subject)'}
  - {id: team, call: crm.owners(active=true)}
  - {id: free, value: "team.owners.first(o, lead.country in o.countries && o.open < o.room)", when: has(lead.country)}
  - {id: assign, call: crm.assign, with: {kind: lead, id: = subject, owner: = free.id}, when: has(free), on: {denied: people}}
sequence:
  - {tool: crm.assign, require: id == subject, at_most: 1}
end_state: {call: 'crm.get(kind="lead", id=subject)', require: has(result.country), within: 5 minutes}
stage: 10
rest: shadow
"""
RICH = """\
api: lockkeep/v1
policy: rich
owner: lead
applies_to: {agents: [desk]}
values: {high: {EUR: 100, USD: 110.50}, most: 15, soon: 30 days, words: [a, b]}
read:
  payment: {call: billing.payment, with: {payment_id: = payment_id}, timeout: 3s, cache: 10s, on_error: {from: [lead]}}
tools:
  billing.payment, crm.@read: {allow: anyone}
  billing.refund:
    allow: {roles: [support, lead], hours: mon-fri 08:00-18:00}
    deny:
      - {name: disputed, when: payment.disputed, say: "{payment.refundable} is disputed.", fix: Wait.}
      - {unless: [amount > 0, amount <= payment.refundable], hours: not sat-sun}
    people:
      - {when: now - payment.at > soon, to: [finance]}
    ask:
      - {when: amount > high, from: [lead, finance], expires: 2 hours, escalate: [{after: 4h, to: [finance]}], edit: [amount]}
      - {name: seen, mode: observe, any_of: [lead], count: 1, until: 2027-01-01}
    limit:
      - 20 per hour per agent
      - {up_to: 5000 EUR per day, ask: {from: [finance]}}
    change: {amount: at_most high}
    undo: {who: [lead], within: 1 hour}
  billing.*:
    results: {hide: [order_id], detect: [email, iban]}
"""
WHOLE_FOLDER = {
    **FOLDER,
    "desk.yaml": GOOD,
    "lab.yaml": LAB,
    "rich.yaml": RICH,
    "workflows/routing.yaml": ROUTE,
}


def test_the_folder_that_is_torn_is_whole() -> None:
    assert loaded(WHOLE_FOLDER).found == []


def decided(rules: PolicySet, chance: Random) -> None:
    """A set that loads decides every call, and nothing in it is a surprise to the engine."""
    for exported, tool in sorted(rules.exported.items()):
        arguments = (
            ARGUMENTS
            if tool.name == "lab.try"
            else chance.choice(({"id": "x", "kind": "lead", "owner": "o"}, {}))
        )
        request = Request(
            id="call_1", tool=exported, arguments=arguments, user="ana", agent="desk", host="h",
            at=env()["call"]["now"],
        )  # fmt: skip
        call = prepare(request, known_of(rules, tool, rules.people.roles("ana")))
        look_up = LookUps(billing_payment=chance.choice(FACTS), crm_get=chance.choice(FACTS))

        async def asked(call: Any = call, look_up: LookUps = look_up) -> Any:
            return await decide(rules, call, look_up)

        decision = anyio.run(asked)
        surprises = {
            type(each).__name__
            for each in (KeyError(), TypeError(), AttributeError(), ValueError(), IndexError())
        }
        assert not surprises & {heard.why for heard in decision.heard}, decision
        assert not any(f": {each}." in str(decision.verdict) for each in surprises), decision
