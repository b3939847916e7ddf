"""A look at what a server answered, before a model reads it: hidden characters, and words that give orders."""

from collections.abc import Iterator, Mapping
from typing import cast

import anyio.to_thread

from lockkeep.model import Json, is_object
from lockkeep.upstream.scan import scan

AT_ONCE = 20_000  # characters that hold nobody up; more are looked at beside the event loop
DEEPEST = 60


async def alarms_in(result: Mapping[str, Json]) -> tuple[str, ...]:
    """The kinds of alarm in it, each as `scan:KIND`. It is passed on all the same: rules decide what is shown."""
    text = "\n".join(dict.fromkeys(_texts(result, 0)))
    found = scan(text) if len(text) <= AT_ONCE else await anyio.to_thread.run_sync(scan, text)
    return tuple(dict.fromkeys(f"scan:{each.kind}" for each in found if each.severity == "alarm"))


def _texts(value: Json, depth: int) -> Iterator[str]:
    """Every text that hosts may show; keys too, since a server chooses them."""
    if isinstance(value, str):
        yield value
    elif depth > DEEPEST:
        return
    elif is_object(value):
        for name, part in value.items():
            yield name
            yield from _texts(part, depth + 1)
    elif isinstance(value, list):
        for part in cast("list[Json]", value):
            yield from _texts(part, depth + 1)
