"""Settings of one server: `LOCKKEEP_<SERVER>_<KEY>`, or `..._<KEY>_FILE` for a file that holds the value."""

import stat
from collections.abc import Collection, Mapping
from pathlib import Path


class SettingError(ValueError):
    """A setting cannot be used. The sentence names it and what to do."""


class Settings:
    """The settings of one server as given; an unknown or doubled one stops the start."""

    def __init__(self, server: str, environ: Mapping[str, str], known: Collection[str]) -> None:
        self._prefix = f"LOCKKEEP_{server.upper()}_"
        self._given = {name: value for name, value in environ.items() if name.startswith(self._prefix)}
        allowed = {f"{self._prefix}{key}{form}" for key in known for form in ("", "_FILE")}
        if unknown := sorted(set(self._given) - allowed):
            names = ", ".join(sorted(self._prefix + key for key in known))
            raise SettingError(f"{unknown[0]} is not a setting. Known: {names}.")

    def name(self, key: str) -> str:
        return self._prefix + key

    def text(self, key: str, default: str | None = None) -> str | None:
        """Return the value, the content of its file, or the default."""
        plain, file = self._given.get(self.name(key)), self._given.get(self.name(key) + "_FILE")
        if plain is not None and file is not None:
            raise SettingError(f"{self.name(key)} and {self.name(key)}_FILE are both set. Keep one.")
        if file is not None:
            return _secret(self.name(key) + "_FILE", Path(file))
        return plain or default

    def choice(self, key: str, options: Collection[str], default: str) -> str:
        value = self.text(key) or default
        if value not in options:
            raise SettingError(f"{self.name(key)} must be one of: {', '.join(sorted(options))}.")
        return value

    def several(self, key: str, options: Collection[str], default: str) -> list[str]:
        """Return the names a setting lists, separated by commas."""
        names = [name.strip() for name in (self.text(key) or default).split(",")]
        if unknown := [name for name in names if name not in options]:
            raise SettingError(
                f"{self.name(key)}: there is no {unknown[0]!r}; choose of: {', '.join(options)}."
            )
        return names

    def whole(self, key: str, default: int) -> int:
        value = self.text(key) or str(default)
        if not value.isascii() or not value.isdigit():
            raise SettingError(f"{self.name(key)} must be a whole number.")
        return int(value)


def _secret(name: str, path: Path) -> str:
    try:
        mode = path.stat().st_mode
        value = path.read_text(encoding="utf-8").strip()
    except OSError:
        raise SettingError(f"{name}: the file cannot be read.") from None
    if stat.S_IMODE(mode) & 0o077:
        raise SettingError(f"{name}: others may read this file. Run chmod 600 on it.")
    return value
