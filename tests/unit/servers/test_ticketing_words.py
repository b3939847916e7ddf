"""Help articles are found by the words as people write them."""

from pathlib import Path

import pytest
from tests.unit.servers.desk import MONDAY

from lockkeep_servers.kit.arguments import parse
from lockkeep_servers.ticketing.adapters.embedded import EmbeddedTickets
from lockkeep_servers.ticketing.port import SearchKb

BODY = f"{'Vorab einiges. ' * 20}Welche Größe passt? Die Straße steht auf dem Etikett."


@pytest.mark.parametrize("full_text", [True, False])
@pytest.mark.parametrize(("query", "shown"), [("Größe", "Größe"), ("größ", "Größe"), ("STRAßE", "Straße")])
async def test_a_word_is_found_as_it_is_written(
    query: str, shown: str, full_text: bool, tmp_path: Path
) -> None:
    tickets = EmbeddedTickets(tmp_path, lambda: MONDAY)
    article = {"id": "kb_1", "title": "Etikett", "body": BODY, "url": "https://a.example", "updated_at": "2027-01-01T00:00:00Z"}  # fmt: skip
    with tickets.database.opened():
        tickets.database.write_now(lambda tx: tx.run("add_article", **article))
    tickets.knowledge.index()
    tickets.knowledge.full_text = full_text
    async with tickets.session():
        found = await tickets.search_kb(parse(SearchKb, {"query": query}))

    assert [shown in item.excerpt for item in found.items] == [True]
