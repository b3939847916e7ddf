"""What the demo prints: plain lines of at most 100 columns, in colour only on a terminal."""

import os
import shlex
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

from demo.leads import BadRow
from demo.router import Result, Word

WIDTH = 100
LINE, COMPANY, WORD = 4, 26, 8
DETAIL = 2 + LINE + 2 + COMPANY + 2 + WORD + 2  # where the last column begins
GREEN, RED, YELLOW, CYAN, BOLD, DIM = "32", "31", "33", "36", "1", "2"
COLOURS: dict[Word, str] = {
    "routed": GREEN, "denied": RED, "pending": YELLOW, "known": CYAN, "person": CYAN, "failed": RED,
}  # fmt: skip
IN_WORDS = {
    "routed": "routed", "denied": "denied", "pending": "pending", "known": "known already",
    "person": "left to a person", "failed": "failed", "unread": "unreadable",
}  # fmt: skip
TRY = (
    "./lockkeep calls list --state denied      what was refused, by which rule; then calls show ID",
    "./lockkeep audit tail -n 40               every call, vote and switch, in order",
    "./lockkeep console login --as bo          a link into the inbox",
    "./lockkeep policy test                    after you edited policies/leads.yaml",
    "./lockkeep policy activate                brings the edited rules into force",
)


class Screen:
    """Prints; decides nothing."""

    def __init__(self) -> None:
        self._coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def title(self, text: str) -> None:
        self._print(f"\n{self._in(BOLD, text)}")

    def say(self, text: str, indent: int = 2) -> None:
        """A paragraph; its line breaks stay."""
        for line in text.splitlines():
            self._print(_wrapped(line, indent))

    def exact(self, text: str) -> None:
        """A command or an address, never broken, so that it can be copied."""
        self._print(f"    {self._in(CYAN, clean(text))}")

    def heading(self) -> None:
        columns = f"{'line':>{LINE}}  {'lead':<{COMPANY}}  {'outcome':<{WORD}}  decided by"
        self._print("  " + self._in(BOLD, columns))

    def bad_row(self, row: BadRow) -> None:
        self._row(row.line, row.company, "unread", RED, row.reason)

    def result(self, result: Result, rule: str = "") -> None:
        """One lead; `rule` if the result itself does not know it."""
        decided, reason = rule or result.rule, result.reason
        if result.word == "routed" and result.owner and result.starts:
            when = result.starts.strftime("%a %d %b %H:%M")
            decided, reason = f"{rule or 'allowed by leads'}: {result.owner.name}, {when}", ""
        self._row(result.lead.line, result.lead.company, result.word, COLOURS[result.word], decided or reason)
        if decided and reason:
            self.aside(reason)

    def attempt(self, says: str, tool: str, word: str, rule: str, reason: str) -> None:
        """One try of an agent that obeys a text."""
        colour, said = RED if word == "denied" else YELLOW, f'"{says}"'
        self._print(f"  {clean(said):<30}  {tool:<16}  {self._in(colour, f'{word:<6}')}  {clean(rule)}")
        self.aside(reason, 2 + 30 + 2 + 16 + 2 + 6 + 2)

    def aside(self, text: str, indent: int = DETAIL) -> None:
        """Why, below what it explains."""
        self._print(self._in(DIM, _wrapped(text, indent)))

    def counts(self, counts: Mapping[str, int]) -> None:
        self.say(" · ".join(f"{count} {IN_WORDS[word]}" for word, count in counts.items()))

    def command(self, words: Sequence[str], person: str | None) -> None:
        prompt = f"{person} $" if person else "$"
        self._print(f"  {prompt} {self._in(BOLD, 'lockkeep ' + clean(shlex.join(words)))}")

    def what_next(self, folder: Path, url: str, *, serving: bool) -> None:
        """Where everything is, and commands to go on with."""
        self.title("Try it yourself")
        self.exact(f"cd {shlex.quote(str(folder))}")
        if not serving:
            self.exact("./lockkeep serve                          the gateway of this story again")
        for line in TRY:
            self.exact(line)
        self.say(f"Tokens of ada, bo and the agent: *.token. MCP for any host: {url}/mcp")
        if serving:
            self.say("The gateway runs until Ctrl-C.")

    def _row(self, line: int, company: str, word: str, colour: str, detail: str) -> None:
        name = clean(company)[:COMPANY] or "(no company)"
        said = self._in(colour, f"{word:<{WORD}}")
        self._print(f"  {line:>{LINE}}  {name:<{COMPANY}}  {said}  {clean(detail)}")

    def _in(self, code: str, text: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self._coloured else text

    def _print(self, text: str) -> None:
        shown = text.encode(sys.stdout.encoding, errors="replace")  # a terminal without é shows the rest
        print(shown.decode(sys.stdout.encoding), flush=True)  # CI shows each line as it comes


def clean(text: str) -> str:
    """Texts come from files and tools: no control character of theirs reaches the terminal."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)


def _wrapped(text: str, indent: int) -> str:
    return textwrap.fill(
        clean(text), WIDTH, initial_indent=" " * indent, subsequent_indent=" " * indent,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
