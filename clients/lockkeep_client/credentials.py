"""The caller's token: read each time it is needed, so that `token set` mends a running bridge."""

import os
import re
import stat
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lockkeep_client.errors import NotLoggedIn
from lockkeep_client.settings import user_folder

_TOKEN = re.compile(r"[\x21-\x7e]{1,8192}")


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """Where the token may be: LOCKKEEP_TOKEN first, else the token file."""

    env: Mapping[str, str]
    file: Path

    @classmethod
    def of_user(cls, env: Mapping[str, str], home: Path) -> "Credentials":
        """The credentials of the person whose environment and home folder these are."""
        return cls(env=env, file=user_folder(env, home) / "token")

    def token(self) -> str | None:
        """The token, or None where the user never set one."""
        if found := self.env.get("LOCKKEEP_TOKEN", "").strip():
            return checked(found)
        try:
            return checked(self.file.read_text(encoding="utf-8").strip())
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise NotLoggedIn(
                f"The token file {self.file} cannot be read ({type(error).__name__})."
            ) from None

    def store(self, token: str) -> None:
        """The file holds this token, whole, and only its owner can read it."""
        checked(token)
        self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self.file.parent, prefix=".token-")  # mkstemp makes it 0600
        fresh = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as out:
                out.write(token + "\n")
                out.flush()
                os.fsync(out.fileno())
            fresh.replace(self.file)
        finally:
            fresh.unlink(missing_ok=True)

    def readable_by_others(self) -> bool:
        """True when the token file lets anyone but its owner in. Windows keeps the profile folder private instead."""
        if sys.platform == "win32" or not self.file.exists():
            return False
        return bool(self.file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))


def checked(token: str) -> str:
    """The token itself; what cannot be one is refused here, because HTTP libraries quote a bad header."""
    if not _TOKEN.fullmatch(token):
        raise NotLoggedIn(
            "What is stored as the token is empty or holds blanks. Run `lockkeep-client token set` again."
        )
    return token
