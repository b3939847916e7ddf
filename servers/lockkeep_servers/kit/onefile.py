"""A whole server in one file: type hints are the schema, `class_` and `undo` the manifest."""

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar, get_type_hints

from mcp import server as sdk
from pydantic import create_model

from lockkeep_servers.kit.arguments import Arguments
from lockkeep_servers.kit.clock import Clock, system_clock
from lockkeep_servers.kit.findings import Finding
from lockkeep_servers.kit.manifest import Entry, ManifestError, entry_of
from lockkeep_servers.kit.results import Result
from lockkeep_servers.kit.run import run
from lockkeep_servers.kit.service import KEYS
from lockkeep_servers.kit.settings import Settings
from lockkeep_servers.kit.toolserver import Tool, serve

F = TypeVar("F", bound=Callable[..., Awaitable[Any]])


class Server:
    """Collects tools; `run()` serves them over stdio or HTTP, `build` makes the MCP server of them.

    A tool is an async function. Its parameters are checked arguments, its docstring is the description. It returns a
    `Result`, or anything JSON can say, which is then the field `result` of its answer.
    """

    def __init__(self, name: str, *, instructions: str = "", keys: tuple[str, ...] = ()) -> None:
        self.name = name
        self._instructions = instructions
        self._keys = (*KEYS, *keys)
        self._tools: list[Tool] = []
        self._manifest: dict[str, Entry] = {}
        self._given: Settings | None = None

    def tool(self, *, class_: str, undo: str | Mapping[str, Any] = "", **entry: Any) -> Callable[[F], F]:
        """Register a function. `entry` is the rest of its manifest, as in docs/reference/manifests.md.

        Raises:
            ManifestError: the function is no tool, or its entry is not complete; the sentence says what to change.
        """
        said = {"class": class_, **({"undo": undo} if undo else {}), **entry}

        def register(function: F) -> F:
            made = _tool(self.name, function)
            if made.name in self._manifest:
                raise ManifestError(f"{self.name}.{made.name} is there twice.")
            self._manifest[made.name] = entry_of(self.name, made.name, said)
            self._tools.append(made)
            return function

        return register

    def setting(self, key: str) -> str | None:
        """What `LOCKKEEP_<SERVER>_<KEY>` says, or the file that `..._FILE` names; known once the server is built."""
        if self._given is None:
            raise RuntimeError("Settings are known once the server is built.")
        return self._given.text(key)

    @property
    def options(self) -> Mapping[str, Collection[str]]:
        return {}

    def settings(self, environ: Mapping[str, str]) -> Settings:
        return Settings(self.name, environ, self._keys)

    def build(self, environ: Mapping[str, str], clock: Clock = system_clock) -> sdk.Server[None]:
        """Return the MCP server of these tools. The clock is the tools' own affair."""
        self._given = self.settings(environ)
        return serve(self.name, self._tools, self._manifest, _nothing_to_open, self._instructions)

    async def examine(self, environ: Mapping[str, str], *, setup: bool = False) -> list[Finding]:
        self.build(environ)
        return [Finding("ok", f"{len(self._tools)} tools, and nothing to keep.")]

    def run(self) -> None:
        """Serve: stdio, or `--http [HOST:]PORT`."""
        run(self)


@asynccontextmanager
async def _nothing_to_open() -> AsyncGenerator[None]:
    yield


def _tool(server: str, function: Callable[..., Awaitable[Any]]) -> Tool:
    name, described = function.__name__, inspect.cleandoc(function.__doc__ or "")
    if not inspect.iscoroutinefunction(function):
        raise ManifestError(f"{server}.{name} must be an async function.")
    if not described:
        raise ManifestError(f"{server}.{name} needs a docstring: it is what a model reads.")
    hints: dict[str, Any] = get_type_hints(function, include_extras=True)
    if "return" not in hints:
        raise ManifestError(f"{server}.{name} must say what it returns.")
    answer = hints.pop("return")
    arguments = create_model(name, __base__=Arguments, **_fields(server, function, hints))
    if isinstance(answer, type) and issubclass(answer, Result):
        return Tool(name, described, arguments, answer, _calling(function))
    field: dict[str, Any] = {"result": (answer, ...)}
    wrapped: type[Result] = create_model(f"{name}_answer", __base__=Result, **field)
    call = _calling(function)

    async def call_and_wrap(asked: Arguments) -> Result:
        return wrapped.model_validate({"result": await call(asked)})

    return Tool(name, described, arguments, wrapped, call_and_wrap)


def _calling(function: Callable[..., Awaitable[Any]]) -> Callable[[Arguments], Awaitable[Any]]:
    async def call(asked: Arguments) -> Any:
        return await function(**{field: getattr(asked, field) for field in type(asked).model_fields})

    return call


def _fields(server: str, function: Callable[..., Any], hints: Mapping[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name not in hints:
            raise ManifestError(f"{server}.{function.__name__}: the parameter {parameter.name} needs a type.")
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (hints[parameter.name], default)
    return fields
