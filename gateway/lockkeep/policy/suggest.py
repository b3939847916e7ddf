"""Drafts of policy files from recorded traffic: who used which tool, how often, and for how much. All of it only observes.

Numbers are copied, texts are not: a draft and its cases may be read by more people than the calls they come from.
"""

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from lockkeep.ledger.history import Past
from lockkeep.model import Json, Tool, is_object
from lockkeep.policy.bundle import PolicySet
from lockkeep.policy.conditions.currencies import CODES, decimals
from lockkeep.policy.conditions.runtime import is_array

HOUR = timedelta(hours=1)
ROOM = 1.5  # of the busiest hour
USUAL = 0.95  # of all amounts
PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
OBSERVED = "    mode: observe          # REVIEW: take this line out once the block says what you mean\n"
FORMATS: Mapping[str, str] = {
    "email": "{}@example.com", "uri": "https://example.com/{}", "date-time": "2026-01-05T09:00:00Z", "date": "2026-01-05",
}  # fmt: skip


@dataclass
class Use:
    """What one agent did with one tool."""

    tool: str
    times: list[datetime] = field(default_factory=list[datetime])
    roles: Counter[frozenset[str]] = field(default_factory=Counter[frozenset[str]])
    users: set[str] = field(default_factory=set[str])
    amounts: dict[str, list[int]] = field(default_factory=lambda: defaultdict[str, list[int]](list))
    largest: dict[str, Past] = field(default_factory=dict[str, Past])  # by currency
    last: Past | None = None

    def add(self, past: Past) -> None:
        self.times.append(past.at)
        self.roles[past.roles] += 1
        self.users.add(past.user)
        if past.arguments is not None:
            self.last = past
        if (amount := past.amount) is None:
            return
        self.amounts[amount.currency].append(amount.minor)
        before = self.largest.get(amount.currency)
        if past.arguments is not None and (
            before is None or before.amount is None or before.amount.minor < amount.minor
        ):
            self.largest[amount.currency] = past

    @property
    def busiest(self) -> int:
        """The most calls within any hour."""
        times, first, most = sorted(self.times), 0, 0
        for place, at in enumerate(times):
            while times[first] <= at - HOUR:
                first += 1
            most = max(most, place - first + 1)
        return most

    @property
    def limit(self) -> int:
        return math.ceil(ROOM * self.busiest)

    @property
    def usual(self) -> dict[str, int]:
        """The 95th percentile of the amounts of each currency, in minor units; nothing where it is not above zero."""
        found = {
            currency: sorted(minors)[math.ceil(USUAL * len(minors)) - 1]
            for currency, minors in self.amounts.items()
        }
        return {currency: minor for currency, minor in sorted(found.items()) if minor > 0}


@dataclass(frozen=True)
class Draft:
    """One agent's policy file and its test file."""

    agent: str
    name: str
    policy: str
    tests: str

    @property
    def files(self) -> dict[str, str]:
        return {f"{self.name}.yaml": self.policy, f"tests/{self.name}.test.yaml": self.tests}

    @property
    def enforced(self) -> str:
        """The same file, deciding."""
        return self.policy.replace(OBSERVED, "")


@dataclass(frozen=True)
class Sample:
    """One real call without its texts, and the recorded answers of the look-ups without theirs."""

    title: str
    past: Past
    caller: str
    arguments: Mapping[str, Json]
    read: Mapping[str, Json]


Verdicts = Callable[[PolicySet, Sample], str]  # what a set says of a sample, as `expect` writes it


def used(calls: Iterable[Past], rules: PolicySet) -> tuple[dict[str, dict[str, Use]], Counter[str]]:
    """What ran, by agent and tool; and what was left out, by reason."""
    found: dict[str, dict[str, Use]] = {}
    left: Counter[str] = Counter()
    for past in calls:
        if past.claimed is None:
            left["did not run"] += 1
        elif past.tool not in rules.tools or not rules.tools[past.tool].offered:
            left["the tool is gone"] += 1
        elif past.agent not in rules.gateway.agents:
            left["the agent is not in gateway.yaml"] += 1
        else:
            found.setdefault(past.agent, {}).setdefault(past.tool, Use(past.tool)).add(past)
    return found, left


def names(rules: PolicySet, agents: Iterable[str]) -> dict[str, str]:
    """A file name and policy id for each agent that no file of the set has."""
    taken = {name.removesuffix(".yaml") for name in rules.files}
    taken |= {rule.file for of in rules.rules.values() for rule in of.rules}
    found: dict[str, str] = {}
    for agent in sorted(agents):
        base = f"suggested-{re.sub(r'[^a-z0-9]+', '-', agent.lower()).strip('-')}"[:58]
        numbers = (f"{base}-{number}" for number in range(2, len(taken) + 3))
        found[agent] = next(name for name in (base, *numbers) if name not in taken)
        taken.add(found[agent])
    return found


# -- the policy file --------------------------------------------------------------------------------------------


def policy_text(
    name: str, agent: str, uses: Mapping[str, Use], rules: PolicySet, since: datetime, now: datetime
) -> str:
    """Blocks for everything this agent used."""
    first = min(at for use in uses.values() for at in use.times)
    days = max(1, math.ceil((now - max(since, first)) / timedelta(days=1)))
    total = sum(len(use.times) for use in uses.values())
    group = _owner(agent, rules)
    lines = [
        f"# Drafted by lockkeep policy suggest from {total:,} calls that ran in {days} {'day' if days == 1 else 'days'}, until {now:%Y-%m-%d}.",
        "# It only observes. REVIEW every block: what was done is not always what should be allowed.",
        "api: lockkeep/v1",
        f"policy: {name}",
        f"owner: {group}          # REVIEW: the group that answers for this file",
        f"applies_to: {{agents: [{agent}]}}",
        *_values(uses),
        "tools:",
    ]
    for tool in sorted(uses):
        lines += _block(uses[tool], agent, group, rules)
    return "\n".join(lines) + "\n"


def _owner(agent: str, rules: PolicySet) -> str:
    person = rules.people.persons.get(rules.gateway.agents.get(agent) or "")
    return min(person.groups if person and person.groups else rules.people.groups)


def _values(uses: Mapping[str, Use]) -> list[str]:
    tables = {name_of(tool): use.usual for tool, use in sorted(uses.items()) if len(use.usual) > 1}
    if not tables:
        return []
    return ["values:", *(f"  {name}: {{{', '.join(f'{c}: {_plain(m, c)}' for c, m in of.items())}}}" for name, of in tables.items())]  # fmt: skip


def name_of(tool: str) -> str:
    return "usual_" + re.sub(r"[^a-z0-9]+", "_", tool.lower())


def _block(use: Use, agent: str, group: str, rules: PolicySet) -> list[str]:
    people = f"{len(use.users)} {'person' if len(use.users) == 1 else 'people'}"
    lines = [
        f"  {use.tool}:",
        f"    # REVIEW: used {len(use.times):,} times by {agent} for {people}, busiest hour {use.busiest:,}",
        OBSERVED.rstrip("\n"),
        *_allow(use, rules),
    ]
    usual = use.usual
    if usual:
        lines += _ask(use, usual, group)
    why = f"# REVIEW: 1.5 times the busiest hour ({use.busiest})"
    return [*lines, f"    limit: {use.limit} per hour per agent          {why}"]


def _allow(use: Use, rules: PolicySet) -> list[str]:
    """The fewest roles that everybody who used it had; people by name where they have none in common with the files."""
    known = frozenset[str]().union(*rules.people.groups.values())
    left: dict[frozenset[str], int] = dict(use.roles)
    chosen: list[str] = []
    while left:
        counts = Counter[str]()
        for roles, count in left.items():
            counts.update(dict.fromkeys(roles & known, count))
        if not counts:
            users = ", ".join(sorted(user for user in use.users if user in rules.people.persons))
            why = "# REVIEW: people without a role in people.yaml used it; give them a group"
            return [f"    allow: {{users: [{users}]}}          {why}"] if users else [f"    {why}"]
        best = min(counts, key=lambda role: (-counts[role], role))
        chosen.append(best)
        left = {roles: count for roles, count in left.items() if best not in roles}
    could = sum(1 for person in rules.people.persons.values() if person.roles & set(chosen))
    have = "1 person has" if could == 1 else f"{could} people have"
    return [f"    allow: [{', '.join(chosen)}]          # REVIEW: {have} this, {len(use.users)} used it"]


def _ask(use: Use, usual: Mapping[str, int], group: str) -> list[str]:
    over = sum(minor > usual[currency] for currency in usual for minor in use.amounts[currency])
    of = sum(len(use.amounts[currency]) for currency in usual)
    most = ", ".join(f"{_plain(max(use.amounts[currency]), currency)} {currency}" for currency in usual)
    (currency, minor), *more = usual.items()
    than = name_of(use.tool) if more else f"{_plain(minor, currency)} {currency}"
    return [
        f"    # REVIEW: 95 of 100 amounts were at most this; {over:,} of {of:,} were above it, the largest {most}.",
        "    # Another currency is refused until it is named here.",
        "    ask:",
        f"      - {{name: above-usual, when: has(call.amount) && call.amount > {than}, from: [{group}]}}",
    ]


def _plain(minor: int, currency: str) -> str:
    digits = decimals(currency)
    whole, rest = divmod(minor, 10**digits)
    return f"{whole}.{rest:0{digits}}" if rest and digits else str(whole)


# -- its cases --------------------------------------------------------------------------------------------------


def samples(uses: Mapping[str, Use], rules: PolicySet) -> list[Sample]:
    """The last call of each tool, and the largest amount in each currency."""
    found: list[Sample] = []
    for tool, use in sorted(uses.items()):
        picked = {f"{tool}, the last call": use.last} if use.last else {}
        picked |= {
            f"{tool}, the largest amount in {currency}": past
            for currency, past in sorted(use.largest.items())
        }
        seen: set[str] = set()
        for title, past in picked.items():
            if past.id not in seen:
                seen.add(past.id)
                found.append(_sample(title, past, rules))
    return found


def _sample(title: str, past: Past, rules: PolicySet) -> Sample:
    tool, texts = rules.tools[past.tool], _Texts()
    lookups = rules.rules_of(past.tool).lookups
    answers = {name: each.answer for each in past.looked_up for name in each.names if not each.failed}
    read: dict[str, Json] = {}
    for (file, name), lookup in sorted(lookups.items()):
        if (answer := answers.get(f"{file}/{name}")) is not None:
            read[name] = texts.without(answer, rules.tools[lookup.tool].output or {})
    known = properties(tool)
    kept = {name: value for name, value in (past.arguments or {}).items() if name in known}
    arguments = {name: texts.without(value, known[name], name) for name, value in kept.items()}
    return Sample(title, past, "-".join(["somebody", *sorted(past.roles)]), arguments, read)


class _Texts:
    """Puts a short word in the place of every text: the same word for the same text, so that what was equal stays equal."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def without(self, value: Json, schema: Mapping[str, Json], name: str = "") -> Json:
        if is_object(value):
            return {key: self.without(part, _inside(schema, key), key) for key, part in value.items()}
        if is_array(value):
            return [self.without(part, _items(schema), name) for part in value]
        if (
            not isinstance(value, str)
            or value in _options(schema)
            or (name.endswith("currency") and value in CODES)
        ):
            return value
        form = FORMATS.get(str(schema.get("format")), "{}")
        return form.format(self._known.setdefault(value, f"text-{len(self._known) + 1}"))


def properties(tool: Tool) -> Mapping[str, Mapping[str, Json]]:
    said: Json = tool.input.get("properties", {})
    hidden = tool.hidden
    return {name: part for name, part in said.items() if is_object(part) and name not in hidden}


def _branches(schema: Mapping[str, Json]) -> list[Mapping[str, Json]]:
    parts: list[Json] = [each for key in ("oneOf", "anyOf", "allOf") for each in schema.get(key, ())]
    return [schema, *(part for part in parts if is_object(part))]


def _inside(schema: Mapping[str, Json], key: str) -> Mapping[str, Json]:
    """What any branch of the schema says of this field."""
    found: list[Json] = [branch.get("properties", {}).get(key) for branch in _branches(schema)]
    there = [each for each in found if is_object(each)]
    return there[0] if len(there) == 1 else {"anyOf": there}


def _items(schema: Mapping[str, Json]) -> Mapping[str, Json]:
    there = (branch.get("items") for branch in _branches(schema))
    return next(filter(is_object, there), dict[str, Json]())


def _options(schema: Mapping[str, Json]) -> list[Json]:
    """The words that any branch lists: those are the tool's, and nobody's data."""
    return [word for branch in _branches(schema) for word in (*branch.get("enum", ()), branch.get("const"))]


def test_text(
    draft: str, agent: str, found: Sequence[Sample], says: Verdicts, all_rules: PolicySet, enforced: PolicySet
) -> str:
    """A test file that the whole set passes as it is; where the draft itself means something else, it says so."""
    callers = {sample.caller: sorted(sample.past.roles) for sample in found}
    lines = [
        "# Drafted by lockkeep policy suggest from real calls: their numbers, not their texts. REVIEW before you rely on it.",
        "api: lockkeep/v1",
        f"test: {draft}",
        "callers:",
        *(
            f"  {name}: {{roles: [{', '.join(roles)}], agent: {agent}}}"
            for name, roles in sorted(callers.items())
        ),
        "cases:",
    ]
    for sample in found:
        lines += _case(sample, says(all_rules, sample), says(enforced, sample))
    return "\n".join(lines) + "\n"


def _case(sample: Sample, now: str, meant: str) -> list[str]:
    review = "" if now == meant else f"          # REVIEW: {meant}, once the draft decides alone"
    return [
        f"  - name: {json.dumps(sample.title)}",
        f"    as: {sample.caller}",
        f"    call: {sample.past.tool}",
        f'    now: "{sample.past.decided.isoformat(timespec="seconds")}"',
        f"    with: {_flow(sample.arguments)}",
        *([f"    read: {_flow(sample.read)}"] if sample.read else []),
        f"    expect: {now}{review}",
    ]


def _flow(value: Json) -> str:
    """On one line, as people write YAML where that is safe, and as JSON else."""
    if is_object(value):
        return "{" + ", ".join(f"{_key(key)}: {_flow(part)}" for key, part in value.items()) + "}"
    if is_array(value):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return json.dumps(value)


def _key(key: str) -> str:
    return key if PLAIN.fullmatch(key) and key.lower() not in ("null", "true", "false") else json.dumps(key)
