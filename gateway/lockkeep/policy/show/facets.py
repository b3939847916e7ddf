"""What one entry says, piece by piece, so that a difference between two of them can be named, and which way it goes."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Literal, cast

from lockkeep.policy.conditions.lexer import Unreadable
from lockkeep.policy.conditions.parser import Binary, Lit, Tree, parse
from lockkeep.policy.conditions.runtime import Money, Table, Value
from lockkeep.policy.files import forms
from lockkeep.policy.positions import Text
from lockkeep.policy.rules.rule import Rule
from lockkeep.policy.show.plain import span
from lockkeep.policy.show.policyfiles import Item
from lockkeep.policy.show.sentences import (
    applies_said,
    asked,
    bound,
    fires,
    full_said,
    hours_said,
    limit_said,
    permitted,
)
from lockkeep.policy.show.truth import compared

Way = Literal["weaker", "stricter", "other", "words"]  # words: only what people read
NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Facet:
    """One piece: `key` is compared, `said` is printed, `form` tells which way a change goes."""

    key: object
    said: str
    form: object = None


def facets(item: Item) -> dict[str, Facet]:
    """Everything that makes a difference, by what it is called in a diff. Its id and its place make none."""
    return {**_common(item), **_own(item)}


def way(kind: str, what: str, before: Facet, after: Facet) -> Way:
    """Whether people are protected less than before, or more; `other` where that cannot be told."""
    if what in ("say", "fix"):
        return "words"
    judge = JUDGES.get(what)
    found = judge(before.form, after.form) if judge is not None else "other"
    return turned(kind, found)


def weighed(kind: str, before: Rule, after: Rule) -> Way:
    """`way` of two conditions, by the calls for which they hold."""
    ways: Mapping[str, Way] = {"less": "weaker", "more": "stricter", "same": "words", "other": "other"}
    return turned(kind, ways[compared(before, after)])


def turned(kind: str, found: Way) -> Way:
    if kind == "allow" and found in ("weaker", "stricter"):  # an allow that speaks less permits less
        return "stricter" if found == "weaker" else "weaker"
    return found


# -- the pieces -----------------------------------------------------------------------------------------------------


def _common(item: Item) -> dict[str, Facet]:
    at, form = item.at, item.form
    applies = item.file.applies
    whose = (_set(applies.agents), _set(applies.workflows), applies.everywhere, item.operation)
    found = {
        "whose calls": Facet(whose, applies_said(applies)),
        "mode": Facet(at.mode, at.mode, at.mode),
        "until": Facet(at.until, at.until.isoformat() if at.until else "no end", at.until),
        "hours": Facet(item.openings, hours_said(item.openings) or "all hours", bool(item.openings)),
    }
    if isinstance(form, forms.Entry):
        conditions = (
            tuple(shape(text.text) for text in form.when),
            tuple(shape(text.text) for text in form.unless),
        )
        said = (
            fires(item)
            if not isinstance(form, forms.Allow)
            else " and ".join(text.text for text in form.when)
        )
        found["condition"] = Facet(conditions, said or "always", form)
        found["say"] = Facet(_text(form.say), _text(form.say))
        found["fix"] = Facet(_text(form.fix), _text(form.fix))
    return found


def _own(item: Item) -> dict[str, Facet]:
    match item.form:
        case forms.Allow() as form:
            who = form.anyone, _set(form.roles), _set(form.users), _set(form.agents)
            return {"who": Facet(who, permitted(item))}
        case forms.Ask() as form:
            return _asking(form.asking)
        case forms.Hand() as form:
            return {"people": Facet(_set(form.to), _names(form.to))}
        case forms.Limit() as form:
            full = _asking(form.asking) if form.asking else {}
            return {
                "limit": Facet((str(form.most), form.of, form.window, form.keys), limit_said(form, item.file), (form, item.file)),
                "counted together": Facet(*_counted(item, form)),
                "when it is full": Facet((bool(form.asking), _set(form.to)), full_said(form), form),
                **full,
            }  # fmt: skip
        case forms.Change() as form:
            most = bound(item.file, form.bound)
            return {"argument": Facet(form.argument.text, form.argument.text), "maximum": Facet(str(form.bound), str(most), most)}  # fmt: skip
        case forms.Results() as form:
            return {
                "hidden": Facet(_set(form.hide), _names(form.hide), _set(form.hide)),
                "masked": Facet(frozenset(form.detect), ", ".join(form.detect) or "nothing", frozenset(form.detect)),
                "kept back": Facet(_shapes(form.withhold), _names(form.withhold), _shapes(form.withhold)),
                "marked": Facet(_shapes(form.flag), _names(form.flag)),
            }  # fmt: skip
        case forms.Undo() as form:
            return {
                "who": Facet(_set(form.who), _names(form.who)),
                "within": Facet(form.within, span(form.within) if form.within else "the manifest's time"),
                **(_asking(form.asking) if form.asking else {}),
            }
        case _:
            return {}


def _counted(item: Item, form: forms.Limit) -> tuple[object, str]:
    """The tools that share a limit: another one in the block takes of it, too."""
    patterns = frozenset[str]() if "tool" in form.keys else frozenset(item.block.patterns)
    return patterns, ", ".join(sorted(patterns)) or "each tool alone"


def _asking(form: forms.Asking) -> dict[str, Facet]:
    people = _set(form.each), _set(form.any_of), form.count, form.confirm
    steps = tuple((after, _set(to)) for after, to in form.escalate)
    return {
        "people": Facet(people, asked(form), form),
        "expires": Facet((form.expires, form.always), _expires(form)),
        "escalation": Facet(steps, "; ".join(f"{span(after)}: {_names(to)}" for after, to in form.escalate) or NOBODY),
        "may change": Facet(_set(form.edit), _names(form.edit)),
        "read again": Facet(_set(form.recheck), _names(form.recheck), _set(form.recheck)),
        "reason": Facet(form.reason, "needed" if form.reason else "not needed", form.reason),
        "in Slack": Facet(form.slack_up_to, str(form.slack_up_to or "no")),
    }  # fmt: skip


def _expires(form: forms.Asking) -> str:
    said = span(form.expires) if form.expires is not None else "the default"
    return f"{said} (all hours)" if form.always else said


# -- which way it goes ----------------------------------------------------------------------------------------------


def _mode(before: object, after: object) -> Way:
    order = [str(each) for each in forms.MODES]
    return "weaker" if order.index(str(after)) > order.index(str(before)) else "stricter"


def _until(before: object, after: object) -> Way:
    if before is None or after is None:
        return "weaker" if before is None else "stricter"
    return "weaker" if str(after) < str(before) else "stricter"


def _hours(before: object, after: object) -> Way:
    if before and after:
        return "other"
    return "weaker" if after else "stricter"


def _condition(before: object, after: object) -> Way:
    """A threshold that moved, or conditions that came to a bare entry."""
    old, new = cast("forms.Entry", before), cast("forms.Entry", after)
    if not (old.unless or new.unless):
        if not old.when or not new.when:
            return "weaker" if new.when else "stricter"
        if len(old.when) == len(new.when) == 1:
            return _threshold(_tree(old.when[0].text), _tree(new.when[0].text))
    return "other"


def _threshold(old: Tree | None, new: Tree | None) -> Way:
    if (
        not (isinstance(old, Binary) and isinstance(new, Binary))
        or old.op != new.op
        or old.op not in ("<", "<=", ">", ">=")
    ):
        return "other"
    if not (isinstance(old.right, Lit) and isinstance(new.right, Lit)) or tree_shape(old.left) != tree_shape(
        new.left
    ):
        return "other"
    more = _more(_plain(old.right), _plain(new.right))
    if more is None:
        return "other"
    return "weaker" if more == old.op.startswith(">") else "stricter"


def _people(before: object, after: object) -> Way:
    """Fewer people, a group that need not agree any more, or a wider choice of who may: weaker."""
    old, new = before, after
    if not (isinstance(old, forms.Asking) and isinstance(new, forms.Asking)):
        return "other"
    if _needed(new) < _needed(old) or _set(old.each) - _set(new.each) or (old.confirm and not new.confirm):
        return "weaker"
    if old.any_of and _set(new.any_of) - _set(old.any_of):
        return "weaker"
    return "stricter"


def _needed(form: forms.Asking) -> int:
    return max(form.count, len(form.each)) if form.each or form.any_of else 0


def _limit(before: object, after: object) -> Way:
    """The number alone tells; another window or another key may go either way."""
    (old, of_old), (new, of_new) = cast("tuple[tuple[forms.Limit, forms.PolicyFile], ...]", (before, after))
    if (old.of, old.window, old.keys) != (new.of, new.window, new.keys):
        return "other"
    return _size(bound(of_old, old.most), bound(of_new, new.most))


def _size(before: object, after: object) -> Way:
    more = _more(before, after)
    return "other" if more is None else "weaker" if more else "stricter"


def _full(before: object, after: object) -> Way:
    """Refused is stricter than people, and people than an ask."""
    return "weaker" if _softness(after) > _softness(before) else "stricter" if _softness(after) < _softness(before) else "other"  # fmt: skip


def _softness(form: object) -> int:
    return 0 if not isinstance(form, forms.Limit) else 2 if form.asking else 1 if form.to else 0


def _fewer(before: object, after: object) -> Way:
    """What is hidden, masked or read again: less of it is weaker."""
    old, new = cast("frozenset[object]", before), cast("frozenset[object]", after)
    return "weaker" if old - new else "stricter"


def _flag(before: object, after: object) -> Way:
    return "weaker" if before and not after else "stricter"


JUDGES: Mapping[str, Callable[[object, object], Way]] = {
    "mode": _mode, "until": _until, "hours": _hours, "condition": _condition, "people": _people, "limit": _limit,
    "when it is full": _full, "maximum": _size, "hidden": _fewer, "masked": _fewer, "kept back": _fewer, "read again": _fewer,
    "reason": _flag,
}  # fmt: skip


def _more(before: object, after: object) -> bool | None:
    """Whether a number, an amount or a table grew; None if they cannot be compared."""
    if isinstance(before, Money) and isinstance(after, Money):
        return after.minor > before.minor if after.currency == before.currency else None
    if isinstance(before, Table) and isinstance(after, Table):
        if before.entries.keys() != after.entries.keys():
            return None
        return any(after.entries[each] > before.entries[each] for each in before.entries)
    numbers = [cast("float", each) for each in (before, after) if not isinstance(each, bool | str | Money | Table) and each is not None]  # fmt: skip
    return numbers[1] > numbers[0] if len(numbers) == 2 else None


def grew(before: Value, after: Value) -> bool | None:
    """`_more` for values of a file."""
    return _more(before, after)


# -- trees without places -------------------------------------------------------------------------------------------


def shape(text: str) -> object:
    """The condition without its places and its blanks: two of them are the same if this is."""
    tree = _tree(text)
    return tree_shape(tree) if tree is not None else text


def tree_shape(part: object) -> object:
    if isinstance(part, tuple):
        return tuple(tree_shape(each) for each in cast("tuple[object, ...]", part))
    if not isinstance(part, Tree):
        return part
    return type(part).__name__, *(
        tree_shape(getattr(part, field.name)) for field in fields(part) if field.name != "at"
    )


def _shapes(texts: Iterable[Text]) -> frozenset[object]:
    return frozenset(shape(text.text) for text in texts)


def _tree(text: str) -> Tree | None:
    try:
        return parse(text)
    except Unreadable:
        return None


def _plain(lit: Lit) -> object:
    return Money(*cast("tuple[int, str]", lit.value)) if lit.kind == "money" else lit.value


def _set(texts: Iterable[Text]) -> frozenset[str]:
    return frozenset(text.text for text in texts)


def _names(texts: Iterable[Text]) -> str:
    return ", ".join(text.text for text in texts) or "nothing"


def _text(text: Text | None) -> str:
    return " ".join(text.text.split()) if text is not None else ""
