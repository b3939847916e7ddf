"""`lockkeep policy show`: the compiled rules as data; with `--plain` the files as sentences, and a table for each tool."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import zip_longest
from textwrap import TextWrapper

from lockkeep.model import Json
from lockkeep.policy.bundle import PolicySet
from lockkeep.policy.rules.rule import Applies, Rule, ToolRules
from lockkeep.policy.show import policyfiles
from lockkeep.policy.show.sentences import SaidFile, sentences
from lockkeep.policy.show.table import LEGEND, Decided, tables

COLUMNS = ("rule", "kind", "mode", "whom", "conditions", "place")
WIDTH = 100
WHEN, THEN = 58, 36  # the columns of a decision table


def compiled(current: PolicySet, only: str | None = None) -> list[dict[str, Json]]:
    """Every rule once, with the tools it is compiled for."""
    there = policyfiles.by_id(policyfiles.read(current.files))
    found: dict[str, dict[str, Json]] = {}
    for tool, rules in sorted(current.rules.items()):
        if only is not None and tool != only:
            continue
        for id_, row in _rows(rules):
            kept = found.setdefault(
                id_,
                {
                    "rule": id_,
                    **row,
                    "place": f"{there[id_].place.file}:{there[id_].place.line}",
                    "tools": [],
                },
            )
            kept["tools"].append(tool)
    return list(found.values())


def plain(current: PolicySet, only: str | None = None) -> tuple[list[SaidFile], list[Decided]]:
    """All files, or what they say about one tool."""
    files = policyfiles.read(current.files)
    rules = {tool: each for tool, each in current.rules.items() if only in (None, tool)}
    needed = current.rules_of(only).lookups if only is not None else ()
    said = [sentences(file, current.tools, only, needed) for file in files]
    return [file for file in said if file.blocks or only is None], tables(files, rules)


def as_data(files: Sequence[SaidFile], decided: Sequence[Decided]) -> dict[str, Json]:
    return {"policies": [asdict(file) for file in files], "tables": [asdict(table) for table in decided]}


def as_text(files: Sequence[SaidFile], decided: Sequence[Decided]) -> Iterator[str]:
    """The lines of a page."""
    for file in files:
        yield f"{file.policy} ({file.file})"
        yield from _wrapped(file.opening, "  ")
        if file.reads:
            yield ""
            yield "  The gateway looks up by itself:"
        for each in file.reads:
            yield from _wrapped(f"{each.text} [{each.id}]", "  - ")
        for block in file.blocks:
            yield ""
            yield from _wrapped(", ".join(block.tools) or "(no accepted tool)", "  ")
            for each in block.said:
                yield from _wrapped(f"{each.text} [{each.id}]", "  - ")
        yield ""
    for table in decided:
        yield from _table(table)
        yield ""
    for line in LEGEND if decided else ():
        yield from _wrapped(line, "")


def _table(table: Decided) -> Iterator[str]:
    whose = f" (only {table.whose}; others are refused)" if table.whose else ""
    yield from _wrapped(f"What is decided about {', '.join(table.tools)}{whose}", "")
    for row in table.rows:
        left, right = _wrap(row.when, WHEN), _wrap(row.then, THEN)
        for number, (when, then) in enumerate(zip_longest(left, right, fillvalue="")):
            yield f"  {'|' if not number else ' '} {when:<{WHEN}} {'|' if not number else ' '} {then}".rstrip()
    for note in table.notes:
        yield from _wrapped(note, "  ")


def _wrapped(text: str, before: str) -> list[str]:
    wrapper = TextWrapper(
        WIDTH, initial_indent=before, subsequent_indent=" " * len(before), break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    return wrapper.wrap(text)


def _wrap(text: str, width: int) -> list[str]:
    return TextWrapper(width, break_long_words=False, break_on_hyphens=False).wrap(text)


# -- compiled -------------------------------------------------------------------------------------------------------


def _rows(rules: ToolRules) -> Iterator[tuple[str, dict[str, Json]]]:
    for rule in rules.rules:
        yield rule.id, _row(rule.kind, rule.mode, _whom(rule), _conditions(rule))
    for cut in rules.cuts:
        yield (
            cut.rule,
            _row(
                "change",
                cut.mode,
                _applies(cut.applies),
                f"{'.'.join(map(str, cut.path))} at most {cut.most}",
            ),
        )
    for shown in rules.shown:
        conditions = [
            *(f"hide {path}" for path in shown.hide), *(f"mask {kind}" for kind in shown.detect),
            *(f"withhold {each.text}" for each in shown.withhold), *(f"flag {each.text}" for each in shown.flag),
        ]  # fmt: skip
        yield shown.rule, _row("results", shown.mode, _applies(shown.applies), "; ".join(conditions))
    for undo in rules.undo:
        within = f"within {undo.within:g} s" if undo.within is not None else ""
        yield undo.rule, _row("undo", "enforce", _applies(undo.applies, undo.who), within)


def _row(kind: str, mode: str, whom: str, conditions: str) -> dict[str, Json]:
    return {"kind": kind, "mode": mode, "whom": whom, "conditions": conditions}


def _whom(rule: Rule) -> str:
    """Whose calls it is about, and whom an allow permits."""
    names = {
        *rule.who.roles,
        *(f"user {user}" for user in rule.who.users),
        *(f"agent {agent}" for agent in rule.who.agents),
    }
    own = ["anyone"] if rule.kind == "allow" and rule.who.anyone else sorted(names)
    return f"{_applies(rule.applies, own)}{f' ({rule.operation})' if rule.operation else ''}"


def _applies(applies: Applies, names: Iterable[str] = ()) -> str:
    whose = (
        ["everywhere"]
        if applies.everywhere
        else [*sorted(applies.agents), *(f"workflow {name}" for name in sorted(applies.workflows))]
    )
    own = ", ".join(sorted(names))
    return f"{', '.join(whose)}: {own}" if own else ", ".join(whose)


def _conditions(rule: Rule) -> str:
    """As they stand in the file, on one line."""
    said = [" ".join(rule.words.split())] if rule.words else []
    said += [rule.counted.text] if rule.counted else []
    return "; ".join(said)
