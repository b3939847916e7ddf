"""A calendar file as content lines. What nobody asks to change stays as it was written, to the byte."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

FOLD = re.compile(r"\r?\n[ \t]")
BREAK = re.compile(r"\r?\n")
LINE = re.compile(
    r'(?P<name>[A-Za-z0-9-]+)(?P<parameters>(?:;[A-Za-z0-9-]+=(?:"[^"]*"|[^";:,]*)(?:,(?:"[^"]*"|[^";:,]*))*)*):(?P<value>.*)',
    re.DOTALL,
)
PARAMETER = re.compile(r';([A-Za-z0-9-]+)=("[^"]*"|[^";:,]*)')
ESCAPES = str.maketrans({"\\": "\\\\", ";": "\\;", ",": "\\,", "\n": "\\n", "\r": "\\n"})
ESCAPED = re.compile(r"\\(.)", re.DOTALL)
WIDEST = 74  # octets of a line, its break not counted
DEEPEST = 10


class Malformed(ValueError):
    """It is no calendar file."""


@dataclass
class Line:
    """One property, with its folds. Without a name it is kept and never read."""

    name: str
    parameters: Mapping[str, str]
    value: str
    raw: str

    @classmethod
    def read(cls, raw: str) -> "Line":
        found = LINE.fullmatch(FOLD.sub("", raw))
        if found is None:
            return cls("", {}, "", raw)
        parameters = {
            name.upper(): value.strip('"') for name, value in PARAMETER.findall(found["parameters"])
        }
        return cls(found["name"].upper(), parameters, found["value"], raw)

    @classmethod
    def made(cls, name: str, value: str, **parameters: str) -> "Line":
        shown = "".join(f";{key}={_quoted(text)}" for key, text in parameters.items())
        return cls(name, parameters, value, _folded(f"{name}{shown}:{value}"))

    @classmethod
    def text(cls, name: str, value: str) -> "Line":
        """Return a property whose value is a text."""
        return cls.made(name, value.replace("\r\n", "\n").translate(ESCAPES))

    @property
    def plain(self) -> str:
        """The value of a text, as it is meant."""
        return ESCAPED.sub(lambda found: "\n" if found[1] in "nN" else found[1], self.value)


@dataclass
class Component:
    """BEGIN to END: lines and components, in their order."""

    name: str
    parts: "list[Line | Component]" = field(default_factory=list["Line | Component"])

    def lines(self, name: str) -> list[Line]:
        return [part for part in self.parts if isinstance(part, Line) and part.name == name]

    def line(self, name: str) -> Line | None:
        return next(iter(self.lines(name)), None)

    def value(self, name: str) -> str:
        line = self.line(name)
        return line.value if line else ""

    def plain(self, name: str) -> str | None:
        line = self.line(name)
        return line.plain if line else None

    def components(self, name: str) -> "list[Component]":
        return [part for part in self.parts if isinstance(part, Component) and part.name == name]

    def put(self, *lines: Line) -> None:
        """These are the lines of their name, where the first of them stood; new ones come before the components."""
        name = lines[0].name
        places = [
            place for place, part in enumerate(self.parts) if isinstance(part, Line) and part.name == name
        ]
        inner = (place for place, part in enumerate(self.parts) if isinstance(part, Component))
        at = places[0] if places else next(inner, len(self.parts))
        self.remove(name)
        self.parts[at:at] = lines

    def remove(self, *names: str) -> None:
        self.parts = [part for part in self.parts if not (isinstance(part, Line) and part.name in names)]

    def discard(self, part: "Line | Component") -> None:
        self.parts = [each for each in self.parts if each is not part]

    def copy(self) -> "Component":
        return Component(
            self.name, [part.copy() if isinstance(part, Component) else part for part in self.parts]
        )

    def written(self) -> Iterator[str]:
        yield f"BEGIN:{self.name}"
        for part in self.parts:
            if isinstance(part, Line):
                yield part.raw
            else:
                yield from part.written()
        yield f"END:{self.name}"

    def __str__(self) -> str:
        """Return the file."""
        return "\r\n".join(self.written()) + "\r\n"


def read_calendar(text: str) -> Component:
    """Return the VCALENDAR of a file.

    Raises:
        Malformed: its components do not fit into each other.
    """
    outer = Component("")
    open_ones = [outer]
    for raw in _content_lines(text):
        begins = raw[:6].upper() == "BEGIN:"
        if begins and len(open_ones) <= DEEPEST:
            inner = Component(raw[6:].strip().upper())
            open_ones[-1].parts.append(inner)
            open_ones.append(inner)
        elif raw[:4].upper() == "END:":
            if open_ones.pop().name != raw[4:].strip().upper() or not open_ones:
                raise Malformed
        elif begins or len(open_ones) == 1:
            raise Malformed
        else:
            open_ones[-1].parts.append(Line.read(raw))
    calendars = outer.components("VCALENDAR")
    if len(open_ones) != 1 or len(calendars) != 1:
        raise Malformed
    return calendars[0]


def _content_lines(text: str) -> Iterator[str]:
    """Yield each line with the folded ones that belong to it."""
    line = ""
    for part in BREAK.split(text.removeprefix("\ufeff")):
        if part[:1] in (" ", "\t") and line:
            line += "\r\n" + part
        else:
            if line:
                yield line
            line = part
    if line:
        yield line


def _folded(text: str) -> str:
    """Return the line in pieces that other programs take; no character is cut."""
    pieces, size = [""], 0
    for sign in text:
        size += len(sign.encode())
        if size > WIDEST:
            pieces.append(" ")
            size = 1 + len(sign.encode())
        pieces[-1] += sign
    return "\r\n".join(pieces)


def _quoted(text: str) -> str:
    return f'"{text}"' if any(sign in text for sign in ";:,") else text
