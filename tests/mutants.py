"""Every guard, switched off on purpose, must turn a test red: `make mutants`. Works on a copy of the tree."""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
WIRE = "tests/wire/"


@dataclass(frozen=True)
class Mutant:
    """A guard (named by its promise), the text that makes it, what it becomes, and the tests that must see it."""

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
    Mutant("P3 what is cut is judged again", "gates/policy.py", "again = await decide(cut, changes=False)", "again = decision", "test_changes.py"),
    Mutant("P3 facts that moved", "policy/engine/engine.py", "hexdigest() if facts else plan.digest", "hexdigest() if False else plan.digest", "test_asking.py"),
    Mutant("P4 whose account it is", "policy/engine/combining.py", 'f"{someone.integration}:{value}"', "value", "test_asking.py"),
    Mutant("P4 a yes without words", "ledger/approvals.py", 'if decision == "deny" or reason.strip() or', "if True or", "test_asking.py"),
    Mutant("P6 result rules on every answer", "app.py", "found = self._ruled_by(current, outcome)", "found = results.Seen(outcome.result)", "test_result_rules.py"),
    Mutant("P12 two groups", "cli/activation.py", "if two or len(groups) > 1:", "if False:", "test_activation.py"),
    Mutant("P12 the second is another", "cli/activation.py", "if by == wanted.by:", "if False:", "test_activation.py"),
    Mutant("P1 arguments gate", "pipeline.py", '"switch", "arguments", "policy"', '"switch", "policy"', "test_life_of_a_call.py"),
    Mutant("P1 service tools", "app.py", "if tool is not None and not tool.offered:", "if False:", "test_life_of_a_call.py"),
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
    Mutant("P3 gates again after the vote", "gates/approval.py", "and not approvals.waits_for(store.read, row, people)", "", "test_approvals.py"),
    Mutant("P4 own call", "ledger/approvals.py", 'elif person.id in (row["requester"], owner):', "elif False:", "test_approvals.py"),
    Mutant("P4 one place each", "ledger/approvals.py", "if index not in taken or seat(taken[index], tried):", "if True:", "test_approvals.py"),
    Mutant("P4 agents have no vote", "ledger/approvals.py", "if person is None:\n        return Refusal(", "if False:\n        return Refusal(", "test_approvals.py"),
    Mutant("P5 switch gate and claim", "ledger/switches.py", "return min(found, key=lambda switch: switch.mode != \"kill\", default=None)", "return None", "test_switches.py"),
    Mutant("P5 claim reads switches", "ledger/claims.py", "if stop is not None:", "if False:", "test_switches.py"),
    Mutant("P5 right before the send", "pipeline.py", "self.ledger.halted(claim) or await", "await", "test_switches.py"),
    Mutant("P5 parked calls are cancelled", "ledger/switches.py", "_cancel_parked(tx, switch, now)", "pass", "test_switches.py"),
    Mutant("P5 a second person lifts", "ledger/switches.py", "if own and not self_allowed:", "if False:", "test_switches.py"),
    Mutant("P5 queues are held", "queues.py", 'return None if told else "holding"', "return None", "test_queues.py"),
    Mutant("P5 before kill returns", "rounds.py", "            await self.hold_queues()\n", "", "test_queues.py"),
    Mutant("P5 a queue shows that it is held", "queues.py", "if not queue.shows(tool, said, answer):", "if False:", "test_queues_heard.py"),
    Mutant("P5 one back end, two integrations", "queues.py", "if own and each.address == own.address]", "if False]", "test_queues_heard.py"),
    Mutant("P6 a failing gate", "gates/__init__.py", "    except Exception:\n", "    except ZeroDivisionError:\n", "test_fails_closed.py"),
    Mutant("P6 a failing look-up", "policy/engine/combining.py", "for rule, error in sorted(course.errors,", "for rule, error in sorted([],", "test_fails_closed.py"),
    Mutant("P6 a changed tool", "gates/arguments.py", "if changed is not None:", "if False:", "test_fails_closed.py"),
    Mutant("P6 no token", "ledger/callers.py", "AND revoked_at IS NULL", "", "test_address.py"),
    Mutant("P7 chain", "ledger/audit.py", '"prev": prev', '"prev": GENESIS', "test_once.py"),
    Mutant("P12 rules at the claim", "ledger/claims.py", 'newest["id"] != basis.generation', "False", "test_fails_closed.py"),
    Mutant("P12 whole set", "policy/bundle.py", "return (None, sorted(problems.found", "return (loaded, sorted(problems.found", "test_fails_closed.py"),
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
        command = [sys.executable, "-m", "pytest", "-q", "-x", WIRE + mutant.tests]
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
        for mutant in MUTANTS:
            if wanted and not any(word in mutant.promise for word in wanted):
                continue
            why = survives(mutant, tree)
            lives += bool(why)
            print(f"{'LIVES ' if why else 'caught'}  {mutant.promise:<34} {why}", flush=True)
    return 1 if lives else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
