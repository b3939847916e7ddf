"""The only SQL there is: named once, used somewhere, and it runs."""

import re
import sqlite3
from pathlib import Path

from lockkeep import pipeline
from lockkeep.store import Store
from lockkeep.store.statements import statements

SOURCE = Path(pipeline.__file__).resolve().parent


def test_every_statement_compiles_against_the_schema_of_this_release(tmp_path: Path) -> None:
    store = Store(tmp_path / "x.db")
    store.close()
    db = sqlite3.connect(tmp_path / "x.db")
    for name, sql in statements().items():
        values = dict.fromkeys(re.findall(r":([a-z_]+)", sql))
        assert db.execute(f"EXPLAIN {sql.rstrip(';')}", values).fetchall(), name
    db.close()


def test_every_name_the_code_uses_is_a_statement() -> None:
    text = "".join(file.read_text(encoding="utf-8") for file in SOURCE.rglob("*.py"))
    used = set(re.findall(r"\.(?:one|all|run)\(\s*\"(\w+)\"", text))

    assert used <= set(statements())
    assert len(used) > 40


def test_every_update_of_a_state_says_which_state_it_leaves() -> None:
    moving = {name: sql for name, sql in statements().items() if re.search(r"UPDATE \w+ SET state", sql)}

    assert moving
    assert [name for name, sql in moving.items() if "AND state" not in sql] == []
