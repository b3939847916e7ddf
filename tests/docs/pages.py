"""The pages of the documentation as data: fenced blocks with their line, headings, links and tables."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOP = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
DIRECTIVE = re.compile(r"<!-- (not run|file|answers): (.+?) -->")
HEADING = re.compile(r"(#{1,6}) (.+)")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"```(\w*)\s*")
CODE = re.compile(r"`([^`]+)`")


@dataclass(frozen=True)
class Block:
    """One fenced block. `directive` is what the HTML comment right before it says about it."""

    page: str
    line: int  # of its first line
    language: str
    text: str
    directive: str = ""
    about: str = ""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Page:
    """One Markdown file."""

    name: str
    text: str

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        return tuple(self._blocks())

    @cached_property
    def prose(self) -> list[tuple[int, str]]:
        """The lines outside of fences, with their numbers."""
        found: list[tuple[int, str]] = []
        inside = False
        for number, line in enumerate(self.text.splitlines(), 1):
            if line.startswith("```"):
                inside = not inside
            elif not inside:
                found.append((number, line))
        return found

    @property
    def anchors(self) -> set[str]:
        return {slug(match[2]) for _, line in self.prose if (match := HEADING.fullmatch(line))}

    @property
    def links(self) -> list[tuple[int, str]]:
        return [(number, target) for number, line in self.prose for target in LINK.findall(line)]

    def table(self, heading: str) -> dict[str, list[str]]:
        """The rows of the tables under one heading, by each name in backticks of the first cell."""
        found: dict[str, list[str]] = {}
        here = False
        for _, line in self.prose:
            if match := HEADING.fullmatch(line):
                here = match[2] == heading
            elif here and line.startswith("|") and not set(line) <= set("|-: "):
                cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
                found |= dict.fromkeys(CODE.findall(cells[0]), cells)
        return found

    def _blocks(self) -> Iterator[Block]:
        lines = self.text.splitlines()
        start: int | None = None
        language, directive, about = "", "", ""
        for index, line in enumerate(lines):
            fence = FENCE.fullmatch(line)
            if start is not None:
                if line == "```":
                    text = "\n".join(lines[start:index]) + "\n"
                    yield Block(self.name, start + 1, language, text, directive, about)
                    start, directive, about = None, "", ""
            elif fence:
                start, language = index + 1, fence[1]
            elif match := DIRECTIVE.fullmatch(line):
                directive, about = match[1], match[2]
            elif line.strip():
                directive, about = "", ""
        if start is not None:
            raise ValueError(f"{self.name}:{start}: this block is never closed")


def page(name: str) -> Page:
    return Page(name, (ROOT / name).read_text(encoding="utf-8"))


def pages() -> list[Page]:
    """README and its neighbours, and everything in docs/."""
    found = [*TOP, *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))]
    return [page(name) for name in found]


def slug(heading: str) -> str:
    """The anchor that GitHub makes of a heading."""
    plain = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
