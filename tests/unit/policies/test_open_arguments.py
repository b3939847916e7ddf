"""Steps of a workflow file: what `with` leaves out is open, `check` lists it, and nothing fills it in (Y22)."""

from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml
from tests.unit.policies.room import ALL, FOLDER, NOW, TEXT, fields, lock, tool

from lockkeep.cli.policy import check
from lockkeep.model import Json
from lockkeep.policy.bundle import load
from lockkeep.policy.conditions.runtime import MOST_STEPS, STEPS

HEAD: Mapping[str, Json] = {
    "api": "lockkeep/v1", "workflow": "flow", "description": "Steps.", "owner": "lead", "agents": ["desk"], "trigger": {"manual": True},
}  # fmt: skip
HIDES = tool(
    "billing.hides", "write", fields({"key": TEXT, "a": TEXT, "b": TEXT, "c": TEXT}, "key", "b", "a"), None, hidden=["key"]
)  # fmt: skip
TOOLS = [ALL[name] for name in ("crm.assign", "crm.owners", "billing.refund", "lab.clash")]
REQUIRED = {
    "crm.assign": ("kind", "id", "owner"), "crm.owners": (), "billing.refund": ("payment_id", "amount_minor", "currency"),
    "lab.clash": ("user", "now"), "billing.hides": ("b", "a"),
}  # fmt: skip
OPTIONAL = {
    "crm.assign": ("why",),
    "crm.owners": ("active",),
    "lab.clash": ("tool",),
    "billing.hides": ("c",),
}
VALUES: Mapping[str, tuple[Json, ...]] = {"kind": ("lead", "deal"), "amount_minor": (5,), "active": (True,)}


def drawn(chance: Random) -> tuple[list[dict[str, Any]], dict[str, tuple[str, ...]]]:
    """Steps, and what each leaves open."""
    steps: list[dict[str, Any]] = []
    left: dict[str, tuple[str, ...]] = {}
    for number in range(chance.randint(1, 5)):
        name = chance.choice(sorted(REQUIRED))
        both = (*REQUIRED[name], *OPTIONAL.get(name, ()))
        given = [each for each in both if chance.random() < 0.5]
        step: dict[str, Any] = {"id": f"s{number}", "call": name}
        if given:
            step["with"] = {each: chance.choice(VALUES.get(each, ("x", "= subject"))) for each in given}
        steps.append(step)
        if missing := tuple(each for each in REQUIRED[name] if each not in given):
            left[step["id"]] = missing
    return steps, left


@pytest.mark.parametrize(
    "number", [0, *(pytest.param(each, marks=pytest.mark.full) for each in range(1, 40))]
)
def test_what_a_step_leaves_out_is_open_listed_and_never_guessed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    steps, left = drawn(Random(f"open {number}"))
    workflow = yaml.safe_dump({**HEAD, "steps": steps}, sort_keys=False)
    files = {**FOLDER, "catalog.lock.json": lock([*TOOLS, HIDES]), "workflows/flow.yaml": workflow}
    loaded, problems = load(files)
    assert loaded is not None, "\n".join(map(str, problems))
    flow = loaded.workflows["flow"]
    (tmp_path / "workflows").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    check(folder=tmp_path)
    last = capsys.readouterr().out.splitlines()[-1]

    listed = ", ".join(f"{step} ({', '.join(names)})" for step, names in left.items())
    assert flow.open == left
    assert last.partition(" tools")[2] == (f"; open: {listed}." if left else ".")
    for said, step in zip(steps, flow.steps, strict=True):
        assert step.call is not None
        filled = step.call.filled({"subject": "l_1", "now": NOW, STEPS: [MOST_STEPS]})
        assert filled == {
            each: "l_1" if value == "= subject" else value for each, value in said.get("with", {}).items()
        }
