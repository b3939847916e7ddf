"""How a server is reached, and how it is made fresh: in this process, as a command, or at an address."""

import shutil
import tempfile
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, cast

from mcp import Client
from mcp.client.stdio import StdioServerParameters

from lockkeep_servers.check.cases import NOW
from lockkeep_servers.check.desk import Clock, Desk
from lockkeep_servers.check.find import Build, folder_of, installed, load, owner_of, reference_of
from lockkeep_servers.kit.clock import Clock as Now
from lockkeep_servers.kit.faults import Trouble, Troubled
from lockkeep_servers.kit.service import EMBEDDED, Service
from lockkeep_servers.kit.settings import SettingError, Settings

Environ = Mapping[str, str]
Start = Callable[[Environ, Clock, Trouble], Any]  # what an MCP client connects to
MEMORY = Path("/dev/shm")  # noqa: S108  (a folder of our own is made in it)


class Stores:
    """Folders for stores, each a copy of one that was seeded once; all gone at the end."""

    def __init__(self, *, in_memory: bool = False) -> None:
        self._place = MEMORY if in_memory and MEMORY.is_dir() else None
        self._root: Path | None = None
        self._seeded: dict[tuple[Any, ...], Path] = {}
        self._made = 0

    def seeded(self, of: tuple[Any, ...], seed: Callable[[Path], None]) -> Path:
        """Return a copy of the store that was seeded for these."""
        if of not in self._seeded:
            self._seeded[of] = self.empty()
            seed(self._seeded[of])
        return self.copy(self._seeded[of])

    def copy(self, of: Path) -> Path:
        folder = self.empty()
        shutil.copytree(of, folder, dirs_exist_ok=True)
        return folder

    def empty(self) -> Path:
        self._root = self._root or Path(tempfile.mkdtemp(prefix="lockkeep-check-", dir=self._place))
        self._made += 1
        folder = self._root / str(self._made)
        folder.mkdir()
        return folder

    def clear(self) -> None:
        if self._root is not None:
            shutil.rmtree(self._root, ignore_errors=True)
        self._root, self._seeded = None, {}


@dataclass(kw_only=True)
class Target:
    """One server with one adapter. `fresh` returns the settings of a new, seeded back end."""

    name: str
    adapter: str
    start: Start
    fresh: Callable[[], Environ] | None = None
    base: Environ = field(default_factory=dict[str, str])  # settings that always hold
    reference: str = ""  # how another process can load it
    folder: Path | None = None
    seedable: bool = False  # the kit itself can make a fresh store
    clocked: bool = False  # its clock can be moved
    troubled: bool = False  # its port can be made to fail
    writable: bool = True  # its back end is there to be written to
    stores: Stores = field(default_factory=Stores)
    now: datetime = NOW

    @property
    def embedded(self) -> bool:
        """Its store is a file of this machine that can be looked into."""
        return self.seedable and self.adapter == EMBEDDED

    @property
    def forkable(self) -> bool:
        return bool(self.reference) and not self.reference.endswith(".py")

    def key(self, name: str) -> str:
        return f"LOCKKEEP_{self.name.upper().replace('-', '_')}_{name}"

    def store_of(self, environ: Environ) -> Path:
        return Path(environ[self.key("DATA")])

    def new(self, settings: Environ, case: Environ) -> Environ:
        """Return the settings of a fresh store; those of one case come on top."""
        mine = {self.key(name): value for name, value in case.items()}
        if self.fresh is not None:
            return {**self.base, **self.fresh(), **mine}
        given = {self.key(name): value for name, value in settings.items()}
        if not self.seedable:
            return {**self.base, **mine}
        folder = self.stores.seeded((self.name, *sorted(given.items())), lambda at: self._seed(given, at))
        return {**self.base, **given, self.key("DATA"): str(folder), **mine}

    def _seed(self, given: Environ, folder: Path) -> None:
        self.start({**self.base, **given, self.key("DATA"): str(folder)}, Clock(self.now), Trouble())

    @asynccontextmanager
    async def opened(
        self, environ: Environ, trouble: Trouble | None = None, now: datetime | None = None
    ) -> AsyncGenerator[Desk]:
        """A connection; the server and its clock begin with it."""
        clock = Clock(now or self.now)
        async with Client(self.start(environ, clock, trouble or Trouble())) as client:
            yield Desk(client, environ, clock if self.clocked else None)


def in_process(
    reference: str,
    adapter: str = EMBEDDED,
    *,
    environ: Environ | None = None,
    fresh: Callable[[], Environ] | None = None,
) -> Target:
    """Return a server of this environment, reached without a network.

    `environ` holds the settings of a back end that is simply there; `fresh` makes a new one, seeded and to be
    written to, and returns its settings.

    Raises:
        NotFoundHere: nothing there can be built.
        SettingError: it has no such adapter.
    """
    build = load(reference)
    service = owner_of(build)
    folder = folder_of(reference)
    if not isinstance(service, Service):
        name = str(getattr(service, "name", "") or Path(reference.partition(":")[0]).stem.split(".")[0])
        return Target(
            name=name, adapter=EMBEDDED, start=_anew(reference, build), reference=reference, folder=folder,
            clocked=True,
        )  # fmt: skip
    known = cast(Service[Any], service)
    return Target(
        name=known.name,
        adapter=adapter,
        start=lambda environ, clock, trouble: _troubled(known, trouble).build(environ, clock),
        base={**_of_server(known.name, environ or {}), **_choice(known, adapter)},
        reference=reference,
        folder=folder,
        fresh=fresh,
        seedable=adapter == EMBEDDED and fresh is None,
        clocked=True,
        troubled=True,
        writable=adapter == EMBEDDED or fresh is not None,
    )


def named(
    name: str,
    adapter: str = EMBEDDED,
    *,
    environ: Environ | None = None,
    fresh: Callable[[], Environ] | None = None,
) -> Target:
    """Return the target of a name, a file or a package."""
    return in_process(reference_of(name), adapter, environ=environ, fresh=fresh)


def having(adapter: str) -> list[str]:
    """Return the installed servers that can be run with this adapter."""
    return [name for name, reference in installed().items() if adapter in _adapters(reference)]


def _adapters(reference: str) -> set[str]:
    service = owner_of(load(reference))
    if not isinstance(service, Service):
        return {EMBEDDED}
    known = cast(Service[Any], service)
    more = {each.name for each in entry_points(group=f"lockkeep_servers.adapters.{known.name}")}
    return more.union(*known.adapters.values())


def command(words: list[str], environ: Environ) -> Target:
    """Return a server that is started as a process for each connection, and spoken to over stdio."""
    process = StdioServerParameters(command=words[0], args=words[1:], env=dict(environ))
    return Target(
        name=Path(words[0]).stem, adapter="command", start=_always(process), base=environ, writable=False
    )


def address(url: str) -> Target:
    """Return a server that already runs somewhere."""
    return Target(name=url, adapter="url", start=_always(url), writable=False)


def _always(reached: Any) -> Start:
    def start(environ: Environ, clock: Clock, trouble: Trouble) -> Any:
        return reached

    return start


def _anew(reference: str, build: Build) -> Start:
    """A server that keeps its things in memory is read anew for each connection."""

    def start(environ: Environ, clock: Clock, _: Trouble) -> Any:
        fresh = load(reference) if reference.endswith(".py") else build
        return fresh(environ, clock)

    return start


def _troubled(service: Service[Any], trouble: Trouble) -> Service[Any]:
    def open_troubled(settings: Settings, clock: Now) -> Any:
        return Troubled(service.open(settings, clock), trouble)

    return replace(service, open=open_troubled)


def _choice(service: Service[Any], adapter: str) -> dict[str, str]:
    """The settings that choose the adapter; a server with several ports takes it wherever it can."""
    prefix = f"LOCKKEEP_{service.name.upper()}_"
    keys = [key for key, options in service.adapters.items() if adapter in options]
    if not keys and len(service.adapters) > 1:
        raise SettingError(f"{service.name} has no adapter {adapter}. There are: {_listed(service)}.")
    return {prefix + key: adapter for key in keys or service.adapters}


def _listed(service: Service[Any]) -> str:
    options: set[str] = set()
    for each in service.adapters.values():
        options |= set[str](_texts(each))
    return ", ".join(sorted(options))


def _texts(options: Collection[str]) -> list[str]:
    return [str(option) for option in options]


def _of_server(name: str, environ: Environ) -> dict[str, str]:
    prefix = f"LOCKKEEP_{name.upper()}_"
    return {key: value for key, value in environ.items() if key.startswith(prefix)}
