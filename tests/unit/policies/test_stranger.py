"""House rules that were written before anybody looked at the language, said in it: what could be said decides as they say."""

from pathlib import Path

import anyio
from tests.unit.policies.room import lock
from tests.unit.policies.stranger.hotel import TOOLS
from tests.unit.policies.test_starter import decided, loads, rules_of

HERE = Path(__file__).parent / "stranger"
PAGES = ("page-1", "page-2", "page-3")
# Said, and decided wrongly: beside `person:…` and `escalate`, a group in `from` is replaced by the group of the first step.


def test_each_page_decides_as_the_house_rules_say_and_every_rule_fires() -> None:
    texts = {path.name: path.read_text(encoding="utf-8") for path in HERE.glob("*.yaml")}
    texts = {f"tests/{name}" if ".test." in name else name: text for name, text in texts.items()}
    loaded = loads(texts, lock(TOOLS))

    results = anyio.run(decided, loaded)

    assert {each.case.file for each in results} == {f"tests/{page}.test.yaml" for page in PAGES}
    wrong = [each for each in results if each.why]
    assert [f"{each.case.place}: {each.case.name}: {each.why}" for each in wrong] == []
    assert rules_of(loaded) - {rule for each in results for rule in each.fired} == set()
