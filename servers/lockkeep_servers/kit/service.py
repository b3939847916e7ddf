"""One server, put together: which adapters there are, which tools they carry, what the folder says of them."""

import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from mcp.server import Server

from lockkeep_servers.kit.clock import Clock, system_clock
from lockkeep_servers.kit.findings import Finding
from lockkeep_servers.kit.manifest import read_manifest
from lockkeep_servers.kit.settings import SettingError, Settings
from lockkeep_servers.kit.toolserver import Run, build_server
from lockkeep_servers.kit.world.chosen import data_folder

KEYS = (
    "DATA", "ADAPTER", "WORLD", "WORLD_SEED", "WORLD_SIZE", "WORLD_DAY", "SERVICE_KEY", "ALLOWED_HOSTS",
    "FAULT",
)  # fmt: skip
EMBEDDED = "embedded"


class Port(Protocol):
    """What every adapter can do beside the work itself."""

    def session(self) -> AbstractAsyncContextManager[None]: ...
    async def examine(self) -> list[Finding]:
        """The store first, then credentials, by harmless reads; called within a session. Nothing is changed."""
        ...


P = TypeVar("P", bound=Port)
Factory = Callable[[Settings, Clock], P]


@dataclass(frozen=True, kw_only=True)
class Service(Generic[P]):
    """A server before it has settings. `adapters` names, for each setting that chooses one, what can be chosen."""

    name: str
    folder: Path
    open: Factory[P]
    tools: Callable[[P, Settings], Sequence[Run]]
    instructions: str
    adapters: Mapping[str, Collection[str]] = field(default_factory=lambda: {"ADAPTER": (EMBEDDED,)})
    keys: tuple[str, ...] = ()
    toolsets: tuple[str, ...] = ()

    @property
    def options(self) -> Mapping[str, Collection[str]]:
        return {**self.adapters, **({"TOOLSETS": self.toolsets} if self.toolsets else {})}

    def settings(self, environ: Mapping[str, str]) -> Settings:
        return Settings(self.name, environ, (*KEYS, *self.options, *self.keys))

    def build(self, environ: Mapping[str, str], clock: Clock = system_clock) -> Server[None]:
        """Return the MCP server; its store exists, and holds the world if that was asked for."""
        settings = self.settings(environ)
        port = self.open(settings, clock)
        runs = self.tools(port, settings)
        names = [run.__name__ for run in runs]
        manifest = read_manifest(self.folder / "manifest.yaml", self.name, names, some=bool(self.toolsets))
        return build_server(
            self.name, runs=runs, manifest=manifest, session=port.session, instructions=self.instructions
        )

    async def examine(self, environ: Mapping[str, str], *, setup: bool = False) -> list[Finding]:
        """Look at settings, store and back end. Nothing is written unless `setup` asks for the store to be made.

        Raises:
            SettingError, StoreError: it could not even be opened.
        """
        settings = self.settings(environ)
        folder = data_folder(settings, self.name)
        if setup or folder.exists():
            return await self._examine(environ)
        with tempfile.TemporaryDirectory() as nowhere:
            elsewhere = {**environ, settings.name("DATA"): nowhere}
            found = await self._examine(
                {k: v for k, v in elsewhere.items() if k != settings.name("DATA_FILE")}
            )
        missing = Finding(
            "warning", f"There is no store in {folder} yet.", "Start the server, or add --setup."
        )
        return [missing, *found[1:]]

    async def _examine(self, environ: Mapping[str, str]) -> list[Finding]:
        port = self.open(self.settings(environ), system_clock)
        async with port.session():
            return await port.examine()


def adapter_of(
    settings: Settings, server: str, built_in: Mapping[str, Factory[P]], key: str = "ADAPTER"
) -> Factory[P]:
    """Return the factory this setting names: one of ours, or an installed one of `lockkeep_servers.adapters.SERVER`.

    Raises:
        SettingError: none has that name; the sentence lists those there are.
    """
    name = settings.text(key) or EMBEDDED
    if name in built_in:
        return built_in[name]
    installed = {each.name: each for each in entry_points(group=f"lockkeep_servers.adapters.{server}")}
    if name not in installed:
        known = ", ".join(sorted({*built_in, *installed}))
        raise SettingError(f"{settings.name(key)} must be one of: {known}.")
    return installed[name].load()
