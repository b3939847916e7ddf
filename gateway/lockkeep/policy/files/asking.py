"""Whom to ask and how, as it stands in `ask`, `limit`, `undo` and `on_error`."""

from typing import Literal

from lockkeep.policy.conditions.runtime import Money
from lockkeep.policy.files import constants, forms
from lockkeep.policy.files.reading import Reader, texts_of
from lockkeep.policy.positions import Listing, Mapping, Node, Problems, Text

KEYS = (
    "from", "any_of", "count", "confirm", "expires", "clock", "escalate", "edit", "recheck", "reason", "slack_up_to",
)  # fmt: skip
STEP = ("after", "to")  # of `escalate`
LONGEST_EXPIRY = 7 * 86400.0


def asking(inner: Reader) -> forms.Asking:
    """The asking keys of this mapping."""
    problems = inner.problems
    found = forms.Asking(
        place=inner.place, each=inner.names("from"), any_of=inner.names("any_of"), count=inner.number("count", 1, 5, 1),
        confirm=_word(inner, "confirm", "requester"), expires=inner.seconds("expires"), always=_word(inner, "clock", "always"),
        escalate=_escalate(inner.get("escalate"), problems), edit=inner.names("edit"), recheck=inner.names("recheck"),
        reason=_word(inner, "reason", "required"), slack_up_to=_slack(inner.text("slack_up_to"), problems),
    )  # fmt: skip
    _whom(inner, found)
    expires = inner.get("expires")
    if expires is not None and found.expires is not None and found.expires > LONGEST_EXPIRY:
        problems.add(expires.place, "an approval waits at most 7 days", "write expires: 7 days, or less")
    return found


def inside(node: Node, what: str, problems: Problems) -> forms.Asking:
    """`ask: {from: [group]}` inside a limit, an undo or a look-up."""
    if not isinstance(node, Mapping):
        message = f"{what} is {node.kind}; it says whom to ask, and how"
        problems.add(node.place, message, "write {from: [GROUP]}")
        return forms.Asking(place=node.place)
    return asking(Reader(node, what, problems, KEYS))


def _word(inner: Reader, key: str, word: str) -> bool:
    """A key that knows one word."""
    text = inner.text(key)
    if text is not None and text.text != word:
        inner.problems.add(text.place, f"{key} knows only: {word}", f"write {key}: {word}")
    return text is not None


def _whom(inner: Reader, found: forms.Asking) -> None:
    """An ask names somebody, in one way, and counts no fewer people than it names groups."""
    there = {key for key in ("from", "any_of", "confirm") if inner.get(key) is not None}
    if not there or {"from", "any_of"} <= there:
        message = "an ask entry says whom: from: [groups], any_of: [groups], or confirm: requester"
        inner.complain(("from", "any_of", "confirm"), message, "from: one of each group; any_of: of either")
    count = inner.get("count")
    if count is None or {"from", "any_of"} & inner.meant:
        return
    if not {"from", "any_of"} & there:
        inner.problems.add(count.place, "count counts people of from or any_of", "leave count out")
    elif len(found.each) > 1 and found.count < len(found.each):
        message = f"count: {found.count} is less than the {len(found.each)} groups, one person from each"
        inner.problems.add(count.place, message, f"write count: {len(found.each)}, or leave it out")


def _escalate(node: Node | None, problems: Problems) -> tuple[tuple[float, tuple[Text, ...]], ...]:
    """Steps `{after: 4h, to: [groups]}`, each later than the one before."""
    if node is None:
        return ()
    found: list[tuple[float, tuple[Text, ...]]] = []
    for item in node.items if isinstance(node, Listing) else (node,):
        if not isinstance(item, Mapping):
            message = f"a step of escalate is {item.kind}; it says after what time, and to whom"
            problems.add(item.place, message, "escalate: [{after: 4h, to: [GROUP]}]")
            continue
        step = Reader(item, "a step of escalate", problems, STEP)
        after, to = step.seconds("after"), step.need("to")
        if step.need("after") is None:
            continue
        if after is None or to is None:
            continue
        if found and after <= found[-1][0]:
            problems.add(item.place, "this step comes no later than the one before it", "write them in order")
        found.append((after, texts_of(to, "'to'", problems)))
    return tuple(found)


def _slack(text: Text | None, problems: Problems) -> Money | Literal["all"] | None:
    if text is None or text.text == "all":
        return "all" if text else None
    before = len(problems.found)
    found = constants.amount(text, problems)
    if isinstance(found, Money) or len(problems.found) > before:
        return found if isinstance(found, Money) else None
    problems.add(text.place, f"slack_up_to: '{text.text}' is no amount of money", "write 200 EUR, or all")
    return None
