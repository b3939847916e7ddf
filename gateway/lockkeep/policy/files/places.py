"""Where in a file an offset of a condition's text stands."""

from collections.abc import Iterator

from lockkeep.policy.positions import Place, Text

WIDTHS = {"x": 4, "u": 6, "U": 10}  # escapes of double quotes that are written as a code


def spot(text: Text, offset: int, lines: list[str]) -> Place:
    """The place of the offset. Folding changes blanks and nothing else, so the other characters are counted."""
    before = sum(not char.isspace() for char in text.text[:offset])
    inside = offset < len(text.text) and not text.text[offset].isspace()
    place = text.place
    for count, (line, column, width) in enumerate(_solid(text, lines)):
        if count == before and inside:
            return Place(text.place.file, line + 1, column + 1)
        if count == before:
            break
        place = Place(text.place.file, line + 1, column + width + 1)
    return place  # after the last character before it


def _solid(text: Text, lines: list[str]) -> Iterator[tuple[int, int, int]]:
    """Line, column and width in the file of every character of the text that is not blank."""
    block = text.style in ("|", ">")
    first = text.place.line if block else text.place.line - 1
    for number in range(first, len(lines)):
        line = lines[number]
        column = 0 if number != first or block else text.place.column - 1 + (text.style in ("'", '"'))
        while column < len(line):
            width, blank = _char(line, column, text.style)
            if not blank:
                yield number, column, width
            column += width


def _char(line: str, column: int, style: str | None) -> tuple[int, bool]:
    """How many characters of the file make one of the text, and whether that one is blank."""
    if style == "'" and line.startswith("''", column):
        return 2, False
    if style == '"' and line[column] == "\\" and column + 1 < len(line):
        escape = line[column + 1]
        return WIDTHS.get(escape, 2), escape in "nrtvf _NLP\t"
    return 1, line[column].isspace() or (style == '"' and line[column] == "\\")
