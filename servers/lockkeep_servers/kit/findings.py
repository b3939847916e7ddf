"""What `doctor` saw when it looked at a server's settings, store and back end."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "unusable"]


@dataclass(frozen=True)
class Finding:
    """One sentence, and what a person does about it if it is not ok."""

    level: Level
    what: str
    fix: str = ""
