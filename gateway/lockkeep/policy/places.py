"""Where in a file an offset of a condition's text stands."""

from lockkeep.policy.positions import Place, Text


def spot(text: Text, offset: int, lines: list[str]) -> Place:
    """The place of the offset, also inside quoted and folded texts."""
    if text.style in ("|", ">"):
        return _in_block(text, offset, lines)
    start = text.place.column - 1 + (1 if text.style in ("'", '"') else 0)
    line = lines[text.place.line - 1] if text.place.line <= len(lines) else ""
    if start + offset <= len(line):
        return Place(text.place.file, text.place.line, start + offset + 1)
    return text.place  # a plain text folded over several lines


def _in_block(text: Text, offset: int, lines: list[str]) -> Place:
    left = offset
    for number in range(text.place.line, len(lines)):
        line = lines[number]
        indent = len(line) - len(line.lstrip())
        length = len(line.strip())
        if left <= length:
            return Place(text.place.file, number + 1, indent + left + 1)
        left -= length + 1
    return text.place
