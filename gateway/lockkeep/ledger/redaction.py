"""Secrets are cut out before anything is written: fields declared secret, fields named like one, texts that look like one.

Personal data is no secret here: people must see what they agree to. It stands in payloads, which can be deleted.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import cast

from lockkeep.model import Json, is_object

DEEPEST, SHORTEST = 40, 12  # no secret that can be told by its look is shorter
HIDDEN = "[{} hidden]"
NAMED = frozenset({
    "password", "passwd", "passphrase", "secret", "client_secret", "signing_secret", "api_key", "apikey", "access_token",
    "refresh_token", "id_token", "private_key", "authorization", "proxy_authorization", "cookie", "set_cookie", "x_api_key",
})  # fmt: skip


def _luhn(text: str) -> bool:
    digits = [int(char) for char in text if char.isdigit()]
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _any(_: str) -> bool:
    return True


PATTERNS: Mapping[str, tuple[re.Pattern[str], Callable[[str], bool]]] = {
    "key": (
        re.compile(
            r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[^-]{0,8000}(?:-----END [A-Z ]{0,30}PRIVATE KEY-----)?"
            r"|(?<![A-Za-z0-9])(?:(?:sk|pk|rk)_(?:live|test)_|sk-(?:ant-|proj-)?|gh[pousr]_|github_pat_|glpat-|xox[abeprs]-|xapp-"
            r"|AKIA|ASIA|AIza|npm_|pypi-|hf_|SG\.|shpat_|dop_v1_)[A-Za-z0-9_\-.]{16,400}"
        ),
        _any,
    ),
    "token": (
        re.compile(
            r"(?<![A-Za-z0-9])eyJ[A-Za-z0-9_-]{8,4000}\.[A-Za-z0-9_-]{8,8000}\.[A-Za-z0-9_-]{0,2000}"
            r"|(?<![A-Za-z0-9])lk_[A-Za-z0-9_-]{40,60}"
            r"|(?<![A-Za-z])(?i:bearer|basic)[ ]{1,3}[A-Za-z0-9+/_.~=-]{16,4000}"
        ),
        _any,
    ),
    "password": (
        re.compile(
            r"(?<=://)[^\s/:@\"]{0,100}:[^\s/@\"]{1,300}(?=@)"
            r"|(?<![A-Za-z])(?i:password|passwd|passphrase|secret|api[_-]?key|access[_-]?token|client[_-]?secret)"
            r"[\"']?[ ]?[:=][ ]?[\"']?[^\s\"',;&]{6,300}"
        ),
        _any,
    ),
    "card": (re.compile(r"(?<![\w.-])[0-9](?:[ -]?[0-9]){12,18}(?![\w.-]?\w)"), _luhn),
}  # fmt: skip
MARK = re.compile(r"\[(?:secret|key|token|password|card|depth) hidden\]")
ANY = re.compile("|".join(f"(?:{pattern.pattern})" for pattern, _ in PATTERNS.values()))


def text(value: str) -> str:
    """The text with `[key hidden]`, `[token hidden]`, … in place of whatever looks like a secret."""
    if len(value) < SHORTEST or not ANY.search(value):
        return value
    for kind, (pattern, real) in PATTERNS.items():
        put = HIDDEN.format(kind)
        value = pattern.sub(lambda match, put=put, real=real: put if real(match[0]) else match[0], value)
    return value


def texts(value: Json, depth: int = 0) -> Json:
    """Every text in it so; names and everything else stay."""
    if isinstance(value, str):
        return text(value)
    if depth > DEEPEST:
        return HIDDEN.format("depth")
    if isinstance(value, list | tuple):
        return [texts(each, depth + 1) for each in cast("list[Json]", value)]
    if is_object(value):
        return {name: texts(part, depth + 1) for name, part in value.items()}
    return value


def stored(value: Json, schema: Mapping[str, Json] | None = None) -> Json:
    """A payload as it may be kept: what its schema declares secret, or its name says to be one, is hidden as well."""
    return texts(_named(value, schema or {}, 0))


def holds(value: Json) -> bool:
    """Whether there is, or was, a secret in it."""
    return stored(value) != value or MARK.search(json.dumps(value, default=str)) is not None


def _named(value: Json, schema: Mapping[str, Json], depth: int) -> Json:
    if depth > DEEPEST:
        return value
    if isinstance(value, list | tuple):
        inner = _object(schema.get("items"))
        return [_named(each, inner, depth + 1) for each in cast("list[Json]", value)]
    if not is_object(value):
        return HIDDEN.format("secret") if declared(schema) else value
    known = _object(schema.get("properties"))
    return {
        name: HIDDEN.format("secret")
        if isinstance(part, str) and (_is_name(name) or declared(_object(known.get(name))))
        else _named(part, _object(known.get(name)), depth + 1)
        for name, part in value.items()
    }


def declared(schema: Mapping[str, Json]) -> bool:
    """JSON Schema's own words for a value that is given and never shown."""
    return schema.get("writeOnly") is True or schema.get("format") == "password"


def _is_name(name: str) -> bool:
    return name.lower().replace("-", "_") in NAMED


def _object(value: Json) -> Mapping[str, Json]:
    return value if is_object(value) else {}
