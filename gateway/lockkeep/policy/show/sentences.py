"""Policy files as sentences for the people who own the rules. One sentence, or a few, for every id."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from lockkeep.model import Tools
from lockkeep.policy.conditions.lexer import Unreadable
from lockkeep.policy.conditions.parser import Binary, Lit, Name, Tree, parse, parse_lookup
from lockkeep.policy.conditions.runtime import Money, Table, Value
from lockkeep.policy.files import forms
from lockkeep.policy.hours import Hours, Window
from lockkeep.policy.positions import Text
from lockkeep.policy.rules.asked import MANAGER, PERSON
from lockkeep.policy.rules.reads import EXPIRES
from lockkeep.policy.rules.rule import HOLE
from lockkeep.policy.show.plain import Words, label, listed, quoted, span, value, words
from lockkeep.policy.show.policyfiles import Item, called, items

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
WINDOWS = {
    "minute": "per minute", "hour": "per hour", "24 hours": "in any 24 hours", "7 days": "in any 7 days",
    "day": "per calendar day", "week": "per calendar week", "month": "per calendar month",
}  # fmt: skip
KEYS = {
    "user": "person",
    "agent": "agent",
    "run": "run",
    "workflow": "workflow",
    "subject": "subject",
    "tool": "tool",
}
DETECTED = {
    "email": "e-mail addresses", "phone": "phone numbers", "card": "card numbers", "iban": "IBANs",
    "secret": "passwords and keys",
}  # fmt: skip
EDGE = {">": "above", ">=": "from", "<": "below", "<=": "up to"}


@dataclass(frozen=True, slots=True)
class Said:
    """What one id stands for, in sentences."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class SaidBlock:
    tools: tuple[str, ...]
    said: tuple[Said, ...]


@dataclass(frozen=True, slots=True)
class SaidFile:
    """One policy file. `reads`: what the gateway looks up for it."""

    policy: str
    file: str
    opening: str
    reads: tuple[Said, ...]
    blocks: tuple[SaidBlock, ...]


def sentences(
    file: forms.PolicyFile, tools: Tools, only: str | None = None, needed: Collection[tuple[str, str]] = ()
) -> SaidFile:
    """The whole file, or what of it is about one tool: then only the look-ups that are `needed` are said."""
    found: list[SaidBlock] = []
    for block in file.blocks:
        there = called(block, tools)
        if only is None or only in dict(there):
            names = (name if operation is None else f"{name} (only {operation})" for name, operation in there)
            said = (Said(item.id, entry(item)) for item in items(file, block))
            found.append(SaidBlock(tuple(names), tuple(said)))
    reads = [read for read in file.reads if only is None or (file.name, read.name.text) in needed]
    looked_up = tuple(Said(f"{file.name}/read/{read.name.text}", _read(file, read)) for read in reads)
    return SaidFile(file.name, file.file, _opening(file), looked_up, tuple(found))


def entry(item: Item) -> str:
    """The sentences of one id, with what limits it in time said first."""
    limits: list[str] = []
    if item.at.mode == "off":
        limits.append("Switched off:")
    if item.at.mode == "observe":
        limits.append("Only noted, nothing is decided by it:")
    if item.at.until is not None:
        limits.append(f"Until {item.at.until.isoformat()}, that day included:")
    return " ".join([*limits, _entry(item)])


def _entry(item: Item) -> str:
    match item.form:
        case forms.Allow():
            return f"{capital(permitted(item))}."
        case forms.Ask():
            return _ask(item, item.form)
        case forms.Hand():
            to = f"the agent stops and people of {_names(item.form.to)} take over"
            return f"{capital(_first(fires(item), to))}.{_texts(item.form, item)}"
        case forms.Limit():
            return _limit(item, item.form)
        case forms.Entry():
            return f"Refused {fires(item)}{_reason(item.form, item)}"
        case forms.Change():
            most = value(bound(item.file, item.form.bound))
            return f"Where the {label(item.form.argument.text)} is above {most}, it is cut to that."
        case forms.Results():
            return _results(item.form, words_of(item.file))
        case forms.Undo():
            return _undo(item.form)


# -- who ------------------------------------------------------------------------------------------------------------


def words_of(file: forms.PolicyFile) -> Words:
    return Words(file.values)


def permitted(item: Item) -> str:
    """Whom an allow lets use the tool: `people with the role support or lead may use it`."""
    form, says = item.form, words_of(item.file)
    if not isinstance(form, forms.Allow):
        return ""
    who: list[str] = []
    if form.roles:
        who.append(f"people with the role {_names(form.roles)}")
    if form.users:
        who.append(("only " if who else "") + _names(form.users))
    if form.agents:
        who.append(
            f"with the agent {_names(form.agents)}" if who else f"anyone with the agent {_names(form.agents)}"
        )
    nobody = not (who or form.anyone or form.when)
    said = "nobody (it names no role, person or agent)" if nobody else ", ".join(who) or "anyone"
    hours = hours_said(item.openings)
    when = f", when {says.all(_written(form.when))}" if form.when else ""
    return f"{said} may use it{when}{f', only {hours}' if hours else ''}"


def asked(form: forms.Asking) -> str:
    """`one of support-lead and one of finance must agree`."""
    each, any_of = [_somebody(text.text) for text in form.each], [_group(text.text) for text in form.any_of]
    who = ""
    if len(each) == 1 and form.count > 1:
        who = f"{form.count} people of {_group(form.each[0].text)}"
    elif each:
        more = f", {form.count} people in all," if form.count > len(each) else ""
        who = listed(each) + more
    elif any_of:
        who = f"{'one' if form.count == 1 else f'{form.count} people'} of {listed(any_of, 'or')}"
    if form.confirm:
        own = "the person behind the agent"
        return f"{who} must agree and {own} must confirm" if who else f"{own} must confirm"
    return f"{who} must agree"


def _somebody(name: str) -> str:
    return _group(name) if ":" in name else f"one of {name}"


def _if_nobody(form: forms.Asking) -> str:
    """Whom an account that belongs to nobody asks."""
    if not any(text.text.startswith((PERSON, MANAGER)) for text in (*form.each, *form.any_of)):
        return ""
    if not form.escalate:
        return "If no such person is known, the call is refused."
    return f"If no such person is known, {_somebody(form.escalate[0][1][0].text)} must agree instead."


def _group(name: str) -> str:
    kind, colon, what = name.partition(":")
    if not colon or kind == "user":
        return what or name
    person = f"the person behind {Words().named(what)}"
    return person if kind == "person" else f"the manager of {person}"


# -- when -----------------------------------------------------------------------------------------------------------


def fires(item: Item) -> str:
    """`when A unless B, from Monday to Friday`; empty if it always fires."""
    form, says = item.form, words_of(item.file)
    if not isinstance(form, forms.Entry):
        return ""
    edge = threshold(_written(form.when)) if not form.unless else None
    parts: list[str] = []
    if edge is not None:
        parts.append(edge)
    elif form.when:
        parts.append(f"when {says.all(_written(form.when))}")
    if form.unless:
        parts.append(f"unless {says.all(_written(form.unless))}")
    hours = hours_said(item.openings)
    return f"{' '.join(parts)}, only {hours}" if parts and hours else " ".join(parts) or hours


def threshold(texts: Sequence[str]) -> str | None:
    """`amount > 500 EUR` alone is "above 500.00 EUR": the amount is what people think of first."""
    try:
        tree = parse(texts[0]) if len(texts) == 1 else None
    except Unreadable:
        return None
    if not (isinstance(tree, Binary) and isinstance(tree.left, Name) and tree.left.name == "amount"):
        return None
    if not (isinstance(tree.right, Lit) and tree.right.kind == "money") or tree.op not in EDGE:
        return None
    more = " on" if tree.op == ">=" else ""
    return f"{EDGE[tree.op]} {Words().tree(tree.right)}{more}"


def hours_said(openings: Iterable[Hours]) -> str:
    """All of these hold: `from Monday to Friday 08:00 to 18:00`."""
    return ", and at the same time ".join(map(_windows, openings))


def _windows(hours: Hours) -> str:
    """What is outside of one window comes last, so that nothing after it seems to be a part of that."""
    ordered = sorted(hours.windows, key=lambda window: window.outside)
    return " or ".join(map(_window, ordered))


def _window(window: Window) -> str:
    days = _days(window.days)
    if (window.start, window.end) != (0, 24 * 60):
        later = " of the next day" if window.end <= window.start else ""
        days = f"{days} {_clock(window.start)} to {_clock(window.end)}{later}".strip()
    return f"outside of the hours {days}" if window.outside else days


def _days(days: frozenset[int]) -> str:
    if len(days) == 7:
        return "every day"
    runs: list[list[int]] = []
    first = next((day for day in range(7) if day in days and (day - 1) % 7 not in days), 0)
    for day in ((first + step) % 7 for step in range(7)):
        if day in days:
            if runs and (day - 1) % 7 == runs[-1][-1]:
                runs[-1].append(day)
            else:
                runs.append([day])
    said = [
        f"from {DAYS[run[0]]} to {DAYS[run[-1]]}"
        if len(run) > 2
        else f"on {listed([DAYS[day] for day in run])}"
        for run in runs
    ]
    return listed(said)


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


# -- the kinds of entries -------------------------------------------------------------------------------------------


def _ask(item: Item, form: forms.Ask) -> str:
    when, who = fires(item), asked(form.asking)
    said = _first(when, who) if when else f"{who}, to every call"
    return f"{capital(said)}.{_texts(form, item)}{how_asked(form.asking)}"


def how_asked(form: forms.Asking) -> str:
    """What else an ask says, each in a sentence with a blank before it."""
    working = "" if form.always else "working "
    said = [instead] if (instead := _if_nobody(form)) else []
    if form.expires is not None:
        said.append(f"The request ends after {_long(form.expires, working)}.")
    elif form.always:
        said.append(f"The request ends after {_long(EXPIRES, working)}.")
    for after, to in form.escalate:
        also = listed([_group(text.text) for text in to], "or")
        said.append(f"After {_long(after, working)} people of {also} may agree, too.")
    if form.edit:
        said.append(f"They may change {_list_of(form.edit)}.")
    if form.recheck:
        verb = "is" if len(form.recheck) == 1 else "are"
        said.append(
            f"Before it runs, {_facts(form.recheck)} {verb} read again; if that changed, the agreement is void."
        )
    if form.reason:
        said.append("They must give a reason.")
    if form.slack_up_to is not None:
        most = "" if form.slack_up_to == "all" else f" up to {form.slack_up_to}"
        said.append(f"They may agree in Slack{most}.")
    return "".join(f" {each}" for each in said)


def _limit(item: Item, form: forms.Limit) -> str:
    when = fires(item)
    most = limit_said(form, item.file) + _together(item, form)
    said = f"Counted {when}: {most}" if when else capital(most)
    if form.asking is None and not form.to:
        return f"{said}. {full_said(form).removesuffix('.')}{_reason(form, item)}"
    return f"{said}. {full_said(form)}{_texts(form, item)}{how_asked(form.asking) if form.asking else ''}"


def limit_said(form: forms.Limit, file: forms.PolicyFile) -> str:
    """`at most 20 calls per hour for each agent`."""
    most = bound(file, form.most)
    if isinstance(most, Money | Table) or form.of:
        apart = "each currency by itself" if isinstance(most, Table) and len(most.entries) > 1 else ""
        how = ", ".join(
            each for each in (f"{Words().named(form.of)} added up" if form.of else "", apart) if each
        )
        what = f"{value(most)} in all{f' ({how})' if how else ''}"
    else:
        what = f"{value(most)} call{'' if most == 1 else 's'}"
    keys = [f"each {KEYS.get(key, label(key.replace('.', ' ')))}" for key in form.keys]
    whom = f"for {listed(keys)}" if keys else "for everybody together"
    return f"at most {what} {WINDOWS[form.window]} {whom}"


def _together(item: Item, form: forms.Limit) -> str:
    """Several tools in one block share its limits."""
    wide = len(item.block.patterns) > 1 or any(mark in item.block.key.text for mark in "*@")
    return ", all these tools together" if wide and "tool" not in form.keys else ""


def full_said(form: forms.Limit) -> str:
    if form.asking is not None:
        return f"Beyond that {asked(form.asking)}."
    if form.to:
        return f"Beyond that people of {_names(form.to)} take over."
    return "What is beyond that is refused."


def bound(file: forms.PolicyFile, said: Value) -> Value:
    """A maximum, or what the value of that name is."""
    return file.values.get(said, said) if isinstance(said, str) else said


def _results(form: forms.Results, says: Words) -> str:
    said: list[str] = []
    if form.hide:
        verb = "is" if len(form.hide) == 1 else "are"
        said.append(f"Of the answer, {_facts(form.hide)} {verb} hidden.")
    if form.detect:
        said.append(f"{capital(listed([DETECTED[kind] for kind in form.detect]))} in the answer are masked.")
    said += [f"The whole answer is kept back when {says.condition(text.text)}." for text in form.withhold]
    said += [f"The answer is marked as suspicious when {says.condition(text.text)}." for text in form.flag]
    return " ".join(said)


def _undo(form: forms.Undo) -> str:
    who = f"people with the role {_names(form.who)}" if form.who else "whoever may undo at all"
    within = f" within {span(form.within)}" if form.within is not None else ""
    agree = f", and {asked(form.asking)}" if form.asking is not None else ""
    return f"It can be taken back by {who}{within}{agree}.{how_asked(form.asking) if form.asking else ''}"


# -- files ----------------------------------------------------------------------------------------------------------


def applies_said(form: forms.Applies) -> str:
    """`calls of the agent lead-router`."""
    if form.everywhere:
        return "all calls"
    agents = f"calls of the agent {_names(form.agents)}" if form.agents else "calls"
    return f"{agents} in runs of the workflow {_names(form.workflows)}" if form.workflows else agents


def _opening(file: forms.PolicyFile) -> str:
    said = [f"{file.owner.text} answers for it. It is about {applies_said(file.applies)}."]
    if file.description:
        said.append(file.description)
    said += [f'"{capital(words(name))}" means {value(each)}.' for name, each in file.values.items()]
    return " ".join(said)


def _read(file: forms.PolicyFile, read: forms.Read) -> str:
    tool, arguments = _lookup(read)
    said_of = [_argument(words_of(file), name, tree, read.call.text) for name, tree in arguments]
    given = listed(said_of) if said_of else ""
    said = [f"The {words(read.name.text)} is what {tool} answers{f' for {given}' if given else ''}."]
    if read.cache:
        said.append(f"An answer is kept for {span(read.cache)}.")
    if read.on_error is not None:
        said.append(f"If it cannot be read, {asked(read.on_error)}.{how_asked(read.on_error)}")
    return " ".join(said)


def _lookup(read: forms.Read) -> tuple[str, Sequence[tuple[str | None, Tree]]]:
    if read.arguments is None:
        return parse_lookup(read.call.text)
    given: list[tuple[str | None, Tree]] = []
    for key, text in read.arguments:
        said = text.text
        condition = said.startswith("=") and not said.startswith("==")
        given.append((key.text, parse(said[1:]) if condition else Lit("text", said.removeprefix("="), 0)))
    return read.call.text.strip(), given


def _argument(says: Words, name: str | None, tree: Tree, call: str) -> str:
    noun = says.tree(tree) or f"a value worked out by {quoted(call)}"
    if name is None or f"the {label(name)}" == noun:
        return noun
    return f"{label(name)} {noun}" if isinstance(tree, Lit) else f"{noun} as {label(name)}"


def _reason(form: forms.Entry, item: Item) -> str:
    """The rest of a refusal: what is said, and what to do instead."""
    said = f": {_filled(form.say.text, item)}" if form.say else "."
    return f"{said}{_fix(form, item)}"


def _texts(form: forms.Entry, item: Item) -> str:
    return f"{f' They read: {_filled(form.say.text, item)}' if form.say else ''}{_fix(form, item)}"


def _fix(form: forms.Entry, item: Item) -> str:
    return f" The agent is told: {_filled(form.fix.text, item)}" if form.fix else ""


def _filled(text: str, item: Item) -> str:
    """A text for people, with names in braces as words."""
    says = words_of(item.file)
    plain = HOLE.sub(lambda hole: f"{{{says.named(hole[1])}}}", " ".join(text.split()))
    return f"'{plain}'"


# -- small things ---------------------------------------------------------------------------------------------------


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _first(when: str, then: str) -> str:
    """`above 500.00 EUR one of finance must agree`, `when it is disputed, one of finance must agree`."""
    if not when:
        return then
    return (
        f"{when} {then}" if when.startswith(tuple(EDGE.values())) and "," not in when else f"{when}, {then}"
    )


def _long(seconds: float, working: str) -> str:
    """`4 working hours`; days are of 24 hours, so they are said in hours where only working hours count."""
    hours, rest = divmod(seconds, 3600)
    if working and not rest:
        return f"{int(hours)} working hour{'' if hours == 1 else 's'}"
    return f"{span(seconds)}{' of working time' if working else ''}"


def _names(texts: Iterable[Text]) -> str:
    return listed([text.text for text in texts], "or")


def _facts(texts: Iterable[Text]) -> str:
    return listed([Words().named(text.text) for text in texts])


def _list_of(texts: Iterable[Text]) -> str:
    return listed([f"the {label(text.text)}" for text in texts])


def _written(texts: Iterable[Text]) -> list[str]:
    return [text.text for text in texts]
