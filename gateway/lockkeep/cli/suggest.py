"""`lockkeep policy suggest`: policy files drafted from recorded calls, with their tests and their replay."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from lockkeep.cli.here import utc_now
from lockkeep.cli.policy import DoesNotLoad
from lockkeep.cli.replay import Since, court, recorded, rules_of, start_of, told
from lockkeep.cli.show import AsJson, data, fail, say
from lockkeep.errors import Conflict
from lockkeep.ledger import history
from lockkeep.ledger.history import WORDS
from lockkeep.model import Allow, Json, Request, RequireApproval
from lockkeep.policy.bundle import LOCK, PolicySet, load
from lockkeep.policy.engine.lookups import LookUps, by_name
from lockkeep.policy.replay.replay import Replay, at_once
from lockkeep.policy.suggest import Draft, Sample, names, policy_text, samples, test_text, used
from lockkeep.prepare import known_of, prepare
from lockkeep.settings import from_environment
from lockkeep.store import Tx

BESIDE = ("gateway.yaml", "people.yaml", LOCK)


def suggest(
    from_calls: Annotated[bool, typer.Option("--from-calls", help="From the calls on record.")] = False,
    since: Since = "30d",
    out: Annotated[
        Path | None, typer.Option(help="Write the files there; default: print them. Nothing is overwritten.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Draft rules from recorded calls: they only observe, are full of REVIEW notes, and are not in force."""
    if not from_calls:
        fail("suggest reads the calls on record: lockkeep policy suggest --from-calls")
        raise typer.Exit(2)
    rules, begin = rules_of(from_environment().policies), start_of(since)
    with recorded() as tx:
        drafts, left = _drafts(tx, rules, begin)
        counts = _replayed(tx, rules, begin, drafts)
    files = {name: text for draft in drafts for name, text in draft.files.items()}
    if out is not None:
        _write(out, files)
    if as_json:
        written = str(out) if out is not None else None
        data({"files": files, "written": written, "left_out": dict(left), "replay": counts})
        return
    _tell(files, out, left, counts)


def _drafts(tx: Tx, rules: PolicySet, since: datetime) -> tuple[list[Draft], Counter[str]]:
    """One for each agent whose calls ran. Each loads beside the files there are, or the command ends."""
    now = utc_now()
    uses, left = used(told(history.past_calls(tx, since), history.count(tx, since)), rules)
    drafts: list[Draft] = []
    for agent, name in names(rules, uses).items():
        draft = Draft(agent, name, policy_text(name, agent, uses[agent], rules, since, now), "")
        both, alone = _loaded({**rules.files, f"{name}.yaml": draft.policy}), _alone(rules, [draft])
        found = samples(uses[agent], rules)
        tests = test_text(name, agent, found, _expected, both, alone)
        drafts.append(Draft(agent, name, draft.policy, tests))
    return drafts, left


def _alone(rules: PolicySet, drafts: list[Draft]) -> PolicySet:
    """The drafts as if they decided, with no other policy beside them."""
    others = {
        name: text for name, text in rules.files.items() if name in BESIDE or name.startswith("manifests/")
    }
    return _loaded({**others, **{f"{draft.name}.yaml": draft.enforced for draft in drafts}})


def _loaded(files: Mapping[str, str]) -> PolicySet:
    loaded, problems = load(files)
    if loaded is None:
        raise DoesNotLoad(
            "the draft does not load beside your files; nothing was written\n" + "\n".join(map(str, problems))
        )
    return loaded


def _expected(rules: PolicySet, sample: Sample) -> str:
    """What a test of this sample may expect of these rules: the words of `expect`."""
    tool, past = rules.tools[sample.past.tool], sample.past
    request = Request(
        id="call_case", tool=tool.exported, arguments=sample.arguments, user=sample.caller, agent=past.agent,
        host="policy test", at=past.decided.replace(microsecond=0),
    )  # fmt: skip
    call = prepare(request, known_of(rules, tool, past.roles))
    verdict = (
        call.unresolved
        or at_once(rules.decide(call, LookUps(given=by_name(sample.read)), telling=False)).verdict
    )
    if isinstance(verdict, Allow):
        return "allowed"
    if not isinstance(verdict, RequireApproval):
        return "denied"
    groups = {group for demand in verdict.demands for group in demand.groups}
    groups |= {"requester"} if any(demand.confirm for demand in verdict.demands) else set()
    return f"asks [{', '.join(sorted(groups))}]"


def _replayed(tx: Tx, rules: PolicySet, since: datetime, drafts: list[Draft]) -> dict[str, dict[str, int]]:
    """What the drafts alone would have said of every recorded call of their agents, by what was said then."""
    agents = {draft.agent for draft in drafts}
    calls = (past for past in history.past_calls(tx, since) if past.agent in agents)
    found: dict[str, dict[str, int]] = {was: dict.fromkeys((*WORDS, "not replayable"), 0) for was in WORDS}
    if not drafts:
        return found
    alone = _alone(rules, drafts)
    for again in Replay(alone, court()).run(calls):
        if again.past.word is not None:
            found[again.past.word][again.word or "not replayable"] += 1
    return found


def _write(folder: Path, files: Mapping[str, str]) -> None:
    """All of them, or none: a file that is there stays."""
    there = [name for name in files if (folder / name).exists()]
    if there:
        raise Conflict(
            f"{', '.join(there)} in {folder} would be overwritten; move it away, or take another --out"
        )
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)


def _tell(files: Mapping[str, str], out: Path | None, left: Counter[str], counts: Mapping[str, Json]) -> None:
    for name, text in files.items():
        say(f"Wrote {out / name}." if out is not None else f"# {name}\n{text}")
    if not files:
        say("No call ran that a rule could be drafted from.")
    for why, number in sorted(left.items()):
        say(f"Left out: {number:,} calls ({why}).")
    if not files:
        return
    total = sum(sum(of.values()) for of in counts.values())
    say(f"Replayed, as if these drafts alone decided: {total:,} calls.")
    for was, of in counts.items():
        now = ", ".join(f"{number:,} {HOW[word]}" for word, number in of.items() if number)
        if now:
            say(f"  {sum(of.values()):>7,} were {HOW[was]}: {now}")
    say("Nothing is in force. REVIEW the files, then: lockkeep policy check, test, replay, activate.")


HOW = {"allowed": "allowed", "asks": "asked", "people": "handed to people", "denied": "denied", "not replayable": "not replayable"}  # fmt: skip
