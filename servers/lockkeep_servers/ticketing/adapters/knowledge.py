"""Help articles: by full text where this SQLite has FTS5, else by the letters they hold, and the answer says which."""

import json
import re
from dataclasses import dataclass

from lockkeep_servers.kit.findings import Finding
from lockkeep_servers.kit.sqlite import Database, Row, Transaction
from lockkeep_servers.ticketing import port

WORD = re.compile(r"[^\W_]+")
MOST_WORDS = 20
EXCERPT, LEAD = 240, 60


@dataclass
class Knowledge:
    """`full_text` is true once there is an index of every article."""

    database: Database
    full_text: bool = False

    def index(self) -> None:
        """There is an index of every article, if SQLite can have one."""
        with self.database.opened():
            self.full_text = self.database.write_now(_index)

    def search(self, ask: port.SearchKb) -> port.Articles:
        words: list[str] = WORD.findall(ask.query)[:MOST_WORDS]  # each index folds them itself

        def work(tx: Transaction) -> port.Articles:
            if self.full_text and words:
                match = " OR ".join(f'"{word}"*' for word in words)
                rows = tx.rows("match_articles", words=match, limit=ask.limit)
                return _answer(rows, words, "full_text")
            asked = words or [ask.query.strip() or ask.query]
            folded = json.dumps([word.casefold() for word in asked])
            rows = tx.rows("scan_articles", words=folded, limit=ask.limit)
            return _answer(rows, asked, "substring")

        return self.database.read(work)

    def examine(self) -> Finding:
        if self.full_text:
            return Finding("ok", "search_kb ranks articles by full text.")
        fix = "Use a Python whose SQLite has FTS5."
        return Finding(
            "warning", "This SQLite has no FTS5: search_kb finds words by their letters only.", fix
        )


def _index(tx: Transaction) -> bool:
    if not tx.row("has_fts5"):
        return False
    if not tx.row("has_index"):
        tx.run("make_index")
    if not tx.rows("is_indexed")[0]["whole"]:
        tx.run("fill_index")
    return True


def _answer(rows: list[Row], words: list[str], ranking: str) -> port.Articles:
    items = [
        {
            **{name: row[name] for name in ("id", "title", "url", "updated_at")},
            "excerpt": _excerpt(row, words),
        }
        for row in rows
    ]
    return port.Articles.model_validate({"items": items, "ranking": ranking})


def _excerpt(row: Row, words: list[str]) -> str:
    """Return the part of the body around the first word that stands in it, on one line."""
    body = " ".join(row["body"].split())
    found = [place for place in (body.lower().find(word.lower()) for word in words) if place >= 0]
    begin = max(0, min(found, default=0) - LEAD)
    end = begin + EXCERPT
    return f"{'… ' if begin else ''}{body[begin:end]}{' …' if end < len(body) else ''}"
