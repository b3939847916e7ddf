"""The entries of a tool's block: allow, deny, ask, people, limit, change, results, undo."""

import re
from collections.abc import Callable
from datetime import date

from lockkeep.policy.conditions.currencies import CODES
from lockkeep.policy.conditions.runtime import Money
from lockkeep.policy.files import asking, constants, forms
from lockkeep.policy.files.reading import ID, Reader, text_of
from lockkeep.policy.hours import Hours, hours_of
from lockkeep.policy.positions import Listing, Mapping, Node, Problems, Text, nearest

AT = ("hours", "mode", "until")
ENTRY = ("name", "when", "unless", "say", "fix", *AT)
ALLOW = ("roles", "users", "agents", "when", *AT)
PEOPLE = (*ENTRY, "to")
LIMITING = (*ENTRY, "up_to", "ask", "people")
RESULTS = ("hide", "detect", "withhold", "flag", "mode", "until")
UNDO = ("who", "within", "ask")
DETECT = ("email", "phone", "card", "iban", "secret")
WINDOWS = ("minute", "hour", "24 hours", "7 days", "day", "week", "month")
LIMIT = re.compile(
    r"(?P<amount>[0-9]{1,9}|[0-9]{1,12}(?:\.[0-9]+)? *[A-Za-z]{3}|[a-z][a-z0-9_]*)"
    r"(?: +of +(?P<of>[a-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*))?"
    r" +per +(?P<window>minute|hour|24 hours|7 days|day|week|month)"
    r"(?P<keys>(?: +per +[a-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)*)"
)
AT_MOST = re.compile(r"at_most +(?P<bound>\S.*)")
FORMS = {
    "deny": "deny: [{when: CONDITION, say: WHY}]",
    "ask": "ask: [{when: CONDITION, from: [GROUP]}]",
    "people": "people: [{to: [GROUP]}]",
    "results": "results: {hide: [FIELD], detect: [iban]}",
    "undo": "undo: {who: [ROLE], within: 1 hour}",
}  # how each is written, for who began it otherwise
NOBODY = "an empty allow permits nobody"


def at(inner: Reader) -> forms.When:
    """`mode`, `until` and `hours` of a file, a block or an entry."""
    mode, hours = inner.text("mode"), inner.names("hours")
    if mode is not None and mode.text not in forms.MODES:
        inner.problems.add(mode.place, f"there is no mode '{mode.text}'", nearest(mode.text, forms.MODES))
    known: list[forms.Mode] = [each for each in forms.MODES if mode is not None and each == mode.text]
    return forms.When(
        mode=known[0] if known else "enforce", until=_until(inner.text("until"), inner.problems), hours=hours
    )


def opening(when: forms.When, problems: Problems) -> Hours:
    return hours_of(when.hours, problems)


def _until(text: Text | None, problems: Problems) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text.text)
    except ValueError:
        problems.add(text.place, f"'{text.text}' is no day", "write until: 2027-03-31, the last day in force")
        return None


def allow(node: Node, problems: Problems) -> forms.Allow:
    if isinstance(node, Text):
        if node.text == "anyone":
            return forms.Allow(name="allow", place=node.place, anyone=True)
        message = f"allow: {node.text} is not understood" if node.text else "'allow' is nothing"
        problems.add(node.place, message, f"write [{node.text or 'ROLE'}] for a role, or anyone")
        return forms.Allow(name="allow", place=node.place)
    if isinstance(node, Listing):
        roles = tuple(text for item in node.items if (text := text_of(item, "a role", problems)))
        if not node.items:
            problems.add(node.place, NOBODY, "name roles, or write anyone")
        return forms.Allow(name="allow", place=node.place, roles=roles)
    inner = Reader(node, "allow", problems, ALLOW)
    if not node.entries:
        problems.add(node.place, NOBODY, "name roles, or write anyone")
    when = at(inner)
    return forms.Allow(
        name="allow", place=node.place, roles=inner.names("roles"), users=inner.names("users"),
        agents=inner.names("agents"), when=inner.some("when"), at=when, opening=opening(when, problems),
    )  # fmt: skip


def deny(node: Node, number: str, problems: Problems) -> forms.Entry:
    inner = Reader(node, "a deny entry", problems, ENTRY, form=FORMS["deny"])
    when = at(inner)
    entry = forms.Entry(
        name=_name(inner, number), place=node.place, when=inner.some("when"), unless=inner.some("unless"),
        say=inner.text("say"), fix=inner.text("fix"), at=when, opening=opening(when, problems),
    )  # fmt: skip
    if not any(inner.get(key) for key in ("when", "unless", "hours")):
        inner.complain(
            ("when", "unless", "hours"),
            "a deny entry needs 'when', 'unless' or 'hours'",
            "to refuse always, leave the tool's allow out",
        )
    return entry


def ask(node: Node, number: str, problems: Problems) -> forms.Ask:
    inner = Reader(
        node, "an ask entry", problems, (*ENTRY, *asking.KEYS), form=FORMS["ask"], instead={"to": "from"}
    )
    when = at(inner)
    return forms.Ask(
        name=_name(inner, number), place=node.place, when=inner.some("when"), unless=inner.some("unless"),
        say=inner.text("say"), fix=inner.text("fix"), at=when, opening=opening(when, problems), asking=asking.asking(inner),
    )  # fmt: skip


def hands(block: Reader, number: Callable[[str], str]) -> tuple[forms.Hand, ...]:
    """Every entry of `people`. A bare list of groups is one mistake, however long it is."""
    node = block.get("people")
    names = [item.text for item in node.items if isinstance(item, Text)] if isinstance(node, Listing) else []
    if isinstance(node, Listing) and names and len(names) == len(node.items):
        message = "a people entry is text; a mapping (key: value) is expected"
        block.problems.add(node.items[0].place, message, f"people: [{{to: [{', '.join(names)}]}}]")
        return ()
    return block.each("people", lambda item: hand(item, number("people"), block.problems))


def hand(node: Node, number: str, problems: Problems) -> forms.Hand:
    form = FORMS["people"].replace("GROUP", node.text if isinstance(node, Text) and node.text else "GROUP")
    instead = {"from": "to", "any_of": "to"}  # as an ask says it
    inner = Reader(node, "a people entry", problems, PEOPLE, form=form, instead=instead)
    when, to = at(inner), inner.names("to")
    inner.need("to")
    return forms.Hand(
        name=_name(inner, number), place=node.place, when=inner.some("when"), unless=inner.some("unless"),
        say=inner.text("say"), fix=inner.text("fix"), at=when, opening=opening(when, problems), to=to,
    )  # fmt: skip


def limit(node: Node, number: str, problems: Problems) -> forms.Limit | None:
    inner = Reader(node, "a limit entry", problems, LIMITING) if isinstance(node, Mapping) else None
    text = inner.text("up_to", needed=True) if inner else text_of(node, "a limit", problems)
    if text is None:
        return None
    match = LIMIT.fullmatch(" ".join(text.text.split()))
    if match is None:
        problems.add(text.place, f"the limit '{text.text}' is not understood", _limit_hint(text.text))
        return None
    most = _most(text, match["amount"], problems)
    if most is None:
        return None
    keys = tuple(key for key in re.split(r" +per +", match["keys"]) if key)
    when = at(inner) if inner else forms.When()
    full, to = (inner.get("ask"), inner.names("people")) if inner else (None, ())
    if inner and full is not None and to:
        inner.complain(
            ("ask", "people"), "a full limit asks, or hands over, not both", "keep one of ask and people"
        )
    return forms.Limit(
        name=_name(inner, number) if inner else number, place=text.place,
        when=inner.some("when") if inner else (), unless=inner.some("unless") if inner else (),
        say=inner.text("say") if inner else None, fix=inner.text("fix") if inner else None,
        at=when, opening=opening(when, problems), text=text, most=most, of=match["of"], window=match["window"], keys=keys,
        asking=asking.inside(full, "'ask' of a limit", problems) if full is not None else None, to=to,
    )  # fmt: skip


def _most(text: Text, said: str, problems: Problems) -> int | Money | str | None:
    """20 calls, 5000 EUR, or the name of a value."""
    if said.isdigit():
        return int(said)
    if said[0].isdigit():
        found = constants.amount(Text(text.place, said, said, text.style), problems)
        return found if isinstance(found, Money) else None
    return said


def _limit_hint(text: str) -> str:
    words = text.split(" per ")
    if len(words) > 1 and words[1].strip() not in WINDOWS:
        return nearest(words[1].strip(), WINDOWS).replace("known:", "windows:")
    return "write: 20 per hour per agent, or 5000 EUR per day"


def change(node: Node, problems: Problems) -> tuple[forms.Change, ...]:
    if not isinstance(node, Mapping):
        problems.add(
            node.place,
            f"'change' is {node.kind}; argument: at_most 15 is expected",
            "change: {x: at_most 15}",
        )
        return ()
    found: list[forms.Change] = []
    for key, value in node.entries:
        text = text_of(value, f"the change of '{key.text}'", problems)
        match = AT_MOST.fullmatch(text.text.strip()) if text else None
        if text is None:
            continue
        if match is None:
            problems.add(
                text.place, f"'{text.text}' is no change", "write at_most 15, at_most 50 EUR, at_most NAME"
            )
            continue
        if (bound := _bound(text, match["bound"].strip(), problems)) is not None:
            found.append(forms.Change(argument=key, most=text, bound=bound))
    return tuple(found)


def _bound(text: Text, said: str, problems: Problems) -> int | float | Money | str | None:
    if re.fullmatch(r"-?[0-9]+", said):
        return int(said)
    if re.fullmatch(r"-?[0-9]+\.[0-9]+", said):
        return float(said)
    if re.fullmatch(r"[a-z][a-z0-9_]*", said):
        return said
    before = len(problems.found)
    found = constants.amount(Text(text.place, said, said, text.style), problems)
    if len(problems.found) > before:  # the currency that is none was said
        return None
    if not isinstance(found, Money):
        hint = (
            "a currency, as in 50 EUR"
            if said[-3:].upper() in CODES
            else "a number, an amount, or a name of values"
        )
        problems.add(text.place, f"'{said}' is no maximum", hint)
        return None
    return found


def results(node: Node, problems: Problems) -> forms.Results:
    inner = Reader(node, "results", problems, RESULTS, form=FORMS["results"])
    detect = inner.names("detect")
    for text in detect:
        if text.text not in DETECT:
            problems.add(text.place, f"nothing detects '{text.text}'", nearest(text.text, DETECT))
    if isinstance(node, Mapping) and not any(inner.get(key) for key in RESULTS[:4]):
        inner.complain(
            RESULTS[:4], "results says what of an answer is shown", "hide: [fields], or detect: [iban]"
        )
    return forms.Results(
        place=inner.place, hide=inner.names("hide"), detect=tuple(text.text for text in detect),
        withhold=inner.some("withhold"), flag=inner.some("flag"), at=at(inner),
    )  # fmt: skip


def undo(node: Node, problems: Problems) -> forms.Undo:
    inner = Reader(node, "undo", problems, UNDO, form=FORMS["undo"])
    asked = inner.get("ask")
    return forms.Undo(
        place=inner.place, who=inner.names("who"), within=inner.seconds("within"),
        asking=asking.inside(asked, "'ask' of undo", problems) if asked is not None else None,
    )  # fmt: skip


def _name(inner: Reader, number: str) -> str:
    name = inner.text("name")
    if name is None:
        return number
    if not ID.fullmatch(name.text):
        inner.problems.add(
            name.place,
            f"'{name.text}' is no name for an entry",
            "a-z, 0-9 and -, beginning with a letter, 2 to 63 characters",
        )
    return name.text
