"""What a look at a text can find."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

Kind = Literal[
    "hidden", "escape", "comment", "padding", "look-alike", "encoded", "link",
    "override", "secrecy", "role", "order", "secret", "other-tool",
]  # fmt: skip
Severity = Literal["warn", "alarm"]  # look at it; there is hardly an honest reason for it
MOST = 10  # places of one rule in one text; whoever reads has seen enough by then
MEANING: dict[Kind, str] = {
    "hidden": "characters that people do not see",
    "escape": "codes that change what a terminal shows",
    "comment": "an HTML comment, which a rendered page does not show",
    "padding": "so much empty space that what follows is easily missed",
    "look-alike": "letters of two alphabets in one word",
    "encoded": "a long piece that looks encoded",
    "link": "a link that is to be filled with data",
    "override": "tells the agent to drop its instructions",
    "secrecy": "tells the agent to keep something from people",
    "role": "speaks as if it were the system or its prompt",
    "order": "orders the agent to call tools",
    "secret": "asks for secrets of the machine or the person",
    "other-tool": "speaks of a tool of another integration",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One place of a text. `quote` is safe to show: hidden characters stand in it as code points."""

    kind: Kind
    severity: Severity
    quote: str


@dataclass(frozen=True, slots=True)
class ToolFinding:
    """One finding and where it stands: in which tool, as the catalog names it, and in which of its texts."""

    tool: str
    where: str
    finding: Finding


class Mark(NamedTuple):
    """The same while the text is at hand: from where to where."""

    kind: Kind
    severity: Severity
    start: int
    end: int
