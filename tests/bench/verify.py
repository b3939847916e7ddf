"""How long a million records take to verify: `python -m tests.bench.verify [RECORDS]`. Prints; judges nothing."""

import sys
import tempfile
import time
from pathlib import Path

from lockkeep.cli.audit import verified_file
from lockkeep.ledger.chain import GENESIS, Mark, hashed, line

RECORDS = 1_000_000
CLAIMED = {
    "v": 1, "type": "call.claimed", "call": "call_0123456789abcdef0123", "at": "2027-03-01T00:00:00.000000Z",
    "actor": {"user": "ada", "agent": "lead-router", "host": "claude-code"}, "tool": "crm.upsert_lead", "operation": "crm.upsert_lead",
    "pin": "0" * 64, "policy": 12, "rules": ["leads/crm.upsert_lead/allow"], "args": "1" * 64, "sent": "2" * 64,
    "verdicts": [{"gate": each, "verdict": "Allow"} for each in ("switch", "arguments", "policy")],
}  # fmt: skip


def write(path: Path, number: int) -> str:
    """A log of so many records as a busy gateway writes them; its last hash."""
    prev = GENESIS
    with path.open("w", encoding="utf-8") as file:
        for seq in range(1, number + 1):
            text = line({**CLAIMED, "seq": seq, "prev": prev})
            prev = hashed(text)
            file.write(text + "\n")
    return prev


def main() -> None:
    number = int(sys.argv[1]) if len(sys.argv) > 1 else RECORDS
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.jsonl"
        head = write(path, number)
        begun = time.perf_counter()
        found = verified_file(path, [Mark(number, head)])
        took = time.perf_counter() - begun
    print(
        f"{number:,} records verified in {took:.1f} s ({took / number * 1e6:.1f} µs each); sound: {not found.tampering}"
    )


if __name__ == "__main__":
    main()
