"""`until` in the past: an error where files are checked or brought into force, never where a set in force is read."""

from collections.abc import Iterator, Mapping
from datetime import date

from lockkeep.policy.bundle import GATEWAY, PEOPLE
from lockkeep.policy.positions import Listing, Node, Problem, Problems, Text, parse
from lockkeep.policy.positions import Mapping as Node_


def ended(files: Mapping[str, str], today: date) -> list[Problem]:
    """Every `until` of a policy file whose day is over."""
    found = Problems()
    for name, text in sorted(files.items()):
        if "/" in name or not name.endswith(".yaml") or name in (GATEWAY, PEOPLE):
            continue
        root = parse(name, text, Problems())
        for end in _ends(root) if isinstance(root, Node_) else ():
            day = _day(end)
            if day is not None and day < today:
                message = f"in force until {day}, which is over"
                found.add(end.place, message, "take it out, or name a later day: the last one in force")
    return found.found


def _ends(root: Node_) -> Iterator[Text]:
    """At the top of the file, of its blocks, and of their entries."""
    tools = root.get("tools")
    yield from _own(root)
    for _, block in tools.entries if isinstance(tools, Node_) else ():
        yield from _own(block)
        for key, value in block.entries if isinstance(block, Node_) else ():
            if key.text == "change":  # its keys are arguments
                continue
            for entry in value.items if isinstance(value, Listing) else (value,):
                yield from _own(entry)


def _own(node: Node) -> Iterator[Text]:
    end = node.get("until") if isinstance(node, Node_) else None
    if isinstance(end, Text):
        yield end


def _day(text: Text) -> date | None:
    try:
        return date.fromisoformat(text.text)
    except ValueError:
        return None
