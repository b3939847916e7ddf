"""Adds one entry to a file that people also edit: one line more, nothing else moves."""

from lockkeep.errors import BadPolicySet
from lockkeep.policy.positions import Mapping, Problems, Text, parse


def with_entry(file: str, text: str, section: str, name: str, value: str) -> str:
    """The file with `name: value` at the end of a top-level section; the section is added if it is missing."""
    root = parse(file, text, Problems())
    if not isinstance(root, Mapping):
        raise BadPolicySet(f"{file} cannot be read; run lockkeep policy check")
    lines = text.splitlines()
    there = root.get(section)
    if there is None:
        return _checked(file, [*lines, f"{section}:", f"  {name}: {value}"], section, name)
    if isinstance(there, Mapping) and there.get(name) is not None:
        raise BadPolicySet(f"{name} stands in {file} already")
    key = root.key(section)
    if (
        key is None
        or not isinstance(there, Mapping)
        or there.place.line == key.place.line
        or not there.entries
    ):
        return _checked(file, _one_line(file, lines, key, name, value), section, name)
    last = there.entries[-1][0].place
    indent = last.column - 1
    lines.insert(_after(lines, last.line - 1, indent), f"{' ' * indent}{name}: {value}")
    return _checked(file, lines, section, name)


def _checked(file: str, lines: list[str], section: str, name: str) -> str:
    """The text, if it reads back with the entry in its section."""
    text = "\n".join(lines) + "\n"
    root = parse(file, text, Problems())
    there = root.get(section) if isinstance(root, Mapping) else None
    if not isinstance(there, Mapping) or there.get(name) is None:
        raise BadPolicySet(f"{name} cannot be added to {file} by itself; write it there by hand")
    return text


def _one_line(file: str, lines: list[str], key: Text | None, name: str, value: str) -> list[str]:
    """An empty section, `{}` or nothing, becomes a block."""
    number = key.place.line - 1 if key else 0
    if key is None or lines[number].split("#")[0].strip() not in (f"{key.text}:", f"{key.text}: {{}}"):
        where = key.text if key else file
        raise BadPolicySet(f"{file}: write {where}: as lines of its own, then an entry can be added")
    return [*lines[:number], f"{key.text}:", f"  {name}: {value}", *lines[number + 1 :]]


def _after(lines: list[str], start: int, indent: int) -> int:
    """The line after the entry that begins at `start`: deeper lines belong to it, blank ones between them too."""
    end = start + 1
    for number in range(start + 1, len(lines)):
        line = lines[number]
        if line.strip() and len(line) - len(line.lstrip()) <= indent:
            break
        end = number + 1 if line.strip() else end
    return end
