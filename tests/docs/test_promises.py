"""T1: tests/promises.md and the markers of the tests agree, both ways."""

import re

from tests.docs import promises

PROMISED = {f"P{number}" for number in range(1, 13)}


def test_the_page_names_exactly_the_tests_that_claim_each_promise() -> None:
    text = promises.PAGE.read_text(encoding="utf-8")
    said, claimed = promises.listed(text), promises.marked()
    wrong = [
        *(f"{promise}: add  - `{test}`" for promise, tests in claimed.items() for test in sorted({*tests} - {*said.get(promise, [])})),
        *(f"{promise}: {test} does not claim it (any more)" for promise, tests in said.items() for test in sorted({*tests} - {*claimed.get(promise, [])})),
    ]  # fmt: skip

    assert wrong == [], "\n".join([*wrong, "Run: python -m tests.docs.promises --write"])
    assert text == promises.renewed(text, claimed), "Run: python -m tests.docs.promises --write"


def test_every_promise_has_its_heading_and_no_test_claims_another_one() -> None:
    said, claimed = promises.listed(promises.PAGE.read_text(encoding="utf-8")), promises.marked()

    assert set(said) == PROMISED
    assert set(claimed) <= PROMISED


def test_the_threat_model_says_in_which_files_each_promise_is_proven() -> None:
    model, promised = promises.MODEL.read_text(encoding="utf-8"), promises.PAGE.read_text(encoding="utf-8")
    covered = set(re.findall(r"^\| (P\d+) \| [^|]+ \| [^|]+ \|$", model, re.MULTILINE))

    assert model == promises.with_table(model, promised), "Run: python -m tests.docs.promises --write"
    assert covered == PROMISED
