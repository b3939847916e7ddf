"""What `lockkeep catalog` shows of a proposal: changes in words, what the scan found, and which files name a tool that is gone."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from lockkeep.cli.show import fail, say
from lockkeep.model import Json, Tool
from lockkeep.policy.bundle import GATEWAY, LOCK
from lockkeep.policy.positions import Mapping as Node_
from lockkeep.policy.positions import Place, Problems, parse
from lockkeep.upstream import Change, Listing, Lock, Proposal, diff
from lockkeep.upstream.finding import MEANING, ToolFinding
from lockkeep.upstream.review import in_words, news, was
from lockkeep.upstream.visible import visible


@dataclass(frozen=True, slots=True)
class Looked:
    """What one server lists now, what would become of it, and what the scan found in it."""

    proposal: Proposal
    listing: Listing
    findings: tuple[ToolFinding, ...]
    alias: Mapping[str, str] = field(default_factory=dict[str, str])  # the server's own names, and ours

    def of(self, tool: str) -> list[ToolFinding]:
        return [each for each in self.findings if each.tool == tool]

    def closed(self) -> Iterator[tuple[str, str, str]]:
        """(the server's name, as the catalog would name it, why) of each tool that stays out."""
        for name, why in self.proposal.left_out.items():
            yield name, f"{self.proposal.integration}.{self.alias.get(name, name)}", why


class Mention(NamedTuple):
    """A line of a file that names a tool."""

    file: str
    line: int
    name: str


def alarms(looked: Looked, changes: Iterable[Change]) -> list[ToolFinding]:
    """Why accepting needs a reason. What was accepted before and did not change was decided then."""
    fresh = {change.tool for change in changes} & {tool.name for tool in looked.proposal.tools}
    return [each for each in looked.findings if each.finding.severity == "alarm" and each.tool in fresh]


def mentions(files: Mapping[str, str], lock: Lock, change: Change) -> list[Mention]:
    """Every line where a name stands that accepting would take away."""
    old = lock.tools.get(was(change))
    if old is None or change.kind not in ("renamed", "removed"):
        return []
    own = re.escape(old.server_name)
    in_policies = re.compile(rf"(?<![\w.-]){re.escape(old.name)}(?![\w-])")
    in_manifest = re.compile(rf"""^\s*["']?{own}["']?\s*:|\btool:\s*["']?{own}["']?\s*(?:[,}}#]|$)""")
    found: list[Mention] = []
    for file, text in sorted(files.items()):
        ours = file == f"manifests/{old.integration}.yaml"  # there the server's own name stands
        name, pattern = (old.server_name, in_manifest) if ours else (old.name, in_policies)
        lines = enumerate(text.splitlines() if file != LOCK else (), 1)
        found += [
            Mention(file, number, name)
            for number, line in lines
            if pattern.search(line) and not line.lstrip().startswith("#")
        ]
    at = _alias(files.get(GATEWAY, ""), old)
    return sorted([*found, Mention(GATEWAY, at.line, old.server_name)]) if at is not None else found


def _alias(gateway: str, tool: Tool) -> Place | None:
    """Where gateway.yaml gives this tool of the server another name."""
    node = parse(GATEWAY, gateway, Problems())
    for step in ("integrations", tool.integration, "alias"):
        node = node.get(step) if isinstance(node, Node_) else None
    key = node.key(tool.server_name) if isinstance(node, Node_) else None
    return key.place if key is not None else None


def tell_pull(looked: Looked) -> None:
    proposal = looked.proposal
    server = f"{visible(proposal.server)} {visible(proposal.version)}"
    say(f"{proposal.integration}: {server}, {len(proposal.tools)} tools, hash {proposal.hash[:16]}")
    for name, _, why in looked.closed():
        say(f"  left out {visible(name)}: {why}")
    for line in (*proposal.reviews, *proposal.errors):
        say(f"  {visible(line)}")
    for each in looked.findings:
        say(f"  {visible(each.tool)}, {told(each)}")


def tell_diff(looked: Looked, lock: Lock, files: Mapping[str, str], folder: Path) -> bool:
    """Prints what accepting would change; True if anything."""
    proposal, changes = looked.proposal, diff(lock, looked.proposal)
    for change in changes:
        name = f"{was(change)} to {change.tool}" if change.kind == "renamed" else change.tool
        say(f"{proposal.integration}: {change.kind} {visible(name)}")
        for line in in_words(change, lock, proposal, looked.listing):
            say(f"    {line}")
        for each in mentions(files, lock, change):
            say(f"    {folder / each.file}:{each.line} names {visible(each.name)}")
        for each in looked.of(change.tool):
            say(f"    {told(each)}")
    for line in news(lock, proposal):
        say(f"{proposal.integration}: {line}")
    _tell_closed(looked)
    if changes:
        _tell_accept(looked, alarms(looked, changes))
    return bool(changes)


def _tell_closed(looked: Looked) -> None:
    for name, as_ours, why in looked.closed():
        say(f"{looked.proposal.integration}: {visible(name)} stays closed: {why}")
        for each in looked.of(as_ours):
            say(f"    {told(each)}")


def _tell_accept(looked: Looked, alarming: list[ToolFinding]) -> None:
    proposal = looked.proposal
    for line in proposal.errors:
        say(visible(line))
    if alarming:
        say(f"{proposal.integration}: an ALARM keeps `accept` from taking this. Ask who runs the server.")
    say(f"lockkeep catalog accept {proposal.integration} --expect {proposal.hash[:16]}")


def refuse(name: str, alarming: list[ToolFinding]) -> None:
    """Says what keeps the proposal from being accepted, and what to do."""
    for each in alarming:
        fail(f"{visible(each.tool)}, {told(each)}")
    fail(
        f"nothing was accepted; ask who runs {name}. Is it harmless after all? "
        "Then add --despite-findings and --reason with why"
    )


def told(each: ToolFinding) -> str:
    """`ALARM in description: tells the agent …: “…”`."""
    finding = each.finding
    word = "ALARM" if finding.severity == "alarm" else "look"
    return f"{word} in {each.where}: {MEANING[finding.kind]}: “{finding.quote}”"


def summary(looked: Looked) -> dict[str, Json]:
    proposal = looked.proposal
    return {
        "integration": proposal.integration, "server": proposal.server, "version": proposal.version, "hash": proposal.hash,
        "tools": [tool.name for tool in proposal.tools], "left_out": dict(proposal.left_out),
        "reviews": list(proposal.reviews), "errors": list(proposal.errors), "findings": as_data(looked.findings),
    }  # fmt: skip


def difference(looked: Looked, lock: Lock, files: Mapping[str, str]) -> dict[str, Json]:
    """The whole difference with stable names, for machines; `hash` is what `accept --expect` must be told."""
    proposal = looked.proposal
    changes: list[Json] = [
        {
            "kind": change.kind, "tool": change.tool, "was": was(change) if change.kind == "renamed" else None,
            "words": list(in_words(change, lock, proposal, looked.listing)), "details": dict(change.details),
            "named_in": [each._asdict() for each in mentions(files, lock, change)],
            "findings": as_data(looked.of(change.tool)),
        }
        for change in diff(lock, proposal)
    ]  # fmt: skip
    return {
        "hash": proposal.hash, "changes": changes, "news": list(news(lock, proposal)), "left_out": dict(proposal.left_out),
        "errors": list(proposal.errors), "findings": as_data(looked.findings),
    }  # fmt: skip


def as_data(findings: Iterable[ToolFinding]) -> list[Json]:
    return [
        {
            "tool": each.tool, "where": each.where, "kind": each.finding.kind, "severity": each.finding.severity,
            "quote": each.finding.quote,
        }
        for each in findings
    ]  # fmt: skip
