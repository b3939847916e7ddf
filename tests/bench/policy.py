"""Decisions per CPU-second and the cost of loading, from 10 to 10,000 rules: `python -m tests.bench.policy`.

CPU time of this process only; the ratio to the smallest set is what counts, these machines are noisy.
"""

import asyncio
import sys
import time
from dataclasses import replace

from tests.unit.policies.room import ALL, FOLDER, TOOLS, call, lock

from lockkeep.model import Allow
from lockkeep.policy.bundle import PolicySet, load
from lockkeep.policy.engine.lookups import LookUps

BLOCK = """\
  {tool}:
    allow: [support, lead]
    deny:
      - {{name: cap, when: amount > 5000 EUR}}
      - {{name: test-data, when: 'payment_id.startsWith("x")'}}
      - {{name: currency, unless: 'currency in ["EUR", "USD"]'}}
    ask:
      - {{name: lead, when: amount > 100 EUR, from: [lead]}}
      - {{name: both, when: amount > 500 EUR, from: [lead, finance]}}
      - {{name: long, when: has(why) && size(why) > 500, from: [lead]}}
    limit: 200 per hour per agent
"""
PER_BLOCK = 8
CALLS = 20_000
SIZES = (10, 100, 1_000, 10_000)


def files(rules: int) -> dict[str, str]:
    """That many rules, over copies of one tool, a file for every 400."""
    blocks = max(1, rules // PER_BLOCK)
    names = ["billing.refund", *(f"billing.refund_{number}" for number in range(1, blocks))]
    copies = [
        replace(
            ALL["billing.refund"], name=name, server_name=name[8:], exported=name.replace(".", "_"), pin=name
        )
        for name in names[1:]
    ]
    found = {**FOLDER, "catalog.lock.json": lock([*TOOLS, *copies])}
    for start in range(0, blocks, 50):
        head = f"api: lockkeep/v1\npolicy: p{start}\nowner: lead\napplies_to: {{agents: [desk]}}\ntools:\n"
        found[f"p{start}.yaml"] = head + "".join(
            BLOCK.format(tool=name) for name in names[start : start + 50]
        )
    return found


async def decide(rules: PolicySet) -> float:
    """Decisions per CPU-second."""
    wanted = call(rules, "billing.refund", payment_id="p1", amount_minor=5000, currency="EUR")

    for _ in range(200):
        said = await rules.decide(wanted, LookUps(), telling=False)
        assert isinstance(said.verdict, Allow), said.verdict  # a fault would be quick, too
    start = time.process_time()
    for _ in range(CALLS):
        await rules.decide(wanted, LookUps(), telling=False)
    return CALLS / (time.process_time() - start)


def main() -> None:
    print(f"{'rules':>7} {'load s':>8} {'again s':>8} {'decisions/CPU-s':>16} {'of smallest':>12}")
    smallest = 0.0
    for size in SIZES if "--all" in sys.argv else SIZES[:3]:
        given = files(size)
        start = time.process_time()
        found, problems = load(given)
        first = time.process_time() - start
        assert found is not None, problems[0]
        start = time.process_time()
        load({**given, "p0.yaml": given["p0.yaml"] + "\n# edited\n"})
        again = time.process_time() - start
        speed = asyncio.run(decide(found))
        smallest = smallest or speed
        print(f"{size:>7} {first:>8.2f} {again:>8.2f} {speed:>16,.0f} {speed / smallest:>11.0%}")


if __name__ == "__main__":
    main()
