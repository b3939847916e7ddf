"""`# lint: allow ID REASON` on an entry's line: that finding was seen, and is meant so."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from lockkeep.policy.lint.material import Finding
from lockkeep.policy.positions import Place, nearest

COMMENT = re.compile(r"(?:^|\s)#\s*lint:\s*allow\s+(?P<kind>\S+)[ \t]*(?P<reason>.*)$")
FORM = "# lint: allow {} WHY"


@dataclass(frozen=True, slots=True)
class Comment:
    place: Place
    kind: str
    reason: str


def heeded(
    found: Iterable[Finding], files: Mapping[str, str], kinds: Collection[str], skipped: Collection[str] = ()
) -> list[Finding]:
    """The findings that no comment silences, and the comments that silence nothing. `skipped` was not looked for."""
    comments = [
        each for name, text in files.items() if name.endswith(".yaml") for each in _comments(name, text)
    ]
    by_line: dict[tuple[str, int], list[Comment]] = {}
    for comment in comments:
        by_line.setdefault((comment.place.file, comment.place.line), []).append(comment)
    left: list[Finding] = []
    used: set[Comment] = set()
    for finding in found:
        lines = {(place.file, place.line) for place in (finding.place, *finding.also)}
        about = [each for line in lines for each in by_line.get(line, ()) if each.kind == finding.kind]
        used |= set(about)
        if not about:
            left.append(finding)
        elif not any(each.reason for each in about):
            left.append(replace(finding, hint=f"the comment needs a reason: {FORM.format(finding.kind)}"))
    return [
        *left,
        *(_idle(each, kinds) for each in comments if each not in used and each.kind not in skipped),
    ]


def _comments(file: str, text: str) -> Iterator[Comment]:
    for number, line in enumerate(text.splitlines(), 1):
        if match := COMMENT.search(line):
            place = Place(file, number, line.index("#", match.start()) + 1)
            yield Comment(place, match["kind"], match["reason"].strip())


def _idle(comment: Comment, kinds: Collection[str]) -> Finding:
    if comment.kind not in kinds:
        message, hint = f"there is no lint '{comment.kind}'", nearest(comment.kind, kinds)
    else:
        message, hint = f"there is no {comment.kind} on this line (any more)", "take the comment out"
    return Finding(kind="unused", place=comment.place, message=message, hint=hint)
