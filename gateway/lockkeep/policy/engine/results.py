"""What of an answer a caller is shown: fields hidden, personal data masked, whole answers withheld or flagged."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import cast

from lockkeep.model import Json, ToolCall, is_object
from lockkeep.policy.conditions.runtime import MOST_STEPS, STEPS, Env, is_array
from lockkeep.policy.rules.rule import Condition, Shown, as_seen

Result = Mapping[str, Json]
DEEPEST = 60


@dataclass(frozen=True, slots=True)
class Seen:
    """The answer as this caller may see it, and what the rules made of it."""

    result: Result
    withheld: str | None = None  # the rule that keeps it back
    flagged: tuple[str, ...] = ()
    touched: tuple[str, ...] = ()  # rules that hid or masked something
    observed: tuple[str, ...] = ()  # rules that only observe, and would have had something to say

    @property
    def said(self) -> dict[str, Json]:
        """What the record keeps of it: which rules did what, nothing of the answer."""
        found: dict[str, Json] = {
            "withheld": self.withheld, "flagged": list(self.flagged), "masked": list(self.touched),
            "observed": list(self.observed),
        }  # fmt: skip
        return {name: value for name, value in found.items() if value}


def seen(
    rules: Iterable[Shown], call: ToolCall, env: Env, result: Result, *, observing: bool = False
) -> Seen:
    """Hide and mask first, then withhold or flag. A rule that cannot be judged withholds."""
    flagged: list[str] = []
    touched: list[str] = []
    observed: list[str] = []
    withheld: str | None = None
    original, content = result, result
    env = {**env, "result": original.get("structuredContent") or {}, STEPS: [MOST_STEPS]}
    for rule in sorted(rules, key=lambda rule: rule.rule):
        if not _speaks(rule, call, env["call"]["now"].date()):
            continue
        masked, own = _masked(rule, content), as_seen(env, rule.projects)
        keeps, flags = _holds(rule.withhold, own, on_error=True), _holds(rule.flag, own, on_error=True)
        if observing or rule.mode == "observe":
            observed += [rule.rule] if keeps or flags or masked != content else []
            continue
        touched += [rule.rule] if masked != content else []
        flagged += [rule.rule] if flags else []
        content, withheld = masked, withheld or (rule.rule if keeps else None)
    return Seen(content, withheld, tuple(flagged), tuple(touched), tuple(observed))


def _speaks(rule: Shown, call: ToolCall, today: date) -> bool:
    """Whether it is about this caller, this operation and this day of the gateway's zone."""
    in_force = rule.until is None or today <= rule.until
    return in_force and rule.operation in (None, call.operation) and rule.applies.to(call.agent, None)


def _holds(conditions: tuple[Condition, ...], env: Env, *, on_error: bool) -> bool:
    """Whether any of them says so; one without an answer counts as said."""
    for condition in conditions:
        try:
            if condition.code.run(env):
                return True
        except Exception:  # doubt is never shown
            return on_error
    return False


def _masked(rule: Shown, result: Result) -> Result:
    """Structured half and texts alike: some hosts show only one."""
    if not rule.hide and not rule.detect:
        return result
    change = _change(rule)
    structured: Json = result.get("structuredContent")
    found = dict(result)
    if structured is not None:
        found["structuredContent"] = change(structured)
    parts = cast("list[Json]", result.get("content") or [])
    found["content"] = [
        _part(part, change, rule, structured, found.get("structuredContent")) for part in parts
    ]
    return found


def _part(part: Json, change: Callable[[Json], Json], rule: Shown, before: Json, after: Json) -> Json:
    """A text that is JSON is changed as such; other text gives way to the structured half where a field was hidden."""
    if not is_object(part) or not isinstance(part.get("text"), str):
        return part if not rule.hide else {"type": "text", "text": "[hidden]"}
    text = part["text"]
    try:
        whole: Json = json.loads(text)
    except ValueError:
        whole = None
    if isinstance(whole, dict | list):
        return {
            **part,
            "text": json.dumps(change(cast("Json", whole)), ensure_ascii=False, separators=(",", ":")),
        }
    if rule.hide and (before is None or before != after):
        shown = "[hidden]" if after is None else json.dumps(after, ensure_ascii=False, separators=(",", ":"))
        return {**part, "text": shown}
    return {**part, "text": masked_text(text, rule.detect)}


def _change(rule: Shown) -> Callable[[Json], Json]:
    paths = [tuple(path.split(".")) for path in rule.hide]

    def change(value: Json) -> Json:
        for path in paths:
            value = _without(value, path)
        return _text_masked(value, rule.detect, 0) if rule.detect else value

    return change


def _without(value: Json, path: tuple[str, ...]) -> Json:
    """The value without that field, in every item of a list; money goes with its minor units."""
    if is_array(value):
        return [_without(item, path) for item in value]
    if not is_object(value):
        return value
    first, *rest = path
    if rest:
        return {name: _without(part, tuple(rest)) if name == first else part for name, part in value.items()}
    return {name: part for name, part in value.items() if name not in (first, f"{first}_minor")}


def _text_masked(value: Json, kinds: tuple[str, ...], depth: int) -> Json:
    if isinstance(value, str):
        return masked_text(value, kinds)
    if depth > DEEPEST:
        return "[hidden]"
    if is_array(value):
        return [_text_masked(item, kinds, depth + 1) for item in value]
    if is_object(value):
        return {name: _text_masked(part, kinds, depth + 1) for name, part in value.items()}
    return value


# -- what is detected ---------------------------------------------------------------------------------------------


def masked_text(text: str, kinds: Iterable[str]) -> str:
    """The text with everything of these kinds replaced by `[kind hidden]`."""
    for kind in kinds:
        pattern, real = DETECTORS[kind]

        def put(match: re.Match[str], kind: str = kind, real: Callable[[str], bool] = real) -> str:
            return f"[{kind} hidden]" if real(match[0]) else match[0]

        text = pattern.sub(put, text)
    return text


def _luhn(text: str) -> bool:
    digits = [int(char) for char in text if char.isdigit()]
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2]]
    return 13 <= len(digits) <= 19 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _mod_97(text: str) -> bool:
    plain = "".join(text.split())
    turned = plain[4:] + plain[:4]
    return 15 <= len(plain) <= 34 and int("".join(str(int(char, 36)) for char in turned)) % 97 == 1


def _any(_: str) -> bool:
    return True


def _phone(text: str) -> bool:
    return 8 <= sum(char.isdigit() for char in text) <= 15


DETECTORS: Mapping[str, tuple[re.Pattern[str], Callable[[str], bool]]] = {
    "email": (re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,5}"), _any),
    "phone": (re.compile(r"(?<![\w+])(?:\+|00)[0-9](?:[ ()/.-]{0,2}[0-9]){6,14}(?!\w)|(?<!\w)0[0-9]{2,5}[ /-][0-9](?:[ -]?[0-9]){4,10}(?!\w)"), _phone),
    "card": (re.compile(r"(?<!\w)[0-9](?:[ -]?[0-9]){12,18}(?!\w)"), _luhn),
    "iban": (re.compile(r"(?<!\w)[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]){11,30}(?!\w)"), _mod_97),
    "secret": (
        re.compile(
            r"(?:sk|pk|rk|ghp|gho|ghs|github_pat|glpat|xox[abprs]|AKIA|ASIA|AIza|eyJ)[A-Za-z0-9_\-.]{12,400}"
            r"|-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[^-]{0,8000}(?:-----END [A-Z ]{0,30}PRIVATE KEY-----)?"
            r"|(?i:(?<![A-Za-z])(?:password|passwd|secret|api[_-]?key|token)[\"']?[ ]?[:=][ ]?[\"']?)[^\s\"',;]{6,200}"
        ),
        _any,
    ),
}  # fmt: skip
