"""Answers that look like something else: an empty one of a kind for people, and a write that is sent on."""

import pytest
from tests.unit.servers.test_http import code_of, said, vendor

from lockkeep_servers.kit.http import Ask

PAGE = "Content-Type: text/html; charset=UTF-8"  # what PHP says of every answer by itself


@pytest.mark.parametrize("status", ["200 OK", "201 Created", "204 Gone"])
async def test_an_empty_answer_is_no_page_for_people(status: str) -> None:
    async with vendor(said(status, PAGE)) as (made, http):
        answer = await http.write(Ask("PUT", f"http://127.0.0.1:{made.port}/x", content=b"x"))
    assert (answer.status, answer.body) == (int(status[:3]), b"")


async def test_a_write_that_is_answered_elsewhere_may_have_been_applied() -> None:
    async with vendor(said("303 See Other", "Location: /done")) as (made, http):
        url = f"http://127.0.0.1:{made.port}/x"
        assert await code_of(http.write(Ask("POST", url))) == "unknown_outcome"
        assert await code_of(http.read(Ask("GET", url))) == "unavailable"
