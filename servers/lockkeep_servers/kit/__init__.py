"""What tool servers share: checked arguments, receipts, errors, manifests, settings, the seeded world.

A one-file server needs no more than what stands here. A name is imported when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lockkeep_servers.kit.errors import CheckFailed, Duplicate, Invalid, NotFound, Unavailable
    from lockkeep_servers.kit.onefile import Server
    from lockkeep_servers.kit.results import Result

__all__ = ["CheckFailed", "Duplicate", "Invalid", "NotFound", "Result", "Server", "Unavailable"]
_HOMES = {"Server": "onefile", "Result": "results"}  # the others are errors


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'errors')}"), name)
