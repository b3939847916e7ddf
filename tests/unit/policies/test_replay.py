"""Y13: replay, on generated traffic; what it reports, and what it says of calls it cannot decide."""

from pathlib import Path
from time import process_time

import pytest
from tests.unit.policies.traffic import FILES, desk

from replaying import again, agree


async def test_six_hundred_generated_calls_are_decided_as_they_were(tmp_path: Path) -> None:
    with desk(tmp_path, seed=7) as place:
        for _ in range(600):
            await place.call()
        found = again(place.ledger.store.path, FILES)

    agree(found)
    assert len(found) > 550


@pytest.mark.full
@pytest.mark.promise("P6")
async def test_ten_thousand_generated_calls_are_decided_as_they_were_in_ten_seconds(tmp_path: Path) -> None:
    with desk(tmp_path, seed=11) as place:
        while place.ledger.store.read.all("calls_past_count", since="2020")[0]["n"] < 10_000:
            await place.call()
        began = process_time()
        found = again(place.ledger.store.path, FILES)
        took = process_time() - began

    agree(found)
    assert took < 10
