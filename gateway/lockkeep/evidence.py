"""What happened in a period, as an auditor asks for it: who may, who did, who was refused, what was changed, what stopped.

Read from the log and from the policy sets that were in force; nothing is told by an agent about itself.
"""

import difflib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from lockkeep.ledger import generations
from lockkeep.ledger.chain import Verified
from lockkeep.ledger.generations import Generation
from lockkeep.model import Json, moment
from lockkeep.policy.bundle import LOCK, PolicySet, load
from lockkeep.policy.simulate import Caller, simulate
from lockkeep.store import Tx

VOTES = ("approval.voted", "approval.withdrawn", "approval.revoked", "approval.void", "approval.denied")
CHANGES = ("policy.", "catalog.", "people.", "token.", "delegation.")
OPERATIONS = (
    "switch.", "queue.", "drill.", "ledger.", "backup.", "log.", "gateway.", "call.contradiction", "call.needs_human",
    "call.resolved", "undo.", "call.undone", "notice.given_up", "result.ruled",
)  # fmt: skip
OWN = "nobody agrees to their own call"
SECTIONS = {
    "access": "Who may do and approve what (SOC 2 CC6.1-CC6.3; AI Act Art. 26)",
    "decisions": "Decisions by people (SOC 2 CC6; AI Act Art. 14, 26)",
    "refused": "Refused tries (SOC 2 CC6, CC7; AI Act Art. 14)",
    "changes": "Changes of rules, tools, people and rights (SOC 2 CC8; AI Act Art. 12)",
    "operations": "Stops, drills, restores and alarms (SOC 2 CC7; AI Act Art. 14, 26)",
    "records": "Record keeping (AI Act Art. 12, 19, 26)",
}
Entry = Mapping[str, Json]


@dataclass(frozen=True, kw_only=True)
class Period:
    """From the first moment up to, and without, the last one; as times stand in the ledger."""

    begin: str
    end: str


@dataclass(kw_only=True)
class Gathered:
    """Records of the period, sorted into what an auditor asks for."""

    decisions: list[Entry] = field(default_factory=list[Entry])
    refused: list[Entry] = field(default_factory=list[Entry])
    changes: list[Entry] = field(default_factory=list[Entry])
    operations: list[Entry] = field(default_factory=list[Entry])
    denied: Counter[str] = field(default_factory=Counter[str])
    events: Counter[str] = field(default_factory=Counter[str])

    def add(self, record: Entry) -> None:
        event = str(record["type"])
        self.events[event] += 1
        if event == "call.denied":
            self.denied[str(record.get("code"))] += 1
        if event in VOTES:
            self.decisions.append(record)
        elif event.endswith(".refused") or (event == "call.denied" and record.get("approval")):
            self.refused.append(record)
        elif event.startswith(CHANGES):
            self.changes.append(record)
        elif event.startswith(OPERATIONS):
            self.operations.append(record)


def evidence(
    tx: Tx, records: Iterable[str], period: Period, verified: Verified, more: Entry
) -> dict[str, Json]:
    """Everything about the period. `more`: what the settings say of retention and of places outside."""
    gathered = Gathered()
    for text in records:
        gathered.add(json.loads(text))
    then = in_force(tx, period.end)
    return {
        "period": {"from": period.begin, "to": period.end},
        "verification": {
            "sound": not verified.tampering, "first": verified.first, "records": verified.last, "head": verified.head,
            "gaps": list(verified.gaps),
            "tampering": [{"seq": each.seq, "kind": each.kind, "detail": each.detail} for each in verified.tampering],
        },
        "access": _access(then, tx) if then else None,
        "decisions": [_said(tx, each) for each in gathered.decisions],
        "refused": {
            "own_call": [_said(tx, each) for each in gathered.refused if _own(each)],
            "other": [_said(tx, each) for each in gathered.refused if not _own(each)],
            "denied_calls_by_code": dict(sorted(gathered.denied.items())),
        },
        "changes": {
            "policy_sets": [_changed(tx, each) for each in _generations(tx, period)],
            "records": [_said(tx, each) for each in gathered.changes],
        },
        "operations": [_said(tx, each) for each in gathered.operations],
        "records": {"events": dict(sorted(gathered.events.items())), **more},
    }  # fmt: skip


def in_force(tx: Tx, at: str) -> Generation | None:
    """The policy set that was in force right before this moment."""
    row = tx.one("generation_at", at=at)
    return generations.get(tx, row["id"]) if row else None


def _generations(tx: Tx, period: Period) -> Iterator[Generation]:
    for row in tx.all("generations_between", begin=period.begin, end=period.end):
        if (found := generations.get(tx, row["id"])) is not None:
            yield found


# -- who may ----------------------------------------------------------------------------------------------------


def _access(then: Generation, tx: Tx) -> dict[str, Json]:
    about: dict[str, Json] = {
        "generation": then.id, "digest": then.digest, "at": then.at, "by": then.by, "reason": then.reason
    }  # fmt: skip
    rules, problems = load(then.files, generation=then.id)
    if rules is None:
        return {**about, "does_not_load": [str(each) for each in problems], "files": dict(then.files)}
    people = rules.people
    return {
        **about,
        "people": [
            {"id": each.id, "groups": sorted(each.groups), "roles": sorted(each.roles), "accounts": list(each.accounts)}
            for each in people.persons.values()
        ],
        "duties": {duty: sorted(groups) for duty, groups in people.duties.items()},
        "agents": dict(rules.gateway.agents),
        "may": list(_may(rules, moment(then.at).date())),
        "tokens": [dict(row) for row in tx.all("tokens_list")],
    }  # fmt: skip


def _may(rules: PolicySet, today: date) -> Iterator[dict[str, Json]]:
    """For each agent, what it may do for whom; people with the same rights stand together."""
    for agent in rules.gateway.agents:
        alike: dict[str, tuple[list[str], list[dict[str, Json]]]] = {}
        for person in rules.people.persons.values():
            caller = Caller(agent=agent, roles=person.roles, user=person.id, manager=person.manager)
            found = [each.row for each in simulate(rules, caller, today) if each.says != "never"]
            alike.setdefault(json.dumps(found), ([], found))[0].append(person.id)
        for people, found in alike.values():
            yield {"agent": agent, "for": people, "tools": found}


# -- what changed -----------------------------------------------------------------------------------------------


def _changed(tx: Tx, now: Generation) -> dict[str, Json]:
    before = generations.get(tx, now.id - 1)
    old: Mapping[str, str] = before.files if before else {}
    return {
        "generation": now.id, "at": now.at, "by": now.by, "reason": now.reason, "digest": now.digest,
        "observe_until": now.observe_until.isoformat() if now.observe_until else None,
        "diff": [line for name in sorted({*old, *now.files}) for line in _diff(name, old.get(name, ""), now.files.get(name, ""))],
    }  # fmt: skip


def _diff(name: str, old: str, new: str) -> list[str]:
    if old == new:
        return []
    if name.endswith(LOCK):
        return [
            f"{name}: {len(old)} characters before, {len(new)} now; `lockkeep catalog diff` tells it in words"
        ]
    return list(
        difflib.unified_diff(old.splitlines(), new.splitlines(), f"{name} (before)", name, lineterm="")
    )


# -- what was said ----------------------------------------------------------------------------------------------


def _own(record: Entry) -> bool:
    return record["type"] == "approval.refused" and str(record.get("reason", "")).startswith(OWN)


def _said(tx: Tx, record: Entry) -> dict[str, Json]:
    """A record without its links, with the tool and the requester of its call."""
    kept = {name: value for name, value in record.items() if name not in ("v", "prev", "verdicts", "args")}
    row = tx.one("call_get", id=record["call"]) if record.get("call") else None
    if row is not None:
        kept |= {
            "tool": row["tool"],
            "requester": row["user"],
            "agent": row["agent"],
            "policy": row["generation"],
        }
    return {name: value for name, value in kept.items() if value is not None}


# -- as text ----------------------------------------------------------------------------------------------------


def as_text(found: Mapping[str, Json]) -> Iterator[str]:
    """The same for people, a section a heading."""
    said: Mapping[str, Json] = found["verification"]
    yield f"Evidence from {found['period']['from']} to {found['period']['to']} (UTC)"
    yield f"The log: {'sound' if said['sound'] else 'TAMPERED WITH'}, records {said['first']} to {said['records']}, head {said['head']}"
    yield from said["gaps"]
    yield from (f"record {each['seq']}: {each['kind']}: {each['detail']}" for each in said["tampering"])
    parts = {
        "access": _access_text(found["access"]), "decisions": _lines(found["decisions"]), "refused": _refused_text(found["refused"]),
        "changes": _changes_text(found["changes"]), "operations": _lines(found["operations"]), "records": _records_text(found["records"]),
    }  # fmt: skip
    for name, title in SECTIONS.items():
        yield ""
        yield title
        yield "-" * len(title)
        yield from parts[name]


def _access_text(access: Mapping[str, Json] | None) -> Iterator[str]:
    if access is None:
        yield "No policy set was in force: everything was denied."
        return
    yield f"Policy set {access['generation']} of {access['at']}, by {access['by']}: {access['reason']}"
    if "may" not in access:
        yield "This release cannot load it any more; its text is in the JSON form."
        return
    for each in access["people"]:
        yield f"person {each['id']}: groups {', '.join(each['groups']) or 'none'}"
    for duty, groups in access["duties"].items():
        yield f"duty {duty}: {', '.join(groups)}"
    for agent, owner in access["agents"].items():
        yield f"agent {agent}: owner {owner or 'none'}"
    for each in access["may"]:
        yield f"{each['agent']} for {', '.join(each['for'])}:" + ("" if each["tools"] else " nothing")
        for tool in each["tools"]:
            asks = f", approved by {'; '.join(tool['asks'])}" if tool["asks"] else ""
            depends = f", if {'; '.join(tool['depends_on'])}" if tool["depends_on"] else ""
            limits = f", at most {'; '.join(tool['limits'])}" if tool["limits"] else ""
            yield f"  {tool['tool']} ({tool['class']}): {tool['says']}{asks}{depends}{limits}"
    for token in access["tokens"]:
        ended = f", revoked {token['revoked_at']}" if token["revoked_at"] else ""
        yield f"token {token['id']}: {token['user']}, {token['agent'] or 'own'}, made {token['at']} by {token['by']}{ended}"


def _refused_text(refused: Mapping[str, Json]) -> Iterator[str]:
    yield f"Approvals of one's own call, refused: {len(refused['own_call'])}"
    yield from _lines(refused["own_call"], empty="")
    yield f"Other refused tries: {len(refused['other'])}"
    yield from _lines(refused["other"], empty="")
    for code, number in refused["denied_calls_by_code"].items():
        yield f"calls denied, {code}: {number}"


def _changes_text(changes: Mapping[str, Json]) -> Iterator[str]:
    yield from _lines(changes["records"])
    for each in changes["policy_sets"]:
        yield f"Policy set {each['generation']}, {each['at']}, by {each['by']}: {each['reason']}"
        yield from (f"    {line}" for line in each["diff"])


def _records_text(records: Mapping[str, Json]) -> Iterator[str]:
    for name, value in records.items():
        if name != "events":
            yield f"{name.replace('_', ' ')}: {', '.join(value) if isinstance(value, list) else value}"  # pyright: ignore[reportUnknownArgumentType]
    for event, number in records["events"].items():
        yield f"{event}: {number}"


def _lines(records: Sequence[Entry], empty: str = "None.") -> Iterator[str]:
    if not records and empty:
        yield empty
    for each in records:
        about = "  ".join(
            f"{name}={_cell(value)}"
            for name, value in each.items()
            if name not in ("at", "type", "seq", "actor")
        )
        yield f"{each['at']}  {each['seq']}  {each['type']}  {about}"


def _cell(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
