"""The decision table of one tool. Read from the top, it gives the engine's answer.

Strictest first: who may not, what is refused, what people take over, what is asked, what is allowed. Thresholds of one
amount are merged into intervals, so that each interval stands in one row with everything that happens there.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import cast

from lockkeep.policy.conditions.lexer import Unreadable
from lockkeep.policy.conditions.parser import Attr, Binary, Lit, Name, Tree, parse
from lockkeep.policy.conditions.runtime import Money
from lockkeep.policy.files import forms
from lockkeep.policy.positions import Text
from lockkeep.policy.rules.reads import EXPIRES
from lockkeep.policy.rules.rule import ToolRules
from lockkeep.policy.show.plain import MIRRORED, Words, listed, value
from lockkeep.policy.show.policyfiles import Item, by_id
from lockkeep.policy.show.sentences import applies_said, asked, entry, fires, limit_said, permitted

REFUSED, ALLOWED = "refused", "allowed"
NOT_ALLOWED = "refused: no rule allows it"
EVERYBODY = "all calls"
LEGEND = (
    "Read a table from the top: the first line that fits decides. Further lines of the same kind add up: everybody "
    "they name takes over, or must agree, and one yes of a person counts for all of them.",
    "What cannot be judged is refused, too (a fact that is missing, an amount in a currency that the line does not "
    "name), unless the look-up says who is asked then. An argument that a call leaves out counts as the default of "
    "the tool, if it has one.",
    "Times are those of the gateway's time zone; 08:00 to 18:00 ends just before 18:00. A request that says no end ends "
    f"after {EXPIRES / 3600:g} working hours. Nobody agrees to their own call, nor to one of their own agent.",
)
RANK = {
    "deny": 1,
    "people": 2,
    "limit": 3,
    "ask": 4,
    "allow": 5,
}  # what people take over takes no share of a limit


Point = tuple[Fraction, bool]  # True: the threshold itself lies before it


@dataclass(frozen=True, slots=True)
class Row:
    """Where `when` holds, `then` happens. `rank` is the order of strictness."""

    when: str
    then: str
    rank: int


@dataclass(frozen=True, slots=True)
class Decided:
    """The rows of all these tools. `whose`: whose calls they are about, if that is the same in all of them."""

    tools: tuple[str, ...]
    rows: tuple[Row, ...]
    whose: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Edge:
    """`amount > 500 EUR`, alone: where the interval of an entry begins or ends."""

    item: Item
    name: Tree
    op: str
    at: Fraction
    unit: str  # the currency; empty for numbers

    @property
    def point(self) -> Point:
        """The threshold itself lies before the edge (True), or behind it."""
        return self.at, self.op in (">", "<=")

    def holds(self, low: Point | None) -> bool:
        """Whether it fires in the interval that begins at this edge."""
        above = low is not None and low >= self.point
        return above if self.op in (">", ">=") else not above


def tables(files: Iterable[forms.PolicyFile], rules: Mapping[str, ToolRules]) -> list[Decided]:
    """One for each tool that any rule speaks of; tools with the same rows stand together."""
    there = by_id(files)
    found: dict[Decided, list[str]] = {}
    for tool in sorted(rules):
        found.setdefault(_decided(rules[tool], there), []).append(tool)
    return [replace(decided, tools=tuple(tools)) for decided, tools in found.items()]


def _decided(rules: ToolRules, there: Mapping[str, Item]) -> Decided:
    live = [
        replace(there[rule.id], operation=rule.operation) for rule in rules.rules if rule.mode == "enforce"
    ]
    whose = {applies_said(item.file.applies) for item in live}
    one = min(whose) if len(whose) == 1 else None
    cuts = [there[cut.rule] for cut in rules.cuts if cut.mode == "enforce"]
    notes = tuple(f"{entry(item)} Then the table is read again." for item in cuts)
    return Decided((), _Rows(one is not None).of(live), one if one and one != EVERYBODY else "", notes)


@dataclass(frozen=True, slots=True)
class _Rows:
    """`one`: all entries are about the same calls, so that no row says whose."""

    one: bool

    def of(self, live: Sequence[Item]) -> tuple[Row, ...]:
        allows = [item for item in live if item.kind == "allow"]
        if not allows:
            return (Row("any call", NOT_ALLOWED, 0),)
        others = [item for item in live if item.kind != "allow"]
        edges = _edges(others)
        merged = {(edge.item.id, edge.item.operation) for group in edges for edge in group}
        rows = [
            *self._not_allowed(allows),
            *(
                Row(self._when(item), _then(item), _rank(item))
                for item in others
                if (item.id, item.operation) not in merged
            ),
            *(row for group in edges for row in _intervals(group, self._whose(group[0].item))),
        ]
        every = any(row.when == "any call" for row in rows)
        if not every and all(self._whose(group[0].item) for group in edges):  # no ladder is about every call
            rows.append(Row("any other call" if rows else "any call", ALLOWED, RANK["allow"]))
        return tuple(sorted(rows, key=lambda row: row.rank))

    def _not_allowed(self, allows: Sequence[Item]) -> list[Row]:
        """Who may not use it: nothing else is asked about them. No row, if everybody may."""
        said = [f"{self._allowed(item)}{_until(item)}" for item in allows]
        return [] if "anyone" in said else [Row(f"all but: {'; '.join(said)}", NOT_ALLOWED, 0)]

    def _allowed(self, item: Item) -> str:
        who, whose = permitted(item).replace(" may use it", ""), applies_said(item.file.applies)
        if who == "anyone" and self._whose(item) == f" ({whose})":
            return whose
        return f"{who}{self._whose(item)}"

    def _when(self, item: Item) -> str:
        """The conditions of one entry with those of its file: whose calls, and how long."""
        said = fires(item).removeprefix("when ") or "any call"
        if isinstance(item.form, forms.Limit):
            counted = f" (counted {fires(item)})" if fires(item) else ""
            said = f"more than {limit_said(item.form, item.file).removeprefix('at most ')}{counted}"
        return f"{said}{self._whose(item)}{_until(item)}"

    def _whose(self, item: Item) -> str:
        whose = applies_said(item.file.applies)
        said = [
            "" if self.one or whose == EVERYBODY else whose,
            f"only {item.operation}" if item.operation else "",
        ]
        return "".join(f" ({each})" for each in said if each)


def _until(item: Item) -> str:
    return f", until {item.at.until.isoformat()}" if item.at.until is not None else ""


def _then(item: Item) -> str:
    match item.form:
        case forms.Ask():
            return asked(item.form.asking)
        case forms.Hand():
            return f"people of {_names(item.form.to)} take over"
        case forms.Limit() if item.form.asking is not None:
            return asked(item.form.asking)
        case forms.Limit() if item.form.to:
            return f"people of {_names(item.form.to)} take over"
        case _:
            return REFUSED


def _rank(item: Item) -> int:
    """A full limit that asks, or hands over, is as strict as that."""
    form = item.form
    if isinstance(form, forms.Limit) and (form.asking is not None or form.to):
        return RANK["people" if form.to else "ask"]
    return RANK[item.kind]


# -- intervals of one amount ----------------------------------------------------------------------------------------


def _edges(items: Iterable[Item]) -> list[list[_Edge]]:
    """The entries that are one threshold and nothing else, by what they measure and for whose calls."""
    found: dict[tuple[object, ...], list[_Edge]] = {}
    for item in items:
        edge = _edge(item)
        if edge is not None:
            name = Words().tree(edge.name)
            whose = applies_said(item.file.applies), item.operation
            found.setdefault((name, edge.unit, *whose), []).append(edge)
    return list(found.values())


def _edge(item: Item) -> _Edge | None:
    form = item.form
    if not isinstance(form, forms.Entry) or isinstance(form, forms.Limit):
        return None
    if len(form.when) != 1 or form.unless or item.openings or item.at.until is not None:
        return None
    try:
        tree = parse(form.when[0].text)
    except Unreadable:
        return None
    if not isinstance(tree, Binary) or tree.op not in ("<", "<=", ">", ">="):
        return None
    op, name, bound = tree.op, tree.left, tree.right
    if isinstance(name, Lit):
        op, name, bound = MIRRORED[op], bound, name
    if not isinstance(name, Name | Attr) or not isinstance(bound, Lit) or _is_constant(name, item):
        return None
    if bound.kind == "money":
        minor, currency = cast("tuple[int, str]", bound.value)
        return _Edge(item, name, op, Fraction(minor), currency)
    return _Edge(item, name, op, Fraction(cast("int", bound.value)), "") if bound.kind == "number" else None


def _is_constant(name: Name | Attr, item: Item) -> bool:
    return isinstance(name, Name) and name.name in item.file.values


def _intervals(group: Sequence[_Edge], whose: str) -> list[Row]:
    """A row for each interval between two edges."""
    points = sorted({edge.point for edge in group})
    lows: list[Point | None] = [None, *points]
    highs: list[Point | None] = [*points, None]
    first = group[0]
    rows = [
        _interval(f"{_between(first, low, high)}{whose}", [edge.item for edge in group if edge.holds(low)])
        for low, high in zip(lows, highs, strict=True)
    ]
    if first.unit:
        rows.append(
            Row(f"{_measured(first)} is in another currency than {first.unit}{whose}", REFUSED, RANK["deny"])
        )
    return rows


def _between(edge: _Edge, low: Point | None, high: Point | None) -> str:
    if low is not None and high is not None and low[0] == high[0]:
        return f"{_measured(edge)} is exactly {_amount(edge, low)}"
    parts: list[str] = []
    if low is not None:
        parts.append(f"above {_amount(edge, low)}" if low[1] else f"from {_amount(edge, low)} on")
    if high is not None:
        parts.append(f"up to {_amount(edge, high)}" if high[1] else f"below {_amount(edge, high)}")
    return f"{_measured(edge)} is {', '.join(parts)}"


def _interval(when: str, items: Sequence[Item]) -> Row:
    if not items:
        return Row(when, ALLOWED, RANK["allow"])
    rank = min(RANK[item.kind] for item in items)
    return Row(when, _together([item for item in items if RANK[item.kind] == rank]), rank)


def _together(items: Sequence[Item]) -> str:
    """What all of these do: asks whose people another ask wants anyway are not said twice."""
    asks = [item.form.asking for item in items if isinstance(item.form, forms.Ask)]
    if asks:
        kept = [one for one in asks if not any(_covers(other, one) for other in asks if other is not one)]
        return "; and ".join(dict.fromkeys(asked(one) for one in kept or asks[:1]))
    if isinstance(items[0].form, forms.Hand):
        groups = [text.text for item in items if isinstance(item.form, forms.Hand) for text in item.form.to]
        return f"people of {listed(list(dict.fromkeys(groups)), 'or')} take over"
    return REFUSED


def _covers(more: forms.Asking, less: forms.Asking) -> bool:
    """Whether meeting one ask always meets the other: one vote serves all."""
    plain = not (more.any_of or less.any_of or less.confirm) and max(more.count, less.count) == 1
    wanted, there = {text.text for text in less.each}, {text.text for text in more.each}
    return plain and wanted < there


def _measured(edge: _Edge) -> str:
    return Words().tree(edge.name) or "it"


def _amount(edge: _Edge, point: Point) -> str:
    number = point[0]
    plain = int(number) if number.denominator == 1 else number
    return value(Money(int(number), edge.unit)) if edge.unit else value(plain)


def _names(texts: Sequence[Text]) -> str:
    return listed([text.text for text in texts], "or")
