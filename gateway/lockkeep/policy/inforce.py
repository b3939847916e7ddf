"""The policy set in force: swapped whole when a newer generation stands in the store; the last good one stays."""

import logging
from dataclasses import replace

from lockkeep.ledger import generations
from lockkeep.policy.bundle import PolicySet, load
from lockkeep.store import Store

logger = logging.getLogger(__name__)


class InForce:
    """Running decisions keep the set they began with; the claim compares generations."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.refused = 0  # the newest generation, if it does not load
        self.current: PolicySet | None = None

    def refresh(self) -> bool:
        """True if another set is in force now. One indexed read when nothing changed."""
        newest = generations.newest(self._store.read)
        if newest == (self.current.generation if self.current else 0) or newest == self.refused:
            return False
        try:
            stored = generations.current(self._store.read)
            found, problems = load(stored.files, generation=stored.id) if stored else (None, [])
            if found is not None and stored is not None and stored.observe_until is not None:
                found = replace(found, observe_until=stored.observe_until)
        except Exception:  # whatever stands in the store, the last good set stays
            logger.exception("policy generation %d cannot be read", newest)
            found, problems = None, []
        if found is None:
            self.refused = newest
            logger.error("alarm: policy generation %d does not load (%d problems)", newest, len(problems))
            return False
        self.current, self.refused = found, 0
        return True
