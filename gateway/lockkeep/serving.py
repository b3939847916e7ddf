"""A gateway as a process: its socket, its signals, its log. Builds nothing itself."""

import logging
import signal
import socket
import sys
import traceback
from collections.abc import Callable

import uvicorn

from lockkeep.app import Gateway, running
from lockkeep.errors import BadSetting, LockkeepError
from lockkeep.ledger import redaction
from lockkeep.settings import Settings
from lockkeep.upstream.opening import Build, installed_server


class _Server(uvicorn.Server):
    """Tells held requests to end before it waits for connections to close."""

    def __init__(self, config: uvicorn.Config, on_exit: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_exit = on_exit

    def handle_exit(self, sig: int, frame: object) -> None:
        self._on_exit()
        super().handle_exit(sig, frame)  # pyright: ignore[reportArgumentType] - uvicorn's own signature


def _heard(_number: int, _frame: object) -> None:
    """uvicorn raises the signal again at its own end; the gateway's orderly stop comes after that."""


def _listen(settings: Settings) -> socket.socket:
    """The bound socket; a port that is taken is one sentence, before anything is said to be served."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(
        family, socket.SOCK_STREAM, socket.IPPROTO_TCP
    )  # named: else answers wait 40 ms for Nagle
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
    except OSError as error:
        listening.close()
        raise PortTaken(f"{settings.host}:{settings.port}: {error.strerror}") from None
    return listening


class PortTaken(LockkeepError):
    """The address cannot be listened on. Stop what uses it, or set LOCKKEEP_PORT to another one."""


async def serve(
    settings: Settings,
    *,
    started: Callable[[Gateway], None] | None = None,
    servers: Callable[[str], Build] = installed_server,
) -> None:
    """Serve until a signal ends it."""
    if not settings.loopback and not settings.allowed_hosts and not settings.public_url:
        raise BadSetting(
            "beyond this machine, LOCKKEEP_PUBLIC_URL or LOCKKEEP_ALLOWED_HOSTS must name the gateway"
        )
    configure_logging(settings.log_level)
    for kind in (signal.SIGINT, signal.SIGTERM):
        signal.signal(kind, _heard)
    async with running(settings, servers=servers) as gateway:
        listening = _listen(settings)
        config = uvicorn.Config(
            gateway.asgi(), host=settings.host, port=settings.port, log_config=None, access_log=False, lifespan="on",
            server_header=False, timeout_graceful_shutdown=int(settings.stop_s) + 1,
        )  # fmt: skip
        if started is not None:
            started(gateway)
        await _Server(config, gateway.holds.stopping.set).serve(sockets=[listening])


class PlainFrames(logging.Formatter):
    """An exception's type and frames, never its text or locals: texts quote payloads. No secret in any line."""

    def format(self, record: logging.LogRecord) -> str:
        return redaction.text(super().format(record))

    def formatException(self, ei: object) -> str:
        kind, _, frames = ei  # pyright: ignore[reportGeneralTypeIssues, reportUnknownVariableType]
        return "".join([*traceback.format_tb(frames), getattr(kind, "__name__", "?")])  # pyright: ignore[reportUnknownArgumentType]


def configure_logging(level: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PlainFrames("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for noisy in ("httpx2", "httpcore2", "mcp", "uvicorn"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
