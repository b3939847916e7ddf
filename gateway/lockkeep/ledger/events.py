"""In-process events per call, set after the batch that gave the call a final state."""

from collections.abc import Generator
from contextlib import contextmanager

import anyio


class Events:
    """Whoever waits for a call watches first and asks second, so that no event falls in between."""

    def __init__(self) -> None:
        self._watched: dict[str, list[anyio.Event]] = {}

    @contextmanager
    def watch(self, call: str) -> Generator[anyio.Event]:
        event = anyio.Event()
        self._watched.setdefault(call, []).append(event)
        try:
            yield event
        finally:
            left = [other for other in self._watched[call] if other is not event]
            if left:
                self._watched[call] = left
            else:
                del self._watched[call]

    def settled(self, call: str) -> None:
        for event in self._watched.get(call, ()):
            event.set()

    @property
    def watched(self) -> tuple[str, ...]:
        return tuple(self._watched)
