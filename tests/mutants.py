"""Every guard, switched off on purpose, must turn a test red: `make mutants`. Works on a copy of the tree."""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
WIRE, UNIT = "tests/wire/", "unit/policies/"


@dataclass(frozen=True)
class Mutant:
    """A guard (named by its promise), the text that makes it, what it becomes, and the tests that must see it.

    The tests are a file of tests/wire or, with a folder, of tests; options of pytest may follow.
    """

    promise: str
    file: str
    old: str
    new: str
    tests: str


MUTANTS = (
    Mutant("P1 policy gate", "policy/engine/engine.py", "if not open_allows and not allowed:\n        return not_allowed(course)",
           "if not open_allows and not allowed:\n        return combined(course)", "test_life_of_a_call.py"),
    Mutant("P1 people before ask", "policy/engine/combining.py", "    if hands:\n", "    if False:\n", "test_handed_to_people.py"),
    Mutant("P1 observing decides nothing", "policy/engine/index.py", 'if rule.mode == "enforce"]', 'if rule.mode != "off"]', "test_hours_and_modes.py"),
    Mutant("P1 hours", "policy/engine/engine.py", "if all(hours.hold(local) for hours in rule.hours):", "if True:", "test_hours_and_modes.py"),
    Mutant("P1 the last day", "policy/engine/engine.py", "local.date() > rule.until", "False", "test_hours_and_modes.py"),
    Mutant("P1 first days: money", "policy/engine/course.py", "call.risk not in OBSERVED", "False", "test_first_days.py"),
    Mutant("P1 first days end", "policy/engine/course.py", "return call.at.astimezone(self.zone).date() <= self.observe_until",
           "return True", "test_first_days.py"),
    Mutant("P1 rules of an operation", "policy/engine/index.py", "rule.operation in (None, operation)", "True", "test_operations.py"),
    Mutant("P2 sums", "ledger/limits.py", 'row["taken"] + share.units > share.most', 'row["taken"] >= share.most', "test_limits_summed.py"),
    Mutant("P2 a full limit that asks", "ledger/limits.py", "return MOVED if share.soft else", "return None if share.soft else", "test_limits_summed.py"),
    Mutant("P3 what is cut is judged again", "gates/policy.py", "decision = await decide(cut, changes=False)", "pass", "test_changes.py"),
    Mutant("P3 facts that moved", "policy/engine/engine.py", "hexdigest() if facts else plan.digest", "hexdigest() if False else plan.digest", "test_asking.py"),
    Mutant("P4 whose account it is", "policy/engine/combining.py", 'f"{someone.integration}:{value}"', "value", "test_asking.py"),
    Mutant("P4 a yes without words", "ledger/approvals.py", 'if decision == "deny" or reason.strip() or', "if True or", "test_asking.py"),
    Mutant("P6 result rules on every answer", "showing.py", "found = self._ruled_by(current, outcome)", "found = results.Seen(outcome.result)", "test_result_rules.py"),
    Mutant("P4 Slack signs", "notify/slack.py", "if not is_signed(secret, body, stamp, signature, now):", "if False:", "test_told_in_slack.py"),
    Mutant("P4 Slack signs freshly", "notify/slackpress.py", "abs(now.timestamp() - int(stamp)) > FRESH_S", "False", "test_told_in_slack.py"),
    Mutant("P4 whose Slack account", "notify/votes.py", "    if not known:\n", "    if False:\n", "test_told_in_slack.py"),
    Mutant("P4 the workspace it is from", "notify/slackpress.py", "foreign=own != here", "foreign=False", "test_told_in_slack.py"),
    Mutant("P4 up to what Slack decides", "notify/votes.py", "why = why_link_only(tx, row, shown)", 'why = ""', "test_told_in_slack.py"),
    Mutant("P3 what the button showed", "notify/votes.py", "shown=value[1]", 'shown=row["bound"]', "test_told_in_slack.py"),
    Mutant("P2 one envelope, one vote", "notify/votes.py", "if not outbox.first_time(tx, press.envelope, now):", "if False:", "test_told_over_sockets.py"),
    Mutant("P2 confirmed after it counts", "notify/sockets.py", "self._portal.call(self._heard,", "self._portal.start_task_soon(self._heard,", "test_told_over_sockets.py"),
    Mutant("P3 nothing links", "notify/plain.py", 'return DOT.sub("[.]", text.replace("://", "[:]//"))', "return text", "test_hostile_cards.py"),
    Mutant("P3 nothing pings", "notify/slackcard.py", "return text.translate(ESCAPES)", "return text", "test_hostile_cards.py"),
    Mutant("P3 alphabets told apart", "cards/quoted.py", "if len(found) > 1 and", "if len(found) > 9 and", "test_hostile_cards.py"),
    Mutant("P3 what is cut has no button", "notify/notices.py", "shown.cut or too_large(shown)", "False", "test_hostile_cards.py"),
    Mutant("P5 a look after reading what stands", "waysback.py", "if halted := self.ledger.halted(claim):", "if halted := None:",
           "test_stops_in_numbers.py -k state_before"),
    Mutant("P1 a name once", "surface/named.py", "if len({name for name, _ in pairs}) != len(pairs):", "if False:", "test_known_attacks.py -k two_readers"),
    Mutant("P4 forms of other pages", "surface/console.py", 'return foreign or site not in (None, "same-origin", "none")', "return False",
           "test_known_attacks.py -k foreign_host"),
    Mutant("P12 two groups", "cli/activation.py", "if two or len(groups) > 1:", "if False:", "test_activation.py"),
    Mutant("P12 the second is another", "cli/activation.py", "if by == wanted.by:", "if False:", "test_activation.py"),
    Mutant("P1 arguments gate", "pipeline.py", '"switch", "arguments", "policy"', '"switch", "policy"', "test_life_of_a_call.py"),
    Mutant("P1 service tools", "app.py", "if tool is not None and not tool.offered", "if False and not tool.offered", "test_life_of_a_call.py"),
    Mutant("P1 claim on record", "ledger/claims.py", '"call.claimed"', '"call.settled"', "test_life_of_a_call.py"),
    Mutant("P2 repeats", "ledger/calls.py", "    if call.reads:\n        return None", "    return None", "test_once.py"),
    Mutant(
        "P2 repeats inside the claim", "ledger/claims.py",
        "        if call.agreed is None and (known := _repeated(tx, call)):\n            return self._deny(tx, call, known, findings) if isinstance(known, Deny) else known\n        if call.agreed is not None and not _parked(tx, call):\n            return self._as_recorded(tx, call)\n        if no := _doubt",
        "        if no := _doubt", "test_once.py",
    ),
    Mutant("P2 own task", "pipeline.py", "await self.in_own_task(partial(self._execute, call, verdict.arguments, findings))",
           "await self._execute(call, verdict.arguments, findings)", "test_once.py"),
    Mutant("P2 doubt closes the subject", "ledger/claims.py", "if call.reads or call.subject is None:", "if True:", "test_once.py"),
    Mutant("P2 start-up sweep", "app.py", "await ledger.sweep(start=True)", "pass", "test_once.py"),
    Mutant("P2 one gateway", "store/folder.py", "fcntl.LOCK_EX | fcntl.LOCK_NB", "fcntl.LOCK_SH | fcntl.LOCK_NB", "test_once.py"),
    Mutant("P3 bound", "gates/approval.py", 'same = row is not None and row["bound"] ==', 'same = row is not None or row["bound"] ==', "test_approvals.py"),
    Mutant("P3 bound holds the rules", "ledger/digests.py", '"rules": rules,', '"rules": "",', "test_approvals.py"),
    Mutant("P3 bound holds the pin", "ledger/digests.py", '"pin": call.pin,', '"pin": "",', "test_approvals.py"),
    Mutant("P3 vote over what was shown", "ledger/approvals.py", 'if len(shown) < 12 or not row["bound"].startswith(shown):', "if False:", "test_approvals.py"),
    Mutant("P3 gates again after the vote", "gates/approval.py", "and not approvals.waits_for(store.read, row, people, call.at, owner)", "", "test_approvals.py"),
    Mutant("P4 own call", "ledger/approvals.py", 'if person.id in (row["requester"], owner):', "if False:", "test_approvals.py"),
    Mutant("P4 one place each", "ledger/approvals.py", "if whose not in taken or fill(taken[whose], tried):", "if True:", "test_approvals.py"),
    Mutant("P4 agents have no vote", "ledger/approvals.py", "if person is None:\n        return Refusal(", "if False:\n        return Refusal(", "test_approvals.py"),
    Mutant("P5 switch gate and claim", "ledger/switches.py", "return min(found, key=lambda switch: switch.mode != \"kill\", default=None)", "return None", "test_switches.py"),
    Mutant("P5 claim reads switches", "ledger/claims.py", "if stop is not None:", "if False:", "test_switches.py"),
    Mutant("P5 right before the send", "pipeline.py", "self.ledger.halted(claim) or await", "await", "test_switches.py"),
    Mutant("P5 parked calls are cancelled", "ledger/switches.py", "_cancel_parked(tx, switch, now)", "pass", "test_switches.py"),
    Mutant("P5 a second person lifts", "ledger/switches.py", "if not self_allowed and any(switch.by == by for switch in found):", "if False:", "test_switches.py"),
    Mutant("P5 queues are held", "queues.py", 'return None if told else "holding"', "return None", "test_queues.py"),
    Mutant("P5 before kill returns", "rounds.py", "            await self.hold_queues()\n", "", "test_queues.py"),
    Mutant("P5 a queue shows that it is held", "queues.py", "if not queue.shows(tool, said, answer):", "if False:", "test_queues_heard.py"),
    Mutant("P5 one back end, two integrations", "queues.py", "if own and each.address == own.address]", "if False]", "test_queues_heard.py"),
    Mutant("P6 a failing gate", "gates/__init__.py", "    except Exception:\n", "    except ZeroDivisionError:\n", "test_fails_closed.py"),
    Mutant("P6 a failing look-up", "policy/engine/combining.py", "for rule, error in sorted(course.errors,", "for rule, error in sorted([],", "test_fails_closed.py"),
    Mutant("P6 a changed tool", "gates/arguments.py", "if changed is not None:", "if False:", "test_fails_closed.py"),
    Mutant("P6 no token", "ledger/callers.py", "AND revoked_at IS NULL", "", "test_address.py"),
    Mutant("P7 chain", "ledger/audit.py", '"prev": prev', '"prev": GENESIS', "test_once.py"),
    Mutant("P7 a head's signature", "ledger/heads.py", "except (InvalidSignature, ValueError):\n            return False",
           "except (InvalidSignature, ValueError):\n            return True", "test_audit_heads.py"),
    Mutant("P7 a head that differs", "ledger/chain.py", "if mark.size in walk.hashes and mark.size not in known", "if False", "unit/ledger/test_audit.py"),
    Mutant("P7 a log too short for its head", "ledger/chain.py", "if mark.size > last and not part]", "if False]", "unit/ledger/test_audit.py"),
    Mutant("P7 what was pruned is declared", "ledger/chain.py", 'record["type"] == PRUNED and (record.get("upto"), record.get("hash")) == before',
           'record["type"] == PRUNED', "unit/ledger/test_audit.py"),
    Mutant("P7 heads that are due", "heads.py", "heads.due(read, key.public.installation, now)", "False", "test_audit_heads.py"),
    Mutant("P7 a backup's digests", "ledger/backups.py", "if not path.is_file() or digest(path) != wanted:", "if False:", "crash/test_backup.py -m 'not full'"),
    Mutant("P7 whose backup it is", "cli/backup.py", "if ours and theirs and ours != theirs:", "if False:", "crash/test_backup.py -m 'not full'"),
    Mutant("P2 restored approvals are void", "ledger/restoring.py", "voided=_void_approvals(tx, now)", "voided=()", "crash/test_backup.py -m 'not full'"),
    Mutant("P2 half a restore", "store/folder.py", "if (folder / HALF_RESTORED).exists():", "if False:", "crash/test_backup.py -m 'not full'"),
    Mutant("P10 secrets in records", "ledger/audit.py", "value if name in OURS else redaction.texts(value)", "value", "test_audit_secrets.py"),
    Mutant("P9 undo: the window", "undoing.py", "if record.until is not None and record.until < self.ledger.clock():", "if False:", "test_undo.py -k window"),
    Mutant("P9 undo: who", "policy/engine/granting.py", "if undo.who and not undo.who & roles:", "if False:", "test_undo_gates.py -k who"),
    Mutant("P9 undo: within", "policy/engine/granting.py", "if undo.within is not None and now >", "if False and now >", "test_undo_gates.py -k within"),
    Mutant("P9 undo: the duty", "policy/engine/granting.py", "if not speaking and not people.may(person, DUTY):", "if False:", "test_undo_gates.py -k duty"),
    Mutant("P9 undo: conflict by values", "undoing.py", "if differs := _differs(said, record):", "if False:", "test_undo.py -k between_two"),
    Mutant("P9 undo: what cannot be told", "undoing.py", "if moved and not proven and not _tells_all(said, record):", "if False:", "test_undo.py -k hides"),
    Mutant("P9 undo: conflict where nothing is answered", "undoing.py", "if why := await self._changed(row, record):", "if False:", "test_undo_images.py -k overwritten"),
    Mutant("P9 undo: a state before that nobody read", "policy/rules/undoing.py", 'if is_object(entry.get("before")) and before is None:', "if False:", "test_undo_images.py -k cannot_be_read"),
    Mutant("P9 undo: the read-back", "undoing.py", "unlike = _other(record.before, await self._now(was))", 'unlike = ""', "test_undo_images.py -k believed"),
    Mutant("P9 undo: what the answer shows", "undoing.py", "unlike = _unlike(said, record)", 'unlike = ""', "test_undo_images.py -k admits"),
    Mutant("P9 undo: once a call", "undoing.py", 'if row is None or row["state"] != "succeeded":', "if row is None:", "test_undo.py -k whoever"),
    Mutant("P9 undo: one that is not known", "undoing.py", 'tried["state"] in ("executing", "unknown", "needs_human")', "False", "test_undo_stops.py -k nobody_knows"),
    Mutant("P9 undo: it stops", "undoing.py", "        if not plan.skip:\n            await self._end", "        if False:\n            await self._end", "test_undo_stops.py -k skip"),
    Mutant("P9 undo: an unknown stops, too", "undoing.py", 'await self._ended(plan, step, "unknown", why)\n                    await self._end(plan, "stopped")',
           'await self._ended(plan, step, "unknown", why)', "test_undo_stops.py -k nobody_knows"),
    Mutant("P9 undo: lost on its way", "undoing.py", 'row["state"] == "not_applied" and tries is not None', "False and tries is not None", "crash/test_undo_kills.py -k 'twenty_times and claimed-1-0'"),
    Mutant("P9 undo: the same call after a crash", "undoing.py", 'begun = read.one("call_get", id=step.undo) if step.undo else None', "begun = None", "crash/test_undo_kills.py -k 'twenty_times and claimed-1-0'"),
    Mutant("P9 undo: a look is never old", "undoing.py", 'if ahead.says not in GOOD or record is None', "if record is None", "test_undo_plans.py -k yesterday"),
    Mutant("P9 undo: under a stop", "ledger/switches.py", "and switch.undo_allowed_by is not None:", ":", "test_undo_gates.py -k switch"),
    Mutant("P5 undo: a stop stays one for others", "ledger/switches.py", "call.undo_of is not None and switch", "switch", "test_undo_gates.py -k leave"),
    Mutant("P4 undo: people agree", "policy/engine/granting.py", "for each in speaking if each.asked is not None]", "for each in () if each.asked is not None]", "test_undo_gates.py -k themselves"),
    Mutant("P9 undo: an end that is no time", "policy/rules/undoing.py", "if found.tzinfo is not None:", "if True:", "test_undo_odd.py -k zone"),
    Mutant("P9 undo: neither yes nor no", "policy/rules/undoing.py", 'possible in (None, "yes", "until")', 'possible != "no"', "test_undo_odd.py -k neither"),
    Mutant("P9 undo: whose plan it is", "ledger/undo.py", 'if row is None or row["person"] != by:', "if row is None:", "test_undo_plans.py -k another_person"),
    Mutant("P12 rules at the claim", "ledger/claims.py", 'newest["id"] != basis.generation', "False", "test_fails_closed.py"),
    Mutant("P12 whole set", "policy/bundle.py", "return (None, sorted(problems.found", "return (loaded, sorted(problems.found", "test_fails_closed.py"),
)  # fmt: skip


APPROVALS = (
    # who may decide, what an edit is, and what ends a yes
    Mutant("P4 stand-ins of those who may not", "ledger/approvals.py", "if person.id in _never(tx, row, now, owner):", "if False:", "test_own_approval.py -k stand_in"),
    Mutant("P4 an editor", "ledger/approvals.py", 'return found | ({row["editor"]} if row["editor"] else set[str]())', "return set[str]()", "test_own_approval.py -k editor"),
    Mutant("P4 every editor of the chain", "ledger/approvals.py", 'found: set[str] = {each["editor"] for each in tx.all("editors_of", call=row["call"])}', "found = set[str]()", "test_own_approval.py -k editor"),
    Mutant("P4 who may no longer, at the claim", "gates/approval.py", "people, call.at, owner)", "people, call.at)", "test_moved_after_the_vote.py -k owner"),
    Mutant("P4 what a yes counts for, as of now", "ledger/approvals.py", 'and each["person"] not in never', "", "unit/ledger/test_seats.py"),
    Mutant("P4 no chain", "ledger/delegations.py", "else lender.own)", "else lender.own) | {each for row2 in tx.all(\"delegations_now\", now=stamp(now)) if row2[\"stand_in\"] == lender.id for each in people[row2[\"who\"]].own}", "unit/ledger/test_seats.py"),
    Mutant("P4 no more than one has", "ledger/delegations.py", "if foreign := sorted(set(groups) - who.groups):", "if foreign := list[str]():", "unit/ledger/test_seats.py"),
    Mutant("P4 in its time", "ledger/delegations.py", 'tx.all("delegations_now", now=stamp(now)):', 'tx.all("delegations_list", count=99):', "unit/ledger/test_seats.py"),
    Mutant("P4 one seat, one place", "ledger/approvals.py", "return [(person.id, person.own), *sorted(person.lent.items())]", 'return [(person.id, person.own), *((f"{whose} by {person.id}", seat) for whose, seat in person.lent.items())]', "unit/ledger/test_seats.py"),
    Mutant("P3 an edit of named fields only", "ledger/edits.py", "if foreign := sorted(set(changes) - names):", "if foreign := list[str]():", "test_approvals_in_full.py"),
    Mutant("P3 an edit every rule allows", "ledger/edits.py", "all(name in each for each in named)", "any(name in each for each in named)", "test_edits.py -k every_rule"),
    Mutant("P2 the old call ends before the new one", "ledger/edits.py", "    _supersede(tx, row, said, now)\n", "", "test_edits.py"),
    Mutant("P3 an undo runs as planned", "ledger/edits.py", "or _planned(call)", "or None", "test_edits.py -k takes_another"),
    Mutant("P6 an edit decided later", "rounds.py", "if outcome is not None and own is None:\n                return", "if False:\n                return", "test_edits.py -k for_now"),
    Mutant("P3 a yes taken back ends it", "ledger/approvals.py", 'if row["state"] == "approved":\n        return _revoked', 'if False:\n        return _revoked', "test_approvals_in_full.py -k taken_back"),
    Mutant("P3 consume what is bound", "store/approvals.sql", "AND state = 'approved' AND bound = :bound AND use_by > :now", "AND use_by > :now", "unit/ledger/test_quorum.py"),
    Mutant("P3 consume in time", "store/approvals.sql", "AND use_by > :now", "", "unit/ledger/test_time_to_decide.py"),
    Mutant("P3 vote in time", "ledger/approvals.py", 'if now >= moment(row["use_by"] or row["expires_at"]):', "if False:", "unit/ledger/test_time_to_decide.py"),
    Mutant("P6 a gate that says no verdict", "gates/__init__.py", "raise TypeError(type(verdict).__name__)", "pass", "test_broken_gates.py"),
    Mutant("P6 a gate that hangs", "gates/__init__.py", "with anyio.fail_after(LIMIT):", "with anyio.fail_after(None):", "test_broken_gates.py -k switch"),
)  # fmt: skip


CLAUSES = (
    # what the language of policies promises, clause by clause: its files, its names and types, how a decision is made
    Mutant("P1 file: agents it applies to", "policy/rules/rule.py", "(not self.agents or agent in self.agents) and (", "True and (", UNIT + "test_engine.py"),
    Mutant("P12 file: a pattern without a tool", "policy/rules/compile.py", "if not matches and not self._to_come(pattern):", "if False:", UNIT + "test_broken.py"),
    Mutant("P1 file: a glob stays in its integration", "policy/rules/compile.py", "return like(tool.name, pattern) and integration == tool.integration", "return like(tool.server_name, rest)", UNIT + "test_clauses.py"),
    Mutant("P1 file: @read are tools that read", "policy/rules/compile.py", "return tool.integration == integration and tool.reads", "return tool.integration == integration", UNIT + "test_clauses.py"),
    Mutant("P1 file: @read only allows", "policy/rules/compile.py", 'if pattern.endswith("@read") and (more', "if False and (more", UNIT + "test_clauses.py"),
    Mutant("P1 file: blocks add up", "policy/rules/rule.py", "self.rules + other.rules,", "other.rules or self.rules,", UNIT + "test_engine.py"),
    Mutant("P1 allow: every key given", "policy/rules/rule.py", "and (not self.users or user in self.users)", "", UNIT + "test_engine.py"),
    Mutant("P1 allow: never from arguments", "policy/rules/compile.py", "if self._speaks_of_arguments(text, scope):", "if False:", UNIT + "test_clauses.py"),
    Mutant("P1 entry: every when", "policy/conditions/generate.py", "return {' and '.join(parts) or 'True'}", "return {' or '.join(parts) or 'True'}", UNIT + "test_clauses.py"),
    Mutant("P1 entry: every when, told", "policy/engine/engine.py", "for place, run in enumerate(when):", "for place, run in enumerate(when[:1]):", UNIT + "test_clauses.py"),
    Mutant("P1 entry: unless is what must hold", "policy/conditions/generate.py", "[f\"not ({' and '.join(not_all)})\"]", "[f\"not ({' or '.join(not_all)})\"]", UNIT + "test_clauses.py"),
    Mutant("P1 entry: unless, told", "policy/engine/engine.py", "for place, run in enumerate(step.unless):", "for place, run in enumerate(step.unless[:1]):", UNIT + "test_clauses.py"),
    Mutant("P1 entry: a deny says when", "policy/files/entries.py", 'if not any(inner.get(key) for key in ("when", "unless", "hours")):', "if False:", UNIT + "test_broken.py"),
    Mutant("P1 hours: not", "policy/hours.py", "(today or yesterday) != self.outside", "(today or yesterday)", UNIT + "test_hours.py"),
    Mutant("P1 hours: past midnight", "policy/hours.py", "yesterday = passes_midnight and", "yesterday = False and", UNIT + "test_hours.py"),
    Mutant("P1 hours: any of a list", "policy/hours.py", "or any(window.holds", "or all(window.holds", UNIT + "test_hours.py"),
    Mutant("P1 hours: the gateway's zone", "policy/engine/course.py", "return self.call.at.astimezone(self.room.zone)", "return self.call.at", UNIT + "test_clauses.py"),
    Mutant("P1 mode: the weakest", "policy/files/forms.py", "MODES[max(", "MODES[min(", UNIT + "test_clauses.py"),
    Mutant("P1 until: the first", "policy/files/forms.py", "until=min(ends, default=None)", "until=max(ends, default=None)", UNIT + "test_clauses.py"),
    Mutant("P2 limit: calendar weeks", "policy/windows.py", "start -= timedelta(days=start.weekday())", "start -= timedelta(days=6)", UNIT + "test_windows.py"),
    Mutant("P2 limit: the gateway's days", "policy/windows.py", "start = now.astimezone(zone).replace", "start = now.replace", UNIT + "test_windows.py"),
    Mutant("P2 limit: for each key", "policy/engine/combining.py", "key=_joined((*keys, currency) if currency else tuple(keys))", 'key=""', UNIT + "test_clauses.py"),
    Mutant("P2 limit: another currency", "policy/engine/combining.py", "if cap.currency != value.currency:", "if False:", UNIT + "test_clauses.py"),
    Mutant("P2 limit: nothing is given back", "policy/engine/combining.py", "max(0, runtime.rounded(value.minor))", "runtime.rounded(value.minor)", UNIT + "test_clauses.py"),
    Mutant("P2 limit: full for people", "policy/engine/combining.py", "hands += [rule] if full and rule.counted.to else []", "hands += []", UNIT + "test_clauses.py"),
    Mutant("P2 limit: full for who is asked", "policy/engine/combining.py", "demands += [_demand(rule, rule.counted.full, course)] if full", "demands += [_demand(rule, rule.counted.full, course)] if False", UNIT + "test_clauses.py"),
    Mutant("P2 limit: a call alone over it", "ledger/limits.py", "if share.units > share.most:", "if False:", "test_denial_codes.py -k policy.limit"),
    Mutant("P2 limit: given back when nothing happened", "ledger/claims.py", '        if answer.state == "failed":\n            limits.give_back', '        if False:\n            limits.give_back', "test_limits_given_back.py"),
    Mutant("P2 limit: used while nobody knows", "ledger/claims.py", '        if answer.state == "failed":\n            limits.give_back', '        if answer.state != "succeeded":\n            limits.give_back', "test_limits_given_back.py"),
    Mutant("P2 limit: given back when people say no", "ledger/approvals.py", 'limits.give_back(tx, row["call"])', "pass", "test_limits_given_back.py -k denied"),
    Mutant("P2 limit: given back when it ends", "ledger/approvals.py", "    limits.give_back(tx, call)\n", "", "test_limits_given_back.py -k expires"),
    Mutant("P4 asking: a count over the names", "ledger/approvals.py", "extra = max(0, demand.count - len(demand.each))", "extra = 0 * max(0, demand.count - len(demand.each))", UNIT + "test_clauses.py"),
    Mutant("P4 asking: a count of any", "ledger/approvals.py", "frozenset(demand.any_of) | also] * demand.count", "frozenset(demand.any_of) | also]", "unit/ledger/test_missing.py"),
    Mutant("P2 asking: eight hours", "policy/rules/reads.py", "EXPIRES = 8 * 3600.0", "EXPIRES = 9 * 3600.0", UNIT + "test_engine.py"),
    Mutant("P2 asking: a week at most", "policy/files/asking.py", "found.expires > LONGEST_EXPIRY", "False", UNIT + "test_clauses.py"),
    Mutant("P2 asking: the last group's hours", "policy/files/people.py", "return max(ends,", "return min(ends,", UNIT + "test_clauses.py"),
    Mutant("P2 asking: the clock always", "policy/engine/combining.py", "() if demand.always else demand.groups", "demand.groups", "test_asking.py -k working"),
    Mutant("P2 asking: the shortest", "ledger/approvals.py", "expires_at=min(", "expires_at=max(", UNIT + "test_clauses.py"),
    Mutant("P4 asking: an account of nobody", "policy/engine/combining.py", "if unknown and not demand.escalate:", "if False:", UNIT + "test_clauses.py"),
    Mutant("P4 asking: own yes alone", "policy/rules/compile.py", 'ALONE = ("read", "note", "write")', 'ALONE = ("read", "note", "write", "money")', UNIT + "test_clauses.py"),
    Mutant("P3 change: the smallest", "policy/engine/cutting.py", "min(most, changed.get(cut.path, most))", "max(most, changed.get(cut.path, most))", UNIT + "test_clauses.py"),
    Mutant("P3 change: fits the tool", "gates/policy.py", "if wrong := cut.unresolved or _wrong(faults(cut)):", "if wrong := None:", UNIT + "test_cuts.py"),
    Mutant("P1 names: two meanings", "policy/conditions/check.py", "if len({root.path for root in roots}) > 1:", "if False:", UNIT + "test_broken.py"),
    Mutant("P1 names: hidden arguments", "upstream/exported.py", "if k not in hidden}", "}", UNIT + "test_clauses.py"),
    Mutant("P1 names: an item's", "policy/conditions/functions.py", "if name.name in scope.names:", "if False:", UNIT + "test_clauses.py"),
    Mutant("P1 types: what may be missing", "policy/conditions/check.py", "if code.type.maybe and not scope.knows(code.path):", "if False:", UNIT + "test_conditions.py"),
    Mutant("P6 money: of one currency", "policy/conditions/runtime.py", "        if left.currency != right.currency:\n", "        if False:\n", UNIT + "test_conditions.py"),
    Mutant("P6 money: added in one currency", "policy/conditions/runtime.py", "if amounts[0].currency != amounts[1].currency:", "if False:", UNIT + "test_conditions.py"),
    Mutant("P6 money: a bare number", "policy/conditions/operators.py", "if not (bare.literal and bare.value == 0):", "if False:", UNIT + "test_clauses.py"),
    Mutant("P6 money: its decimals", "policy/conditions/lexer.py", "if minor.denominator != 1:", "if False:", UNIT + "test_clauses.py"),
    Mutant("P6 tables: no entry", "policy/conditions/values.py", "if currency not in self.entries:\n            raise EvalError", "if currency not in self.entries:\n            return Money(2**50, currency)\n            raise EvalError", UNIT + "test_clauses.py"),
    Mutant("P1 read: writers", "policy/rules/compile.py", "elif not tool.reads:", "elif False:", UNIT + "test_broken.py"),
    Mutant("P12 read: what is required", "policy/rules/reads.py", "        if missing:\n", "        if False:\n", UNIT + "test_broken.py"),
    Mutant("P6 read: on_error asks", "policy/engine/combining.py", "if lookup is None or lookup.failed is None:", "if True:", "test_asking.py -k look_up_that_fails"),
    Mutant("P12 conditions: their length", "policy/conditions/lexer.py", "if len(text) > MOST:", "if False:", UNIT + "test_clauses.py"),
    Mutant("P12 conditions: steps of a decision", "policy/conditions/runtime.py", "if env[STEPS][0] < 0:", "if False:", UNIT + "test_clauses.py"),
    Mutant("P12 conditions: long texts", "policy/conditions/values.py", "if len(found) > LONGEST:", "if False:", UNIT + "test_clauses.py"),
    Mutant("P1 arguments: nothing undeclared", "upstream/exported.py", 'return schema | {"type": "object", closing: False}', 'return schema | {"type": "object"}', UNIT + "test_clauses.py"),
    Mutant("P1 arguments: formats", "gates/arguments.py", "validate_formats=True", "validate_formats=False", UNIT + "test_clauses.py"),
    Mutant("P1 arguments: every faulty path", "gates/arguments.py", "MOST_NAMED = 8", "MOST_NAMED = 1", UNIT + "test_clauses.py"),
    Mutant("P1 arguments: the pin", "gates/arguments.py", "if pinned is None or pinned.pin != call.pin:", "if pinned is None:", UNIT + "test_clauses.py"),
    Mutant("P1 decision: no look-up for a no", "policy/engine/engine.py", "    if verdict := denied(course):\n        return verdict\n\n", "", UNIT + "test_engine.py"),
    Mutant("P1 decision: each look-up once", "policy/engine/lookups.py", "if question in self._made:", "if False:", UNIT + "test_clauses.py"),
    Mutant("P6 decision: an answer of another shape", "upstream/send.py", 'raise ReadFailed(f"The result of {tool.name} breaks', 'print(f"The result of {tool.name} breaks', "test_fails_closed.py -k fact"),
    Mutant("P1 decision: an allow in any case", "policy/engine/engine.py", 'if not allowed and not any(rule.kind == "allow" for rule in course.fired):', "if False:", UNIT + "test_engine.py"),
    Mutant("P1 decision: deny first", "policy/engine/engine.py", "return denied(course) or combined(course)", "return combined(course)", UNIT + "test_engine.py"),
    Mutant("P3 decision: fresh facts after agreement", "policy/engine/engine.py", "course.room.kept if course.call.agreed is None else None", "course.room.kept", UNIT + "test_clauses.py"),
    Mutant("P6 decision: an allow without an answer", "policy/engine/engine.py", '    if rule.kind != "allow":\n        course.errors', "    if True:\n        course.errors", UNIT + "test_engine.py"),
    Mutant("P6 decision: another rule without one", "policy/engine/engine.py", '    if rule.kind != "allow":\n        course.errors', "    if False:\n        course.errors", UNIT + "test_engine.py"),
    Mutant("P6 decision: a look-up's failure is ours", "policy/engine/combining.py", "key=lambda each: each[1].lookup is None", "key=lambda each: each[1].lookup is not None", UNIT + "test_clauses.py"),
    Mutant("P6 denial: with a fix it may change", "policy/engine/combining.py", 'retry = "changed" if fix else', 'retry = "no" if fix else', UNIT + "test_clauses.py"),
    Mutant("P1 decision: every group takes over", "policy/engine/combining.py", "groups = [group for rule in rules for group", "groups = [group for rule in rules[:1] for group", UNIT + "test_clauses.py"),
    Mutant("P6 results: doubt withholds", "policy/engine/results.py", "return on_error", "return False", "test_result_rules.py"),
    Mutant("P4 asking: every entry is met", "ledger/approvals.py", "    for demand in demands:\n        if demand.confirm", "    for demand in demands[:1]:\n        if demand.confirm", UNIT + "test_clauses.py"),
    Mutant("P4 asking: the requester's own yes", "ledger/approvals.py", "if demand.confirm and not confirmed:", "if False:", "unit/ledger/test_missing.py"),
    Mutant("P2 limit: all or none", "ledger/limits.py", '        if row and row["taken"]', '        tx.run("share_take", rule=share.rule, key=share.key, call=call, at=stamp(now), units=share.units)\n        if row and row["taken"]', "test_limits_given_back.py"),
    Mutant("P6 results: what is hidden", "policy/engine/results.py", "content, withheld = masked,", "content, withheld = content,", "test_result_rules.py"),
    Mutant("P1 decision: leading conditions first", "policy/engine/engine.py", "elif not step.leading or _judge(step, course, whole=False):", "else:", UNIT + "test_engine.py"),
    Mutant("P6 decision: an empty answer", "policy/engine/lookups.py", 'return FailedLookup(name, "it was empty") if answer is None or answer is MISSING else answer', "return answer", UNIT + "test_engine.py"),
    Mutant("P1 arguments: what no operation describes", "prepare.py", "unresolved=unresolved or fault,", "unresolved=unresolved,", "test_denial_codes.py -k operation"),
    Mutant("P1 arguments: one written form", "prepare.py", "    if fault is None:\n        return given, None", "    if True:\n        return given, None", "test_denial_codes.py -k canonical"),
    Mutant("P1 arguments: a long key", "prepare.py", "if request.key is not None and not 0 < len(request.key) <= LONGEST_KEY:", "if False:", "test_denial_codes.py -k idempotency_key"),
    Mutant("P6 denial: no rules are in force", "prepare.py", "unresolved or known.no_rules or deny", "unresolved or deny", "test_denial_codes.py -k none_loaded"),
    Mutant("P4 denial: people said no already", "ledger/claims.py", 'if tx.one("call_denied_by_people"', 'if False and tx.one("call_denied_by_people"', "test_denial_codes.py -k already"),
    Mutant("P4 denial: twenty wait", "ledger/claims.py", "return approvals.too_many(tx, call.agent, now)", "return None", "test_denial_codes.py -k too_many"),
    Mutant("P1 list: an allow that enforces", "policy/engine/engine.py", '        and rule.mode == "enforce"\n        and rule.applies.to(agent, None)\n', "        and rule.applies.to(agent, None)\n", UNIT + "test_clauses.py"),
    Mutant("P1 list: an allow about this caller", "policy/engine/engine.py", '        and rule.mode == "enforce"\n        and rule.applies.to(agent, None)\n', '        and rule.mode == "enforce"\n', UNIT + "test_clauses.py"),
)  # fmt: skip


def survives(mutant: Mutant, tree: Path) -> str:
    """Why the mutant lives on; empty if a test caught it."""
    file = tree / "gateway" / "lockkeep" / mutant.file
    text = file.read_text(encoding="utf-8")
    if mutant.file == "ledger/callers.py":
        file = tree / "gateway" / "lockkeep" / "store" / "callers.sql"
        text = file.read_text(encoding="utf-8")
    if text.count(mutant.old) < 1:
        return "its text is not in the file any more: mend the list"
    file.write_text(text.replace(mutant.old, mutant.new, 1), encoding="utf-8")
    try:
        env = {
            **os.environ,
            "PYTHONPATH": f"{tree / 'gateway'}{os.pathsep}{tree / 'servers'}{os.pathsep}{tree / 'clients'}",
        }
        file_of_tests, *options = shlex.split(mutant.tests)
        where = f"tests/{file_of_tests}" if "/" in file_of_tests else WIRE + file_of_tests
        command = [sys.executable, "-m", "pytest", "-q", "-x", where, *options]
        done = subprocess.run(
            command, cwd=tree, env=env, capture_output=True, encoding="utf-8", check=False, timeout=300
        )
    finally:
        file.write_text(text, encoding="utf-8")
    return "" if done.returncode == 1 else f"no test failed (exit {done.returncode})"


def main(wanted: list[str]) -> int:
    lives = 0
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(
            ROOT, tree, ignore=shutil.ignore_patterns(".venv", ".git", "node_modules", "__pycache__")
        )
        for mutant in (*MUTANTS, *APPROVALS, *CLAUSES):
            if wanted and not any(word in mutant.promise for word in wanted):
                continue
            why = survives(mutant, tree)
            lives += bool(why)
            print(f"{'LIVES ' if why else 'caught'}  {mutant.promise:<34} {why}", flush=True)
    return 1 if lives else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
