"""people.yaml: people, groups, and who may do what to the gateway itself. Roles come from nowhere else."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

from lockkeep.model import Person
from lockkeep.policy.files.reading import Reader, text_of, texts_of, version, zone_of
from lockkeep.policy.hours import Hours, hours_of
from lockkeep.policy.positions import Mapping as Node_
from lockkeep.policy.positions import Node, Problems, Text, nearest

TOP = ("api", "people", "groups", "duties", "resume_self")
PERSON = ("groups", "accounts", "manager")
DUTIES = ("activate", "accept", "promote", "kill", "resume", "resolve", "undo")
GROUP = ("roles", "hours", "tz")


@dataclass(frozen=True, kw_only=True)
class People:
    """Everybody, with the roles their groups give."""

    persons: Mapping[str, Person] = field(default_factory=dict[str, Person])
    groups: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])  # group -> roles
    duties: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])  # duty -> groups
    working: Mapping[str, tuple[Hours, ZoneInfo | None]] = field(
        default_factory=dict[str, "tuple[Hours, ZoneInfo | None]"]
    )  # group -> its hours, on the clock of its zone (or of the gateway's)
    resume_self: bool = False

    @cached_property
    def accounts(self) -> Mapping[str, Person]:
        """`crm:rep_7` -> the person it belongs to."""
        return {account: person for person in self.persons.values() for account in person.accounts}

    def after(self, groups: Iterable[str], start: datetime, seconds: float, zone: ZoneInfo) -> datetime:
        """When that much of these groups' working time has gone by; of several, the last to end counts."""
        ends: list[datetime] = []
        for group in groups:
            hours, own = self.working.get(group, (Hours(), None))
            ends.append(hours.after(start.astimezone(own or zone), seconds).astimezone(UTC))
        return max(ends, default=start + timedelta(seconds=seconds))

    def roles(self, user: str) -> frozenset[str]:
        person = self.persons.get(user)
        return person.roles if person else frozenset()

    def may(self, person: str, duty: str) -> bool:
        """Whether this person has the duty; one that names no group is everybody's who is in people.yaml."""
        known = self.persons.get(person)
        groups = self.duties.get(duty)
        return known is not None and (groups is None or bool(groups & known.groups))


def read(root: Node, problems: Problems) -> People:
    reader = Reader(root, "people.yaml", problems, TOP)
    version(reader)
    groups = _groups(reader.get("groups"), problems)
    if groups is None:
        return People()
    persons = _persons(reader.get("people"), groups, problems)
    duties: dict[str, frozenset[str]] = {}
    if (node := reader.get("duties")) is not None:
        inner = Reader(node, "duties", problems, DUTIES)
        duties = {
            duty: _known(inner.texts(duty), groups, problems)
            for duty in DUTIES
            if inner.get(duty) is not None
        }
    working = _working(reader.get("groups"), problems)
    return People(
        persons=persons, groups=groups, duties=duties, working=working, resume_self=reader.flag("resume_self")
    )


def _working(node: Node | None, problems: Problems) -> dict[str, tuple[Hours, ZoneInfo | None]]:
    """The hours of the groups that name some."""
    found: dict[str, tuple[Hours, ZoneInfo | None]] = {}
    for name, value in node.entries if isinstance(node, Node_) else ():
        hours, tz = (value.get("hours"), value.get("tz")) if isinstance(value, Node_) else (None, None)
        texts = texts_of(hours, "'hours'", problems) if hours is not None else ()
        zone = zone_of(text, problems) if tz is not None and (text := text_of(tz, "'tz'", problems)) else None
        if texts:
            found[name.text] = hours_of(texts, problems), zone
        elif tz is not None:
            problems.add(
                tz.place, f"group {name.text} has a zone and no hours", "add hours: mon-fri 08:00-18:00"
            )
    return found


def _groups(node: Node | None, problems: Problems) -> dict[str, frozenset[str]] | None:
    if node is None:
        return {}
    if not isinstance(node, Node_):
        problems.add(node.place, f"'groups' is {node.kind}; name: {{roles: […]}} is expected", "name: {}")
        return None
    found: dict[str, frozenset[str]] = {}
    for name, value in node.entries:
        if isinstance(value, Text) and value.value is None:
            found[name.text] = frozenset({name.text})
            continue
        inner = Reader(value, f"group {name.text}", problems, GROUP)
        roles = inner.some("roles")
        found[name.text] = frozenset(role.text for role in roles) or frozenset({name.text})
    return found


def _persons(
    node: Node | None, groups: Mapping[str, frozenset[str]], problems: Problems
) -> dict[str, Person]:
    if node is None:
        return {}
    if not isinstance(node, Node_):
        problems.add(
            node.place, f"'people' is {node.kind}; name: {{groups: […]}} is expected", "name: {groups: []}"
        )
        return {}
    found: dict[str, Person] = {}
    accounts: dict[str, str] = {}
    for name, value in node.entries:
        inner = Reader(value, f"person {name.text}", problems, PERSON)
        member = _known(inner.texts("groups"), groups, problems)
        for account in inner.texts("accounts"):
            if account.text in accounts:
                message = f"the account {account.text} belongs to {accounts[account.text]} already"
                problems.add(account.place, message, "one account, one person", code="duplicate")
            accounts[account.text] = name.text
        manager = inner.text("manager")
        if manager is not None and manager.text not in {key.text for key, _ in node.entries}:
            message = f"there is no person '{manager.text}'"
            hint = nearest(manager.text, [key.text for key, _ in node.entries])
            problems.add(manager.place, message, hint, code="unknown-name")
        found[name.text] = Person(
            id=name.text, groups=member, roles=frozenset[str]().union(*(groups[group] for group in member)),
            accounts=tuple(account.text for account in inner.texts("accounts")), manager=manager.text if manager else None,
        )  # fmt: skip
    return found


def _known(
    names: tuple[Text, ...], groups: Mapping[str, frozenset[str]], problems: Problems
) -> frozenset[str]:
    for name in names:
        if name.text not in groups:
            problems.add(
                name.place,
                f"there is no group '{name.text}'",
                nearest(name.text, groups),
                code="unknown-name",
            )
    return frozenset(name.text for name in names if name.text in groups)
