"""Sentences that talk to the agent instead of describing something: found word by word, in time that grows with the text only.

Each word that some rule knows becomes one letter, every other word a dot, and a rule is a short pattern over those letters.
A rule is written as the words one after the other: `a|b` one of them, `..3` up to three others between. Marks at a word:
`<word` and `[word` open a tag, `.word` is the name of a dot file, `word:` has a colon, or the like, behind it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import islice, repeat

from lockkeep.upstream.finding import MOST, Kind, Mark, Severity

_DROP = "ignore|disregard|forget|override|bypass|neglect|discard"
_BEFORE = "previous|prior|above|preceding|earlier|foregoing|former|initial"
_ORDERS = "instruction|instructions|prompt|prompts|guideline|guidelines|directive|directives|directions|training|safeguards"
_PERSON = "user|users|human|humans|person|anyone|anybody|customer|owner|operator"
_TELL = "tell|inform|mention|reveal|disclose|admit"
_TELLING = "telling|informing|mentioning|revealing|disclosing"
_TAKE = "read|open|cat|fetch|load|print|dump|copy|get|include|send|pass|forward|upload|attach|paste|leak|exfiltrate|steal|collect|extract|share|append|provide|retrieve|return|put|access"
_GIVE = "send|forward|leak|exfiltrate|steal|collect|share|append|paste|upload|post|email|include|pass|attach|transmit"
_FILES = (
    "id_rsa|id_ed25519|id_ecdsa|.ssh|.env|.aws|.netrc|.npmrc|.kube|.cursor|.claude|passwd|authorized_keys"
)
_CALL = "call|invoke|execute|trigger"

RULES: tuple[tuple[Kind, Severity, str], ...] = (
    ("override", "alarm", f"{_DROP} ..3 {_BEFORE}|your|system|safety ..2 {_ORDERS}|policies|restrictions|safety"),
    ("override", "alarm", f"ignore|disregard|forget ..1 {_BEFORE}|your|safety ..1 rules|policy|constraints|orders"),
    ("override", "alarm", f"ignore|disregard|forget the|all|any|these|those|other {_ORDERS}|rules"),
    ("override", "alarm", f"ignore|disregard|forget {_ORDERS}"),
    ("override", "alarm", "ignore|disregard|forget everything|anything|all|what ..4 told|learned|instructed"),
    ("override", "warn", "ignore|disregard|forget everything|anything|all ..1 above|prior"),
    ("override", "alarm", f"stop|not|don ..1 following|follow|obey|obeying ..2 your|system|safety|{_BEFORE} ..2 {_ORDERS}|rules|policy|policies"),
    ("override", "alarm", f"your new {_ORDERS}|role|task|goal|identity|objective|mission"),
    ("override", "alarm", f"new|updated|real|actual|true|secret {_ORDERS} :"),
    ("override", "alarm", "you are now ..2 unrestricted|jailbroken|dan|uncensored|root|administrator|developer"),
    ("override", "alarm", "do anything now"),
    ("override", "warn", "from now on ..1 you|always|never ..1 must|will|shall|should|only|call|use|send"),
    ("override", "alarm", "ignoriere|ignorieren|vergiss|vergessen|missachte|missachten ..4 anweisungen|instruktionen|vorgaben|systemprompt"),
    ("override", "alarm", "ignore|ignorez|oublie|oubliez ..3 instructions|consignes|directives ..1 precedentes|anterieures"),
    ("override", "alarm", "ignora|ignore|ignorar|olvida|olvide ..3 instrucciones|ordenes|indicaciones ..1 anteriores|previas"),
    ("secrecy", "alarm", f"not|don|never|dont|without|avoid ..1 {_TELL}|{_TELLING} ..3 {_PERSON}"),
    ("secrecy", "alarm", f"not|don|never|dont ..1 {_TELL} ..1 this|these|anything"),
    ("secrecy", "alarm", f"not|don|never|dont {_TELL} that you|the|this"),
    ("secrecy", "alarm", f"not|don|never|dont ..1 let ..3 {_PERSON} ..1 know|notice|find|learn"),
    ("secrecy", "alarm", f"not|don|never|dont notify|alert|warn ..2 {_PERSON} ..1 about|that this|that|it"),
    ("secrecy", "alarm", f"{_PERSON} ..1 must|should|shall|may|cannot ..1 not|never|cannot ..1 know|notice|learn|realize"),
    ("secrecy", "alarm", f"without the|any {_PERSON} ..1 knowing|noticing|realizing|seeing"),
    ("secrecy", "alarm", f"keep|hide|conceal|hidden|secret ..4 from ..1 {_PERSON}"),
    ("secrecy", "alarm", f"secretly|covertly|stealthily ..2 {_GIVE}|{_CALL}|add|copy|read|use"),
    ("secrecy", "warn", f"silently|quietly|discreetly {_GIVE}|{_CALL}|copy"),
    ("secrecy", "alarm", "sag|sage|sagen|erzahle|verrate|erwahne|informiere ..4 benutzer|nutzer|anwender|kunden ..2 nicht|nichts"),
    ("role", "alarm", "<system|<important|<assistant|<instruction|<instructions|<inst|[inst|<sys|<im_start|<im_end|<endoftext|<system_prompt"),
    ("role", "alarm", "reveal|print|output|repeat|show|send|include|copy|share|tell|return|leak|paste|give|disclose ..4 system|developer|hidden prompt|prompts|instructions"),
    ("role", "alarm", "system|admin|administrator|developer override|instruction|directive|command :"),
    ("role", "warn", "system prompt|prompts"),
    ("order", "warn", f"you|agent|assistant|model|llm|ai must|should|shall|have|need|always ..3 {_CALL}"),
    ("order", "warn", f"always|immediately {_CALL}"),
    ("order", "warn", f"important|critical|attention|mandatory|urgent : ..5 {_CALL}|exfiltrate|forward"),
    ("order", "warn", "important|critical|attention|mandatory|urgent : ..6 run|use ..2 tool|tools|function"),
    ("order", "alarm", f"before ..2 using|calling|any|every|each|invoking ..2 other tool|tools|function ..6 {_CALL}|read|send|use"),
    ("order", "alarm", "send|forward|upload|post|copy|include|pass|append|attach|put ..3 whole|full|entire|complete ..1 conversation|chat|dialogue|transcript|context|prompt ..1 history|so|to|as|in"),
    ("order", "alarm", "all|every|any emails|email|messages|payments|refunds|orders|files must|should|shall ..1 be ..1 sent|forwarded|paid|copied|routed ..1 to"),
    ("secret", "alarm", f"{_TAKE} ..6 {_FILES}"),
    ("secret", "alarm", f"{_TAKE} ..4 mcp json"),
    ("secret", "alarm", "read|send|leak|exfiltrate|steal|forward|cat|collect|extract|dump ..4 ssh|private|secret key|keys"),
    ("secret", "alarm", f"{_GIVE}|dump|read|print ..3 your|user|s|all|users ..2 passwords|credentials|secrets|cookies|seed|tokens"),
    ("secret", "alarm", f"{_GIVE}|dump|read|print ..3 your|user|s|all environment variables"),
    ("secret", "warn", f"{_GIVE}|dump|read|print ..2 environment variables"),
    ("secret", "warn", f"{_GIVE}|put ..3 your|user|s|all ..2 password|token|key|keys|wallet"),
    ("secret", "warn", _FILES),
)  # fmt: skip


Letters = frozenset[str]

_BLANK = {code: " " for code in range(128) if not (chr(code).isalnum() or chr(code) == "_")}
_MARKS = {
    "<": re.compile(r"<[/|!<]?\s?\Z"),
    "[": re.compile(r"\[/?\Z"),
    ".": re.compile(r"(?<![\w.])\.\Z"),
    ":": re.compile(r"""[\s*_"')>]{0,4}[:!]"""),
}


class _Alphabet:
    """A letter for every word of the rules, and one for every word with a mark."""

    def __init__(self) -> None:
        self.of: dict[str, str] = {}
        self.marked: dict[str, dict[str, str]] = {}  # word -> mark -> letter
        self._size = 0

    def add(self, word: str) -> None:
        bare, mark = _parts(word)
        if bare not in self.of:
            self.of[bare] = self._next()
        if mark and mark not in self.marked.setdefault(bare, {}):
            self.marked[bare][mark] = self._next()

    def letters(self, word: str) -> Letters:
        """What the word of a rule may have become: a plain word may have a mark, too."""
        bare, mark = _parts(word)
        marked = self.marked.get(bare, {})
        return frozenset(marked[mark] if mark else {self.of[bare], *marked.values()})

    def _next(self) -> str:
        self._size += 1
        return chr(0xE000 + self._size)


class _Rule:
    """One rule as a pattern over letters; without a letter for each of its steps a text cannot match."""

    def __init__(self, kind: Kind, severity: Severity, steps: Sequence[str], alphabet: _Alphabet) -> None:
        self.kind: Kind = kind
        self.severity: Severity = severity
        self.needs: list[Letters] = []
        pattern = ""
        for step in steps:
            if step.startswith(".."):
                pattern += f".{{0,{step[2:]}}}"
                continue
            self.needs.append(frozenset[str]().union(*(alphabet.letters(word) for word in step.split("|"))))
            pattern += f"[{''.join(sorted(self.needs[-1]))}]"
        self._pattern = re.compile(pattern)

    def places(self, spelt: str, present: set[str]) -> Iterator[tuple[int, int]]:
        if all(not present.isdisjoint(need) for need in self.needs):
            for match in islice(self._pattern.finditer(spelt), MOST):
                yield match.span()


def _parts(word: str) -> tuple[str, str]:
    if word[0] in "<[.":
        return word[1:], word[0]
    return (word[:-1], ":") if word.endswith(":") else (word, "")


def _steps(rule: str) -> list[str]:
    """The steps of a rule; a lone colon belongs to each word of the step before it."""
    steps = re.sub(r"(\S+) :", lambda step: f"{step[1].replace('|', ':|')}:", rule)
    return steps.split(" ")


@cache
def _compiled() -> tuple[_Alphabet, list[_Rule]]:
    alphabet = _Alphabet()
    rules: list[tuple[Kind, Severity, list[str]]] = [
        (kind, severity, _steps(rule)) for kind, severity, rule in RULES
    ]
    for _, _, steps in rules:
        for word in "|".join(step for step in steps if not step.startswith("..")).split("|"):
            alphabet.add(word)
    return alphabet, [_Rule(kind, severity, steps, alphabet) for kind, severity, steps in rules]


def phrases(text: str) -> list[Mark]:
    """Every place of a text (already folded) that a rule speaks of."""
    alphabet, rules = _compiled()
    spaced = _spaced(text)
    words = spaced.split()
    spelt = "".join(map(alphabet.of.get, words, repeat(".")))
    present = set(spelt)
    for word, marks in alphabet.marked.items():
        if alphabet.of[word] in present:
            letters = _marked(text, spaced, word, {"": alphabet.of[word], **marks})
            spelt = re.sub(alphabet.of[word], lambda _, letters=letters: next(letters), spelt)
    present = set(spelt)
    found = [(rule, *place) for rule in rules for place in rule.places(spelt, present)]
    if not found:
        return []
    spans = [word.span() for word in re.finditer(r"\S+", spaced)]
    return [Mark(rule.kind, rule.severity, spans[start][0], spans[end - 1][1]) for rule, start, end in found]


def _spaced(text: str) -> str:
    """The text in small letters with blanks for all signs, each at its place; inside of a word the underscore stays."""
    others = {} if text.isascii() else {ord(char): char for char in set(text)}
    blank = text.translate({**others, **_BLANK}).lower()
    return f" {blank} ".replace(" _", "  ").replace("_ ", "  ")[1:-1] if "_" in blank else blank


def _marked(text: str, spaced: str, word: str, letters: Mapping[str, str]) -> Iterator[str]:
    """The letter of this word at each of its places, one after the other, as it has a mark there or none."""
    for place in re.finditer(rf"(?<!\S){word}(?!\S)", spaced):
        has = (mark for mark in letters if mark and _has(mark, text, place.start(), len(word)))
        yield letters[next(has, "")]


def _has(mark: str, text: str, at: int, size: int) -> bool:
    if mark == ":":
        return _MARKS[mark].match(text, at + size) is not None
    return _MARKS[mark].search(text, max(0, at - 4), at) is not None
