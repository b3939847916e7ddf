"""The same client for programs without an event loop."""

from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import Any, Self

from anyio.from_thread import BlockingPortal, start_blocking_portal

from lockkeep_client.gateway import GatewayClient, OnProgress, Tool
from lockkeep_client.outcomes import Outcome, Pending


class GatewayClientSync:
    """The twin of `GatewayClient`: same calls, same answers. Use it as `with GatewayClientSync() as client`."""

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        workflow: str | None = None,
        timeout: float = 300,
    ) -> None:
        """Address and token come from the arguments, else LOCKKEEP_URL, LOCKKEEP_TOKEN and the token file."""
        self._client = GatewayClient(url, token, workflow=workflow, timeout=timeout)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._portal: BlockingPortal = stack.enter_context(start_blocking_portal())
            stack.enter_context(self._portal.wrap_async_context_manager(self._client))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def call(
        self,
        tool: str,
        args: Mapping[str, Any] | None = None,
        *,
        run: str | None = None,
        step: str | None = None,
        idempotency_key: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> Outcome:
        """How the call ended. It is sent once: a connection that breaks afterwards makes it `Unknown`."""
        keys = {"run": run, "step": step, "idempotency_key": idempotency_key}
        return self._portal.call(partial(self._client.call, tool, args, **keys, on_progress=on_progress))

    def wait(
        self, pending: Pending | str, timeout: float, *, on_progress: OnProgress | None = None
    ) -> Outcome:
        """How a parked call ended; still `Pending` when the time is over."""
        return self._portal.call(partial(self._client.wait, pending, timeout, on_progress=on_progress))

    def status(self, id: str | None = None) -> dict[str, Any]:
        """What the gateway says is open for this caller, or about one call, approval or run of theirs."""
        return self._portal.call(self._client.status, id)

    def tools(self) -> list[Tool]:
        """The tools this caller may use at this address."""
        return self._portal.call(self._client.tools)
