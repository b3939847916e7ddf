"""The chain read back: whether it is whole, and if not, what was done to it and where.

Records that follow each other as they must are one run. A whole log is one run; what was done to any other
shows in how its runs fit: a number missing, a number twice, a text that the next record was not chained to.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lockkeep.model import Json

GENESIS = "0" * 64
RESTORED, PRUNED = "ledger.restored", "log.pruned"
Record = tuple[int | None, str, str]  # its row's number (None: there are only lines), its hash, its bytes


@dataclass(frozen=True, slots=True)
class Tampering:
    """Where the chain fails, and how."""

    seq: int
    kind: str
    detail: str


@dataclass(frozen=True, slots=True)
class Mark:
    """What somebody outside knows of the log: so many records, of which the last has this hash."""

    size: int
    hash: str
    at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What a walk along the whole chain came to."""

    tampering: tuple[Tampering, ...]
    gaps: tuple[str, ...]  # what the log itself declares: records pruned, or lost by a restore
    first: int
    last: int
    head: str


@dataclass(slots=True)
class Run:
    """Records that follow each other. `first` is None where the only one names no number that can be meant."""

    first: int | None
    prev: str
    last: int
    hash: str

    def leads_to(self, own: int, prev: str) -> bool:
        return self.first is not None and own == self.last + 1 and prev == self.hash

    @property
    def length(self) -> int:
        return 1 if self.first is None else self.last - self.first + 1


def line(record: Mapping[str, Json]) -> str:
    """Sorted, compact JSON; without floats that is RFC 8785, and an order of magnitude faster."""
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def hashed(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def verify(records: Iterable[Record], marks: Sequence[Mark] = ()) -> list[Tampering]:
    """What was done to these records, the first place first. Empty is good."""
    return list(walked(records, marks).tampering)


def walked(records: Iterable[Record], marks: Sequence[Mark] = (), *, part: bool = False) -> Verified:
    """Walk along the records once. `part`: they are a part of a log, so nothing before or after them is missed."""
    walk = Walk({mark.size for mark in marks})
    for seq, stored, text in records:
        walk.step(seq, stored, text)
    start, gaps = _start(walk, part)
    faults = _Faults(walk.runs, *start)
    found = [*walk.edited, *faults.found]
    if not found and walk.renumbered:
        found = [
            Tampering(seq, "reordered", f"the record there calls itself {own}")
            for seq, own in walk.renumbered
        ]
    outside, restored = _outside(walk, marks, faults.last, {each.seq for each in found}, part)
    return Verified(
        tampering=tuple(sorted([*found, *outside], key=lambda each: (each.seq, each.kind))),
        gaps=(*gaps, *restored),
        first=start[0],
        last=faults.last,
        head=faults.tip,
    )


@dataclass
class Walk:
    """What is kept of a log while it goes by: next to nothing, unless it is broken."""

    wanted: set[int]  # sizes whose hash somebody outside knows
    runs: list[Run] = field(default_factory=list[Run])
    edited: list[Tampering] = field(default_factory=list[Tampering])
    renumbered: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    hashes: dict[int, set[str]] = field(default_factory=dict[int, set[str]])
    declared: list[Mapping[str, Json]] = field(default_factory=list[Mapping[str, Json]])

    def step(self, seq: int | None, stored: str, text: str) -> None:
        run = self.runs[-1] if self.runs else None
        if hashed(text) != stored:
            place = seq if seq is not None else run.last + 1 if run else 1
            self.edited.append(Tampering(place, "edited", "the record does not have its hash"))
            own, prev = place, run.hash if run else GENESIS
        else:
            own, prev = self._said(text)
        if own is not None and own in self.wanted:
            self.hashes.setdefault(own, set()).add(stored)
        if seq is not None and own is not None and seq != own and len(self.renumbered) < 100:
            self.renumbered.append((seq, own))
        if own is not None and run is not None and run.leads_to(own, prev):
            run.last, run.hash = own, stored
        elif own is None or (run is not None and own != run.last + 1 and prev == run.hash):
            self.runs.append(Run(None, prev, run.last if run else 0, stored))  # no number that can be meant
        else:
            self.runs.append(Run(own, prev, own, stored))

    def _said(self, text: str) -> tuple[int | None, str]:
        """The number a record gives itself, and the hash it is chained to."""
        try:
            record: dict[str, Json] = json.loads(text)
            own, prev = record["seq"], record["prev"]
            if record["type"] in (RESTORED, PRUNED):
                self.declared.append(record)
        except (ValueError, LookupError, TypeError):
            return None, ""
        return (own if isinstance(own, int) else None), str(prev)


class _Faults:
    """Puts the runs of a log one behind the other as they were written, and names what keeps them from fitting."""

    def __init__(self, runs: Sequence[Run], first: int, prev: str) -> None:
        self.found: list[Tampering] = []
        self.last, self.tip = first - 1, prev
        self._runs = runs
        self._strange = [place for place, run in enumerate(runs) if run.first is None]
        self._left = {place for place, run in enumerate(runs) if run.first is not None}
        self._chain: list[int] = []  # places of the runs, in the order of the chain
        self._walk()
        for place in self._strange:
            seq, why = runs[place].last + 1, "this is no record of the log"
            at_the_end = place == len(runs) - 1
            self.found.append(
                Tampering(seq, "edited", why) if at_the_end else Tampering(seq, "inserted", why)
            )
        self.found += self._moved()

    def _walk(self) -> None:
        following = dict[tuple[int | None, str], list[int]]()
        for place in self._left:
            following.setdefault((self._runs[place].first, self._runs[place].prev), []).append(place)
        ordered = iter(sorted(self._left, key=lambda place: (self._runs[place].first or 0, place)))
        while self._left:
            fits = [place for place in following.get((self.last + 1, self.tip), ()) if place in self._left]
            if fits:
                self._go_on(max(fits, key=lambda place: self._runs[place].length))
            elif (place := next(ordered, None)) is not None and place in self._left:
                self._misfit(place)

    def _go_on(self, place: int) -> None:
        self._left.discard(place)
        self._chain.append(place)
        self.last, self.tip = self._runs[place].last, self._runs[place].hash

    def _misfit(self, place: int) -> None:
        run, first = self._runs[place], self._runs[place].first or 0
        if first <= self.last:
            self._left.discard(place)
            self._twice(run, first)
            return
        if first == self.last + 1:
            why = f"record {first} was chained to another text of it"
            self.found.append(Tampering(max(self.last, 1), "edited", why))
        elif first == self.last + 2 and (strange := self._strange_before(place)) is not None:
            self._strange.remove(strange)
            self.found.append(Tampering(first - 1, "edited", "this is no record of the log"))
        else:
            gone = f"{self.last + 1}" if first == self.last + 2 else f"{self.last + 1} to {first - 1}"
            self.found.append(Tampering(self.last + 1, "deleted", f"missing: {gone}"))
        self._go_on(place)

    def _twice(self, run: Run, first: int) -> None:
        """Numbers that stand twice: one record more is an insertion, two ways to go on are a fork."""
        shorter = min(run.length, self.last - first + 1)
        if shorter == 1:
            self.found.append(Tampering(first, "inserted", f"two records call themselves {first}"))
        else:
            why = f"from here on there are two logs; the shorter one has {shorter} records"
            self.found.append(Tampering(first, "forked", why))
        if run.last > self.last:
            self.last, self.tip = run.last, run.hash

    def _strange_before(self, place: int) -> int | None:
        return place - 1 if place - 1 in self._strange else None

    def _moved(self) -> Iterator[Tampering]:
        """Runs that fit, but stand elsewhere in the file than in the chain."""
        highest, begin = -1, 0
        ranks = {place: rank for rank, place in enumerate(sorted(self._chain))}
        for index, place in enumerate(self._chain):
            highest = max(highest, ranks[place])
            if highest == index:  # everything up to here stands within its own places
                if begin != index:
                    first, last = self._runs[self._chain[begin]].first or 0, self._runs[place].last
                    yield Tampering(first, "reordered", f"records {first} to {last} changed places")
                begin = index + 1


def _start(walk: Walk, part: bool) -> tuple[tuple[int, str], list[str]]:
    """The number and the hash the log begins after: its very first record, or what it says was pruned."""
    begins = [run for run in walk.runs if run.first is not None]
    first = min(begins, key=lambda run: run.first or 0, default=None)
    if first is None or first.first is None or first.first <= 1:
        return (1, GENESIS), []
    before = (first.first - 1, first.prev)
    for record in walk.declared:
        if record["type"] == PRUNED and (record.get("upto"), record.get("hash")) == before:
            gap = f"declared gap: records 1 to {before[0]} were pruned at {record.get('at')} by {record.get('by')}"
            return (first.first, first.prev), [gap]
    return ((first.first, first.prev) if part else (1, GENESIS)), []


def _outside(
    walk: Walk, marks: Sequence[Mark], last: int, known: set[int], part: bool
) -> tuple[list[Tampering], list[str]]:
    """What those outside know, against the log. What a restore declared as lost is a gap, and no tampering."""
    fits = {mark for mark in marks if mark.hash in walk.hashes.get(mark.size, ())}
    differ = [
        mark
        for mark in sorted(set(marks) - fits, key=lambda mark: (mark.size, mark.at))
        if mark.size in walk.hashes and mark.size not in known
    ]
    beyond = [mark for mark in marks if mark.size > last and not part]
    gaps = list(dict.fromkeys(gap for mark in (*differ, *beyond) if (gap := _lost(walk, mark))))
    found: list[Tampering] = []
    for mark in differ:
        if _lost(walk, mark):
            continue
        if any(other.size >= mark.size for other in fits):
            why = "a later head fits, this one does not: two logs were signed"
            found.append(Tampering(mark.size, "forked", why))
        elif not any(each.kind == "recomputed" for each in found):
            good = max((other.size for other in fits if other.size < mark.size), default=0)
            why = f"of the records {good + 1} to {mark.size} some were written anew: the head outside is another one"
            found.append(Tampering(mark.size, "recomputed", why))
    if missed := [mark.size for mark in beyond if not _lost(walk, mark)]:
        why = f"the head that left the machine covers {max(missed)} records"
        found.append(Tampering(last + 1, "truncated", why))
    return found, gaps


def _lost(walk: Walk, mark: Mark) -> str | None:
    """The sentence about a restore after which this head need not fit any more."""
    for record in walk.declared:
        if record["type"] == RESTORED and mark.size > int(record.get("size", 0)) and mark.at < record["at"]:
            return (
                f"declared gap: restored at {record['at']} by {record.get('by')} from a backup with "
                f"{record.get('size')} records; what was recorded after those is lost"
            )
    return None
