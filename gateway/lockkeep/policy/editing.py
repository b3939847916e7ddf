"""Adds one entry to a file that people also edit: one line more, nothing else moves."""

from lockkeep.errors import BadPolicySet
from lockkeep.policy.positions import Mapping, Problems, parse


def with_entry(file: str, text: str, section: str, name: str, value: str) -> str:
    """The file with `name: value` at the end of a top-level section; the section is added if it is missing."""
    root = parse(file, text, Problems())
    if not isinstance(root, Mapping):
        raise BadPolicySet(f"{file} cannot be read; run lockkeep policy check")
    lines = text.splitlines()
    there = root.get(section)
    if there is None:
        return "\n".join([*lines, f"{section}:", f"  {name}: {value}"]) + "\n"
    if isinstance(there, Mapping) and there.get(name) is not None:
        raise BadPolicySet(f"{name} stands in {file} already")
    key = root.key(section)
    if (
        not isinstance(there, Mapping)
        or not there.entries
        or key is None
        or there.place.line == key.place.line
    ):
        return _one_line(file, lines, section, name, value)
    last = there.entries[-1][0].place
    indent = last.column - 1
    lines.insert(_after(lines, last.line - 1, indent), f"{' ' * indent}{name}: {value}")
    return "\n".join(lines) + "\n"


def _one_line(file: str, lines: list[str], section: str, name: str, value: str) -> str:
    """An empty section, `{}` or nothing, becomes a block."""
    for number, line in enumerate(lines):
        if line.split("#")[0].strip() in (f"{section}:", f"{section}: {{}}"):
            return (
                "\n".join([*lines[:number], f"{section}:", f"  {name}: {value}", *lines[number + 1 :]]) + "\n"
            )
    raise BadPolicySet(f"{file}: write {section}: as lines of its own, then an entry can be added")


def _after(lines: list[str], start: int, indent: int) -> int:
    """The line after the entry that begins at `start`: deeper lines belong to it."""
    end = start + 1
    while end < len(lines) and lines[end].strip() and len(lines[end]) - len(lines[end].lstrip()) > indent:
        end += 1
    return end
