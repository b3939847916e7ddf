"""Reads `conformance.yaml`; what is not known there is refused by its place, so a slip is never silent."""

import re
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast, get_args

import yaml

from lockkeep_servers.check.cases import NOW, WORLD, Ask, Cases, CasesError, Gap, Pages, Refusal, Step, Write
from lockkeep_servers.kit.errors import Code

FILE = "conformance.yaml"
TOP = ("now", "settings", "history", "snapshot", "reads", "writes", "refusals", "pages", "gaps")
ASK = ("tool", "with")
STEP = (*ASK, "as", "later")
WRITE = (
    "case", "prepare", "with", "other", "snapshot", "between", "late", "ignore", "stale", "settings",
)  # fmt: skip
REFUSAL = (*ASK, "prepare", "code", "check", "warns", "settings")
PAGES = (*ASK, "prepare", "items", "key", "arrive", "settings")
GAP = ("adapter", "point", "tool", "case", "check", "reason")
CODES = get_args(Code)
PLAIN = {"tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:bool"}


class _Loader(yaml.SafeLoader):
    """Times stay texts, and NO is Norway."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in pairs if tag not in PLAIN]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
cast(Any, _Loader).add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(true|false)$"), ["t", "f"])


def read_cases(path: Path) -> Cases:
    """Return what the file says.

    Raises:
        CasesError: it cannot be read, or holds something that is not known.
    """
    try:
        root: Any = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506  (a safe loader)
    except (OSError, UnicodeDecodeError):
        raise CasesError(f"{path}: the file cannot be read.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise CasesError(f"{path}{line}: {getattr(error, 'problem', None) or 'this is no YAML'}.") from None
    return _cases(_table(root or {}, path.name, TOP), path.name)


def _cases(top: dict[str, Any], at: str) -> Cases:
    history = _list(top.get("history"), f"{at}: history")
    return Cases(
        there=True,
        now=_time(top["now"], f"{at}: now") if "now" in top else NOW,
        settings=_settings(top.get("settings"), f"{at}: settings") if "settings" in top else WORLD,
        history=frozenset(_text(name, f"{at}: history") for name in history),
        snapshot=_asks(top.get("snapshot"), f"{at}: snapshot"),
        reads=_asks(top.get("reads"), f"{at}: reads"),
        writes=_writes(top.get("writes"), f"{at}: writes"),
        refusals=tuple(_refusal(each, place) for each, place in _each(top, "refusals", at)),
        pages=tuple(_pages(each, place) for each, place in _each(top, "pages", at)),
        gaps=tuple(_gap(each, place) for each, place in _each(top, "gaps", at)),
    )


def _each(top: Mapping[str, Any], name: str, at: str) -> list[tuple[Any, str]]:
    return [
        (each, f"{at}: {name}[{place}]") for place, each in enumerate(_list(top.get(name), f"{at}: {name}"))
    ]


def _writes(node: Any, at: str) -> dict[str, tuple[Write, ...]]:
    found: dict[str, tuple[Write, ...]] = {}
    for tool, cases in _table(node or {}, at).items():
        found[tool] = tuple(
            _write(tool, each, f"{at}.{tool}[{place}]")
            for place, each in enumerate(_list(cases, f"{at}.{tool}"))
        )
        names = [case.name for case in found[tool]]
        if len(set(names)) != len(names):
            raise CasesError(f"{at}.{tool}: two cases have one name.")
    return found


def _write(tool: str, node: Any, at: str) -> Write:
    case = _table(node, at, WRITE)
    return Write(
        tool=tool,
        name=_text(case.get("case", tool), f"{at}.case"),
        arguments=_table(case.get("with", {}), f"{at}.with"),
        prepare=_steps(case.get("prepare"), f"{at}.prepare"),
        other=_table(case["other"], f"{at}.other") if "other" in case else None,
        snapshot=_asks(case.get("snapshot"), f"{at}.snapshot"),
        between=_ask(case["between"], f"{at}.between") if "between" in case else None,
        late=_code(case["late"], f"{at}.late") if "late" in case else "",
        ignore=frozenset(_text(each, f"{at}.ignore") for each in _list(case.get("ignore"), f"{at}.ignore")),
        stale=_text(case.get("stale", "0"), f"{at}.stale"),
        settings=_settings(case.get("settings"), f"{at}.settings"),
    )


def _refusal(node: Any, at: str) -> Refusal:
    given = _table(node, at, REFUSAL)
    if ("code" in given) == ("warns" in given):
        raise CasesError(f"{at}: says `code`, or `warns` for a check that only warns.")
    return Refusal(
        ask=_ask({name: given[name] for name in ASK if name in given}, at),
        code=_code(given["code"], f"{at}.code") if "code" in given else "",
        check=_text(given.get("check", ""), f"{at}.check"),
        warns=_text(given.get("warns", ""), f"{at}.warns"),
        prepare=_steps(given.get("prepare"), f"{at}.prepare"),
        settings=_settings(given.get("settings"), f"{at}.settings"),
    )


def _pages(node: Any, at: str) -> Pages:
    given = _table(node, at, PAGES)
    key: Any = given.get("key", "id")
    return Pages(
        ask=_ask({name: given[name] for name in ASK if name in given}, at),
        items=_text(given.get("items", "items"), f"{at}.items"),
        key=tuple(
            _text(each, f"{at}.key") for each in (cast(list[Any], key) if isinstance(key, list) else [key])
        ),
        arrive=_ask(given["arrive"], f"{at}.arrive") if "arrive" in given else None,
        prepare=_steps(given.get("prepare"), f"{at}.prepare"),
        settings=_settings(given.get("settings"), f"{at}.settings"),
    )


def _gap(node: Any, at: str) -> Gap:
    given = {name: _text(value, f"{at}.{name}") for name, value in _table(node, at, GAP).items()}
    if not given.get("reason", "").strip():
        raise CasesError(f"{at}: a gap needs a reason.")
    if not {"point", "tool", "case", "check"} & set(given):
        raise CasesError(f"{at}: say which point, tool, case or check the gap is about.")
    return Gap(**given)


def _steps(node: Any, at: str) -> tuple[Step, ...]:
    return tuple(_step(each, f"{at}[{place}]") for place, each in enumerate(_list(node, at)))


def _step(node: Any, at: str) -> Step:
    given = _table(node, at, STEP)
    if "later" in given:
        return Step(None, later=_while(given["later"], f"{at}.later"))
    ask = _ask({name: given[name] for name in ASK if name in given}, at)
    return Step(ask, _text(given.get("as", ""), f"{at}.as"))


def _asks(node: Any, at: str) -> tuple[Ask, ...]:
    return tuple(_ask(each, f"{at}[{place}]") for place, each in enumerate(_list(node, at)))


def _ask(node: Any, at: str) -> Ask:
    given = _table(node, at, ASK)
    if "tool" not in given:
        raise CasesError(f"{at}: `tool` is missing.")
    return Ask(_text(given["tool"], f"{at}.tool"), _table(given.get("with", {}), f"{at}.with"))


def _table(node: Any, at: str, known: Collection[str] | None = None) -> dict[str, Any]:
    if not isinstance(node, dict):
        raise CasesError(f"{at}: name: value is expected here.")
    table = {str(name): value for name, value in cast(dict[Any, Any], node).items()}
    if known is not None and (strange := sorted(set(table) - set(known))):
        raise CasesError(f"{at}: `{strange[0]}` is not known. Known: {', '.join(known)}.")
    return table


def _list(node: Any, at: str) -> list[Any]:
    if node is None:
        return []
    if not isinstance(node, list):
        raise CasesError(f"{at}: a list is expected here.")
    return cast(list[Any], node)


def _text(node: Any, at: str) -> str:
    if isinstance(node, bool) or not isinstance(node, str | int):
        raise CasesError(f"{at}: a text is expected here.")
    return str(node)


def _code(node: Any, at: str) -> str:
    text = _text(node, at)
    if text not in CODES:
        raise CasesError(f"{at}: `{text}` is no error code. Known: {', '.join(CODES)}.")
    return text


def _settings(node: Any, at: str) -> dict[str, str]:
    return {name: _text(value, f"{at}.{name}") for name, value in _table(node or {}, at).items()}


def _time(node: Any, at: str) -> datetime:
    try:
        found = datetime.fromisoformat(_text(node, at))
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise CasesError(f"{at}: needs a time with an offset, such as 2027-03-01T07:00:00Z.")
    return found


def _while(node: Any, at: str) -> timedelta:
    given = _table(node, at, ("days", "hours", "minutes", "seconds"))
    if not all(isinstance(value, int) for value in given.values()):
        raise CasesError(f"{at}: needs whole numbers, such as {{days: 2}}.")
    return timedelta(**given)
