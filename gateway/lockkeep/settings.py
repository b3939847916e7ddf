"""The settings of one gateway process, from the environment. Everything else stands in the policies folder."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from lockkeep.errors import BadSetting

PREFIX = "LOCKKEEP_"
RETENTION_FLOOR = 183  # days: six months, AI Act Articles 19 and 26
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every key is an environment variable LOCKKEEP_<KEY>; docs/reference/settings.md explains each."""

    data: Path = Path(".lockkeep")
    policies: Path = Path("policies")
    host: str = "127.0.0.1"
    port: int = 8700
    public_url: str = ""
    allowed_hosts: str = ""
    hold_s: float = 25.0
    max_body_mb: int = 4
    stop_s: float = 10.0
    log_level: str = "INFO"
    heads_folder: str = ""
    heads_syslog: str = ""
    heads_webhook: str = ""
    retention_days: int = 400
    retention_floor: str = "on"

    @property
    def store(self) -> Path:
        return self.data / "lockkeep.db"

    @property
    def url(self) -> str:
        """The address people and hosts use."""
        return self.public_url.rstrip("/") or f"http://{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        return self.host in ("127.0.0.1", "localhost", "::1")


def from_environment(environ: Mapping[str, str] | None = None) -> Settings:
    """The settings; a value that cannot be used is named with its variable."""
    env = os.environ if environ is None else environ
    found: dict[str, object] = {}
    for field in fields(Settings):
        name = PREFIX + field.name.upper()
        if (text := env.get(name)) is None:
            continue
        default = field.default
        try:
            found[field.name] = type(default)(text)  # pyright: ignore[reportCallIssue] - str, int, float or Path
        except ValueError:
            raise BadSetting(f"{name}={text} is not {_word(default)}") from None
    settings = Settings(**found)  # pyright: ignore[reportArgumentType] - converted just above
    if not 0 <= settings.hold_s <= 45:
        raise BadSetting(f"{PREFIX}HOLD_S is from 0 to 45 seconds: hosts give up after 60")
    if settings.log_level.upper() not in LEVELS:
        raise BadSetting(f"{PREFIX}LOG_LEVEL is one of {', '.join(LEVELS)}")
    if settings.retention_floor not in ("on", "off"):
        raise BadSetting(f"{PREFIX}RETENTION_FLOOR is on or off")
    if settings.retention_days < (RETENTION_FLOOR if settings.retention_floor == "on" else 1):
        raise BadSetting(
            f"{PREFIX}RETENTION_DAYS is at least {RETENTION_FLOOR}: the EU AI Act wants logs for six months; "
            f"{PREFIX}RETENTION_FLOOR=off allows less"
        )
    if not 0 <= settings.port <= 65535:
        raise BadSetting(f"{PREFIX}PORT is from 0 to 65535")
    return settings


def _word(default: object) -> str:
    return "a whole number" if isinstance(default, int) else "a number"
