"""Those who are asked: enough of them, not the requester alone, and hours that are theirs."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from lockkeep.policy.files.forms import Ask, Asking, Limit
from lockkeep.policy.lint.material import Finding, Material, id_of, named
from lockkeep.policy.positions import Place
from lockkeep.policy.rules.reads import EXPIRES

DYNAMIC = ("person:", "manager-of:")


@dataclass(frozen=True, slots=True)
class Question:
    """One `ask`, wherever it stands."""

    asking: Asking
    place: Place
    rule: str
    also: tuple[Place, ...] = ()

    def finding(self, kind: str, message: str, hint: str) -> Finding:
        also = (self.place, *self.also)
        return Finding(
            kind=kind, place=self.asking.place, message=message, hint=hint, rule=self.rule, also=also
        )


def asked(material: Material) -> Iterator[Finding]:
    for question in _questions(material):
        yield from _few(question, material)
        yield from _without_hours(question, material)
        yield from _too_late(question)
    for said in material.of_kind("ask"):
        entry = said.entry
        if isinstance(entry, Ask) and entry.asking.confirm and not (entry.asking.each or entry.asking.any_of):
            risky = [tool for tool in said.rules if material.risk(tool) not in ("read", "note")]
            if risky:
                message = f"who asks for {named(risky)} agrees alone: nobody else looks at it"
                yield said.finding("self-confirm", message, "add from: [GROUP]")


def _questions(material: Material) -> Iterator[Question]:
    for said in material.said:
        asking = said.entry.asking if isinstance(said.entry, Ask | Limit) else None
        if asking is not None:
            yield Question(asking, said.entry.place, said.id, (said.block.key.place,))
    for file, block in material.blocks:
        if block.undo is not None and block.undo.asking is not None:
            yield Question(
                block.undo.asking, block.undo.place, id_of(file, block, "undo"), (block.key.place,)
            )
    for file in material.files:
        for read in file.reads:
            if read.on_error is not None:
                yield Question(read.on_error, read.name.place, f"{file.name}/read/{read.name.text}")


def _few(question: Question, material: Material) -> Iterator[Finding]:
    """Nobody agrees to their own call, and people are away: one more than needed must be there."""
    form = question.asking
    names = [text.text for text in (*form.each, *form.any_of)]
    alone = (
        len(material.rules.people.persons) < 2
    )  # before anybody else is written down, every ask would be one
    if alone or not names or any(name.startswith(DYNAMIC) for name in names):
        return
    places = _places(form, material)
    there = set[str]().union(*places)
    spare = all(_filled([place - {person} for place in places]) for person in there)
    if there and spare:
        return
    groups = ", ".join(names)
    if not _filled(places):
        message = f"{len(places)} must agree for {groups}, and {_people(there)} can" if there else f"nobody is in {groups}, so nobody can agree"  # fmt: skip
    else:
        who = "one of them" if len(there) > 1 else next(iter(there))
        message = (
            f"only {_people(there)} can agree for {groups}: while {who} asks, or is away, it has to wait"
        )
    yield question.finding(
        "few-approvers", message, "add people to the group in people.yaml, or add escalate"
    )


def _people(names: Iterable[str]) -> str:
    return named(names, most=4)


def _places(form: Asking, material: Material) -> list[set[str]]:
    """Who may fill each place; whom it escalates to may fill any."""
    more = set[str]().union(*(_members(text.text, material) for _, to in form.escalate for text in to))
    each = [_members(text.text, material) | more for text in form.each]
    union = set[str]().union(*each, *(_members(text.text, material) | more for text in form.any_of))
    needed = max(len(each), form.count)
    return each + [union] * (needed - len(each))


def _members(name: str, material: Material) -> set[str]:
    people = material.rules.people.persons
    if name.startswith("user:"):
        return {name.removeprefix("user:")}
    return {person.id for person in people.values() if name in person.groups}


def _filled(places: list[set[str]]) -> bool:
    """Whether different people can fill all of them."""
    sits: dict[str, int] = {}

    def seat(place: int, tried: set[str]) -> bool:
        for person in places[place] - tried:
            tried.add(person)
            if person not in sits or seat(sits[person], tried):
                sits[person] = place
                return True
        return False

    return all(seat(place, set()) for place in range(len(places)))


def _without_hours(question: Question, material: Material) -> Iterator[Finding]:
    """Where working hours are kept at all, a group without any lets its approvals expire at night."""
    working: Mapping[str, object] = material.rules.people.working
    form = question.asking
    groups = [text.text for text in (*form.each, *form.any_of) if ":" not in text.text]
    if working and groups and not form.always and not any(group in working for group in groups):
        message = f"{named(groups)} has no working hours, so nights and weekends count until this expires"
        hint = "give the group hours in people.yaml, or write clock: always"
        yield question.finding("no-hours", message, hint)


def _too_late(question: Question) -> Iterator[Finding]:
    """A step that comes when the approval has expired; one for a person who may be nobody is taken at once."""
    form = question.asking
    last = form.expires or EXPIRES
    if any(text.text.startswith(DYNAMIC) for text in (*form.each, *form.any_of)):
        return
    if any(after >= last for after, _ in form.escalate):
        message = f"a step of escalate never comes: this expires after {last / 3600:g} hours"
        yield question.finding("never-fires", message, "write a later expires, or an earlier step")
