"""Credentials are references. Their values are read when a connection opens, and no message ever holds one."""

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from lockkeep.errors import BadCredential

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET = re.compile(r"TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|CREDENTIAL|PRIVATE", re.IGNORECASE)
_POINTER = re.compile(r"_(FILE|PATH|DIR|URL)$", re.IGNORECASE)


def resolve(reference: str, environ: Mapping[str, str] | None = None) -> str:
    """The value behind env:NAME or file:PATH; never empty."""
    kind, _, rest = reference.partition(":")
    if kind == "env":
        return _from_environment(rest, os.environ if environ is None else environ)
    if kind == "file":
        return _from_file(Path(rest).expanduser())
    raise BadCredential("a literal where a reference is needed; it is not shown here")


def resolve_bearer(reference: str, environ: Mapping[str, str] | None = None) -> str:
    """A value that is safe in an HTTP header; libraries quote bad headers in their errors, so bad ones stop here."""
    value = resolve(reference, environ)
    if not value.isascii() or not value.isprintable() or " " in value:
        raise BadCredential(f"{_shown(reference)} holds characters that no bearer token has")
    return value


def resolve_env(env: Mapping[str, str], environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment a command or an in-process server gets on top of the allowed one."""
    return {name: _env_value(name, value, environ) for name, value in env.items()}


def secrets_of(env: Mapping[str, str], resolved: Mapping[str, str]) -> tuple[str, ...]:
    """The values that came from references: what must not appear in a log."""
    return tuple(resolved[name] for name, value in env.items() if _is_reference(value))


def _env_value(name: str, value: str, environ: Mapping[str, str] | None) -> str:
    if _is_reference(value):
        return resolve(value, environ)
    if value and _SECRET.search(name) and not _POINTER.search(name):
        raise BadCredential(f"{name} looks like a secret and is written out; it is not shown here")
    return value


def _is_reference(value: str) -> bool:
    return value.startswith(("env:", "file:"))


def _from_environment(name: str, environ: Mapping[str, str]) -> str:
    if not _NAME.fullmatch(name):
        raise BadCredential("env: is not followed by the name of a variable")
    if not (value := environ.get(name, "")):
        raise BadCredential(f"env:{name} is not set")
    return value


def _from_file(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise BadCredential(f"file:{path} can be read by others; chmod 600 it")
            value = file.read()
    except (OSError, UnicodeDecodeError) as error:
        # A decoding error quotes what it could not decode: only its type goes on.
        raise BadCredential(f"file:{path}: {type(error).__name__}") from None
    value = value.removesuffix("\n").removesuffix("\r")
    if not value:
        raise BadCredential(f"file:{path} is empty")
    return value


def _shown(reference: str) -> str:
    return reference if _is_reference(reference) else "the reference"
