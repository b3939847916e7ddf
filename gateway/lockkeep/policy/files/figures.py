"""The figures of a workflow file: thresholds of promotion and pause, and what goes into the return on investment."""

from dataclasses import dataclass, field
from datetime import date

from lockkeep.policy.conditions.runtime import Money
from lockkeep.policy.files import constants
from lockkeep.policy.files.reading import Reader
from lockkeep.policy.positions import Node, Problems, Text

PROMOTE = ("shadow", "step")
SHADOW = ("compared", "days", "coverage", "agreement")
NEXT = ("finished", "days", "margin")
PAUSE = ("expected_error_rate", "alarm_error_rate", "min_runs")
BASELINE = (
    "items", "from", "to", "minutes_per_item", "cost_per_hour", "error_rate", "cost_per_error", "method",
)  # fmt: skip
COSTS = ("build", "integration", "testing", "model", "maintenance", "oversight")  # the last three per month
BENEFITS = ("extra_units", "revenue_per_unit", "value_of_speed")  # per month
MOST = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ToShadow:
    """What must be met before the first real subjects. Per cent."""

    compared: int = 300
    days: int = 14
    coverage: float = 90.0
    agreement: float = 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ToNext:
    """What must be met before each further stage. `margin`: points of quality below the baseline."""

    finished: int = 100
    days: int = 7
    margin: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Promote:
    shadow: ToShadow = field(default_factory=ToShadow)
    step: ToNext = field(default_factory=ToNext)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Error rates in per cent. None: taken from the baseline."""

    expected_error_rate: float | None = None
    alarm_error_rate: float | None = None
    min_runs: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """How it was before. Without `items` and `method` it is printed as declared, not as measured."""

    items: int | None = None
    since: date | None = None  # `from`
    to: date | None = None
    minutes_per_item: float | None = None
    cost_per_hour: Money | None = None
    error_rate: float | None = None
    cost_per_error: Money | None = None
    method: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Once: build, integration, testing. Each month: model, maintenance, oversight."""

    build: Money | None = None
    integration: Money | None = None
    testing: Money | None = None
    model: Money | None = None
    maintenance: Money | None = None
    oversight: Money | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Benefits:
    """Each month, beside the time saved and the errors avoided."""

    extra_units: float | None = None
    revenue_per_unit: Money | None = None
    value_of_speed: Money | None = None


def promote(node: Node | None, problems: Problems) -> Promote:
    if node is None:
        return Promote()
    inner = Reader(node, "promote", problems, PROMOTE)
    shadow, step = ToShadow(), ToNext()
    if (first := inner.get("shadow")) is not None:
        said = Reader(first, "shadow", problems, SHADOW)
        shadow = ToShadow(
            compared=said.number("compared", 1, MOST, shadow.compared), days=said.number("days", 0, 365, shadow.days),
            coverage=_threshold(said, "coverage", 90.0), agreement=_threshold(said, "agreement", 90.0),
        )  # fmt: skip
    if (later := inner.get("step")) is not None:
        said = Reader(later, "step", problems, NEXT)
        step = ToNext(
            finished=said.number("finished", 1, MOST, step.finished), days=said.number("days", 0, 365, step.days),
            margin=_threshold(said, "margin", 2.0),
        )  # fmt: skip
    return Promote(shadow=shadow, step=step)


def pause(node: Node | None, problems: Problems) -> Pause:
    if node is None:
        return Pause()
    inner = Reader(node, "pause", problems, PAUSE)
    expected, alarm = (
        _per_cent(inner, "expected_error_rate"),
        _per_cent(inner, "alarm_error_rate"),
    )
    if expected is not None and alarm is not None and alarm <= expected:
        message = f"an alarm at {alarm:g} per cent would ring at the {expected:g} per cent that are expected"
        inner.complain(PAUSE, message, "alarm_error_rate lies above expected_error_rate")
    return Pause(
        expected_error_rate=expected, alarm_error_rate=alarm, min_runs=inner.number("min_runs", 1, MOST, 20)
    )


def return_on_investment(reader: Reader) -> tuple[Baseline, Costs, Benefits]:
    """`baseline`, `costs` and `benefits`, in one currency: they are added and divided."""
    amounts = _Amounts(reader.problems)
    return _baseline(reader, amounts), _costs(reader, amounts), _benefits(reader, amounts)


def _baseline(reader: Reader, amounts: "_Amounts") -> Baseline:
    node = reader.get("baseline")
    if node is None:
        return Baseline()
    inner = Reader(node, "baseline", reader.problems, BASELINE)
    since, to, method = _day(inner, "from"), _day(inner, "to"), inner.text("method")
    if since is not None and to is not None and to < since:
        inner.complain(
            ("from", "to"),
            f"the baseline ends ({to}) before it begins ({since})",
            "from: the first day, to: the last",
        )
    items = inner.number("items", 1, MOST, 1) if inner.get("items") is not None else None
    return Baseline(
        items=items, since=since, to=to, minutes_per_item=_amount(inner, "minutes_per_item"),
        cost_per_hour=amounts.of(inner, "cost_per_hour"), error_rate=_per_cent(inner, "error_rate"),
        cost_per_error=amounts.of(inner, "cost_per_error"), method=method.text if method else None,
    )  # fmt: skip


def _costs(reader: Reader, amounts: "_Amounts") -> Costs:
    node = reader.get("costs")
    if node is None:
        return Costs()
    inner = Reader(node, "costs", reader.problems, COSTS)
    return Costs(
        build=amounts.of(inner, "build"), integration=amounts.of(inner, "integration"), testing=amounts.of(inner, "testing"),
        model=amounts.of(inner, "model"), maintenance=amounts.of(inner, "maintenance"), oversight=amounts.of(inner, "oversight"),
    )  # fmt: skip


def _benefits(reader: Reader, amounts: "_Amounts") -> Benefits:
    node = reader.get("benefits")
    if node is None:
        return Benefits()
    inner = Reader(node, "benefits", reader.problems, BENEFITS)
    return Benefits(
        extra_units=_amount(inner, "extra_units"), revenue_per_unit=amounts.of(inner, "revenue_per_unit"),
        value_of_speed=amounts.of(inner, "value_of_speed"),
    )  # fmt: skip


class _Amounts:
    """Reads amounts of money; the first one says the currency of all."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        self.currency: str | None = None

    def of(self, inner: Reader, key: str) -> Money | None:
        text = inner.text(key)
        if text is None:
            return None
        before = len(self.problems.found)
        amount = constants.amount(text, self.problems)
        if not isinstance(amount, Money) or amount.minor < 0:
            if len(self.problems.found) == before:
                self.problems.add(text.place, f"'{text.text}' is no amount of money", "write it as 75 USD")
            return None
        self.currency = self.currency or amount.currency
        if amount.currency != self.currency:
            message = f"'{key}' is in {amount.currency}, the figures before it are in {self.currency}"
            self.problems.add(text.place, message, "one currency for all of them: they are added")
        return amount


def _day(inner: Reader, key: str) -> date | None:
    text = inner.text(key)
    try:
        return date.fromisoformat(text.text) if text is not None else None
    except ValueError:
        inner.problems.add(
            inner.place if text is None else text.place, f"'{key}' is no day", "write it as 2026-08-31"
        )
        return None


def _threshold(inner: Reader, key: str, default: float) -> float:
    said = _per_cent(inner, key)
    return default if said is None else said


def _per_cent(inner: Reader, key: str) -> float | None:
    return _amount(inner, key, most=100.0)


def _amount(inner: Reader, key: str, most: float = float(MOST)) -> float | None:
    """A number that is not negative."""
    node = inner.get(key)
    value = node.value if isinstance(node, Text) else None
    if node is None or (
        isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most
    ):
        return float(value) if isinstance(value, int | float) else None
    inner.problems.add(node.place, f"'{key}' is a number from 0 to {most:.0f}", f"{key}: {min(most, 4.5):g}")
    return None
