"""`lockkeep audit evidence`: a period, for an auditor."""

from collections.abc import Iterator

from lockkeep.cli import periods
from lockkeep.cli.audit import records, verified
from lockkeep.cli.here import here, utc_now
from lockkeep.cli.progress import counted
from lockkeep.cli.show import AsJson, data, say
from lockkeep.evidence import Period, as_text
from lockkeep.evidence import evidence as evidence_of
from lockkeep.heads import outside
from lockkeep.ledger import exports, heads
from lockkeep.model import stamp
from lockkeep.sinks import sinks_of
from lockkeep.store import Store
from lockkeep.upstream.visible import visible


def evidence(since: periods.From = None, until: periods.To = None, as_json: AsJson = False) -> None:
    """Who may, who approved, who was refused, what was changed and stopped, and whether the log is whole."""
    with here() as place:
        read = place.store.read
        begin, end = periods.begin(since), min(periods.end(until), stamp(utc_now()))
        marks = [head.mark for head in heads.kept(read)]
        whole = verified(place.store, marks)
        first, last = exports.span(read, begin, end)
        texts = counted(_texts(place.store, first, last), "reading records", last - first + 1)
        more = {
            "retention_days": place.settings.retention_days,
            "heads_outside": outside(place.store, sinks_of(place.settings)) or ["none configured"],
        }
        found = evidence_of(read, texts, Period(begin=begin, end=end), whole, more)
        if as_json:
            data(found)
            return
        for line in as_text(found):
            say(visible(line))


def _texts(store: Store, first: int, last: int) -> Iterator[str]:
    for seq, _, text in records(store, first):
        if seq is not None and seq > last:
            return
        yield text
