"""The life of a ticket, at random (TS3)."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.unit.servers.desk import Desk, open_desk
from tests.unit.servers.tickets import FULL, SOLVED, STATUSES, TICKET, step

from lockkeep_servers.ticketing.states import NEXT, landing

# --- the life of a ticket, at random (TS3) ------------------------------------------------------------------------

FIELDS = ("priority", "type", "group", "assignee")

SOME: dict[str, Any] = {
    "priority": st.sampled_from(["low", "normal", "high", "urgent"]),
    "type": st.sampled_from(["question", "refund"]),
    "group": st.sampled_from(["support", "billing"]),
    "assignee": st.sampled_from(["agt_1", "agt_2"]),
    "tags_add": st.lists(st.sampled_from("abc"), max_size=2),
}

CREATED: dict[str, Any] = {
    "status": "new", "resolution": None, "priority": "normal", "type": None, "group": None, "assignee": None, "tags": [],
}  # fmt: skip


class TicketLife(RuleBasedStateMachine):
    """One ticket beside a model of it that knows only the rules: both must say the same after every step."""

    portal: BlockingPortal  # one desk for all of them: each life is a ticket of its own
    desk: Desk
    numbers: Iterator[int]

    def __init__(self) -> None:
        super().__init__()
        self.asked: tuple[str, dict[str, Any], dict[str, Any]] | None = None
        self.id: str = self.ok("create", **TICKET)["id"]
        self.version = 1
        self.model: dict[str, Any] = dict(CREATED)
        self.notes: list[tuple[str, str]] = []
        self.replies: list[str] = []
        self.last: tuple[str, dict[str, Any], dict[str, Any]] | None = None  # of the version that holds
        self.final = False

    def ok(self, tool: str, **arguments: Any) -> dict[str, Any]:
        arguments = {"idempotency_key": f"life-{next(self.numbers):06}", **arguments}
        done = self.portal.call(lambda: self.desk.ok(tool, **arguments))
        self.asked = (tool, arguments, done)
        return done

    def refused(self, tool: str, **arguments: Any) -> dict[str, Any]:
        return self.portal.call(lambda: self.desk.refused(tool, **arguments))

    def wrote(
        self, tool: str, arguments: dict[str, Any], receipt: dict[str, Any], changes: dict[str, Any]
    ) -> None:
        """The model takes the changes; the receipt must say them, and no others."""
        moved = {name: value for name, value in changes.items() if self.model[name] != value}
        assert receipt["after"] == moved
        assert receipt["before"] == {name: self.model[name] for name in moved}
        self.model |= moved
        self.version += bool(moved)
        assert receipt["version"] == str(self.version)
        if moved:
            self.last = (tool, arguments, receipt)

    @rule(to=st.sampled_from(STATUSES))
    def transition(self, to: str) -> None:
        arguments = {"id": self.id, **step(to)}
        now = self.model["status"]
        if to != now and to not in NEXT[now]:
            error = self.refused("transition", **arguments)
            assert (error["code"], error["details"]["allowed"]) == ("illegal_transition", list(NEXT[now]))
            return
        resolution = SOLVED["resolution"] if to in ("solved", "closed") else None
        self.wrote(
            "transition",
            arguments,
            self.ok("transition", **arguments),
            {"status": to, "resolution": resolution},
        )
        self.final = to == "closed"

    @rule(given=st.fixed_dictionaries({}, optional=SOME), remove=st.booleans())
    def triage(self, given: dict[str, Any], remove: bool) -> None:
        add: list[str] = given.get("tags_add", [])
        held: list[str] = self.model["tags"]
        gone = [tag for tag in held[:1] if remove and tag not in add]
        arguments: dict[str, Any] = {"id": self.id, **given, "tags_remove": gone}
        if not {name for name, value in arguments.items() if value} - {"id"}:
            assert self.refused("triage", **arguments)["code"] == "invalid"
            return
        if self.final:
            assert self.refused("triage", **arguments)["code"] == "illegal_transition"
            return
        tags = [tag for tag in held if tag not in gone]
        for tag in add:
            tags += [] if tag in tags else [tag]
        wanted = {**{name: given[name] for name in FIELDS if name in given}, "tags": tags}
        self.wrote("triage", arguments, self.ok("triage", **arguments), wanted)

    @rule(
        body=st.text(
            st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=30
        )
    )
    def note(self, body: str) -> None:
        if not body.strip():
            assert self.refused("add_note", id=self.id, body=body)["code"] == "invalid"
        elif self.final:
            assert self.refused("add_note", id=self.id, body=body)["code"] == "illegal_transition"
        else:
            done = self.ok("add_note", id=self.id, body=body)
            assert done["version"] == str(self.version)
            self.notes.append((done["id"], body))

    @rule()
    def reply(self) -> None:
        if self.final:
            error = self.refused("reply", id=self.id, body="Hello", idempotency_key="final-reply")
            assert error["code"] == "illegal_transition"
            return
        done = self.ok("reply", id=self.id, body="Hello")
        self.version += 1
        assert done["version"] == str(self.version)
        self.replies.append(done["id"])
        self.last = None  # whoever would take the last step back has not read this

    @precondition(lambda self: self.notes and not self.final)
    @rule(data=st.data())
    def withdraw_note(self, data: st.DataObject) -> None:
        id, body = data.draw(st.sampled_from(self.notes))
        done = self.ok("withdraw", id=self.id, note_id=id, reason="test")
        assert done["after"] == {"withdrawn": True}
        self.notes.remove((id, body))

    @precondition(lambda self: self.last)
    @rule()
    def take_back(self) -> None:
        assert self.last is not None
        tool, arguments, receipt = self.last
        if self.final:
            assert receipt["undo"]["possible"] == "no"
            return
        done = self.portal.call(lambda: self.desk.undo(tool, arguments, receipt))
        before: dict[str, Any] = receipt["before"]
        if tool == "transition" and landing(before["status"], arguments["to"]) != before["status"]:
            before = {"status": "open", "resolution": None}
        moved = {name: value for name, value in before.items() if self.model[name] != value}
        self.model |= before
        self.version += bool(moved)
        assert (done["version"], done["after"]) == (str(self.version), moved)
        self.last = None

    @precondition(lambda self: self.asked)
    @rule()
    def ask_again(self) -> None:
        assert self.asked is not None
        tool, arguments, done = self.asked
        again = self.portal.call(lambda: self.desk.ok(tool, **arguments))
        assert again == {**done, "replayed": True}

    @precondition(lambda self: self.version > 1)
    @rule(to=st.sampled_from(STATUSES))
    def stale(self, to: str) -> None:
        asked: list[tuple[str, dict[str, Any]]] = [("transition", step(to)), ("triage", {"tags_add": ["z"]})]
        for tool, arguments in asked:
            error = self.refused(tool, id=self.id, **arguments, expected_version=str(self.version - 1))
            assert error["code"] == "conflict"
            assert error["details"]["version"] == str(self.version)

    @rule()
    def create_again(self) -> None:
        asked = {**TICKET, "external_id": f"life-{next(self.numbers)}"}
        first, second = self.ok("create", **asked), self.ok("create", **asked)
        assert (second["id"], second["after"]) == (first["id"], {})
        assert first["id"] != self.id

    @rule()
    def withdraw_ticket(self) -> None:
        if self.model != CREATED or self.notes or self.replies:
            assert self.refused("withdraw", id=self.id, reason="test")["code"] == "conflict"
        else:
            asked = {"id": self.id, "reason": "test", "dry_run": True}
            assert self.portal.call(lambda: self.desk.ok("withdraw", **asked))["applied"] is False

    @invariant()
    def the_desk_says_the_same(self) -> None:
        found = self.portal.call(lambda: self.desk.ok("get", id=self.id))
        ticket = found["ticket"]
        assert {name: ticket.get(name) for name in self.model} == self.model
        assert (found["version"], found["allowed_transitions"]) == (
            str(self.version),
            list(NEXT[self.model["status"]]),
        )
        if found["next_cursor"] is None:
            live = [one for one in found["messages"] if "withdrawn" not in one]
            internal = {(one["id"], one["body"]) for one in live if one["visibility"] == "internal"}
            public = [one["id"] for one in live[1:] if one["visibility"] == "public"]
            assert (internal, public) == (set(self.notes), self.replies)


def live(examples: int, folder: Path) -> None:
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much]
    chosen = settings(
        max_examples=examples, stateful_step_count=15, deadline=None, database=None, suppress_health_check=checks
    )  # fmt: skip
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(open_desk("ticketing", folder)) as desk,
    ):
        here = {"portal": portal, "desk": desk, "numbers": count(1)}
        run_state_machine_as_test(type("Life", (TicketLife,), here), settings=chosen)


def test_a_ticket_lives_by_its_rules(tmp_path: Path) -> None:
    live(5, tmp_path)


@FULL
def test_a_thousand_tickets_live_by_their_rules(tmp_path: Path) -> None:
    live(1000, tmp_path)
