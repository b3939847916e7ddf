"""From what was named on the command line to something that can be built: a server, a file, a package."""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import lockkeep_servers

GROUP = "lockkeep_servers.servers"
OURS = Path(lockkeep_servers.__file__).parent
Build = Callable[..., Any]  # (environ, clock) -> the MCP server


class NotFoundHere(LookupError):
    """There is no such server. The sentence says what there is."""


def installed() -> Mapping[str, str]:
    """Return every server by name, as a reference that `load` takes; ours count before they are wired."""
    ours = {
        folder.name: f"lockkeep_servers.{folder.name}.server:build"
        for folder in sorted(OURS.iterdir())
        if (folder / "server.py").exists() and (folder / "manifest.yaml").exists()
    }
    return ours | {each.name: each.value for each in sorted(entry_points(group=GROUP))}


def reference_of(name: str) -> str:
    """Return what `load` takes for a name, a file or a package.

    Raises:
        NotFoundHere: it is none of them.
    """
    known = installed()
    if name in known:
        return known[name]
    if name.endswith(".py"):
        if not Path(name).is_file():
            raise NotFoundHere(f"There is no file {name}.")
        return str(Path(name).resolve())
    for module in (f"{name}.server", name):
        if _exists(module):
            return module
    raise NotFoundHere(
        f"There is no server, file or package {name}. Installed servers: {', '.join(known) or 'none'}."
    )


def load(reference: str) -> Build:
    """Return the `build` of a reference: `module`, `module:attribute`, or the path of a file, read anew.

    Raises:
        NotFoundHere: nothing there can be built.
    """
    if reference.endswith(".py"):
        module, attribute = _of_file(Path(reference)), ""
    else:
        path, _, attribute = reference.partition(":")
        module = importlib.import_module(path)
    found: Any = getattr(module, attribute, None) if attribute else _within(module)
    build = getattr(found, "build", found)
    if not callable(build):
        raise NotFoundHere(f"{reference} holds nothing with a `build(environ, clock)`.")
    return cast(Build, build)


def owner_of(build: Build) -> Any:
    """Return the object whose `build` this is, if it is one's."""
    return getattr(build, "__self__", None)


def folder_of(reference: str) -> Path | None:
    """Return where a server's files stand."""
    if reference.endswith(".py"):
        return Path(reference).parent
    spec = importlib.util.find_spec(reference.partition(":")[0])
    return Path(spec.origin).parent if spec is not None and spec.origin else None


def _within(module: ModuleType) -> Any:
    """A module's own `build`, or the object it made that has one: a class only describes such an object."""
    if callable(getattr(module, "build", None)):
        return getattr(module, "build")  # noqa: B009  (a module has no such attribute for the type checker)
    made = [value for name, value in vars(module).items() if not name.startswith("_") and _builds(value)]
    return made[0] if made else None


def _builds(value: object) -> bool:
    return (
        not inspect.isclass(value) and not inspect.ismodule(value) and callable(getattr(value, "build", None))
    )


def _of_file(path: Path) -> ModuleType:
    """Read the file anew: what it keeps in memory is fresh."""
    name = f"lockkeep_checked_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise NotFoundHere(f"{path} cannot be read as Python.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _exists(module: str) -> bool:
    if not all(part.isidentifier() for part in module.split(".")):
        return False
    try:
        return importlib.util.find_spec(module) is not None
    except (ModuleNotFoundError, ValueError):
        return False
