"""The named statements of the `.sql` files beside this one."""

import re
from functools import cache
from importlib.resources import files

NAME = re.compile(r"^-- name: (\w+)", re.MULTILINE)


@cache
def statements() -> dict[str, str]:
    """Every `-- name: …` statement; a name used twice stops the start."""
    found: dict[str, str] = {}
    for file in sorted(files("lockkeep.store").iterdir(), key=lambda entry: entry.name):
        if not file.name.endswith(".sql"):
            continue
        parts = NAME.split(file.read_text(encoding="utf-8"))
        for name, body in zip(parts[1::2], parts[2::2], strict=True):
            if name in found:
                raise ValueError(f"two statements are named {name}")
            found[name] = body.partition("\n")[2].strip()
    return found
