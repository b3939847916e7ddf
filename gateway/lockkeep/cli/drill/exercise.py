"""One exercise of a drill and what it found."""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import cast

from lockkeep.model import Json

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """What was done, the figures, and every sentence that says what was not as promised."""

    did: str
    numbers: Mapping[str, int]
    findings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Exercise:
    """An exercise that was carried out, or could not be: that is a finding, too."""

    name: str
    found: Found
    ms: int

    @property
    def passed(self) -> bool:
        return not self.found.findings

    @property
    def said(self) -> dict[str, Json]:
        return {
            "exercise": self.name, "passed": self.passed, "did": self.found.did, "numbers": dict(self.found.numbers),
            "findings": list(self.found.findings), "ms": self.ms,
        }  # fmt: skip


@dataclass
class Wrong:
    """Collects what is not as promised."""

    findings: list[str] = field(default_factory=list[str])

    def unless(self, holds: object, sentence: str) -> None:
        if not holds:
            self.findings.append(sentence)


async def carried_out(name: str, work: Callable[[], Awaitable[Found]]) -> Exercise:
    began = time.monotonic()
    try:
        found = await work()
    except Exception as error:
        logger.exception("the exercise %s could not be carried out", name)
        found = Found("It broke off.", {}, (f"it could not be carried out: {_told(error)}",))
    return Exercise(name, found, int((time.monotonic() - began) * 1000))


def _told(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):  # from inside of tasks
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return f"{type(error).__name__}: {error}"[:300]
