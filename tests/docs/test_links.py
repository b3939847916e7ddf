"""T4: every link and anchor resolves, the glossary has one entry per word, and no page names a machine of ours."""

import re
from urllib.parse import urlsplit

from tests.docs.pages import HEADING, ROOT, pages, slug

PAGES = pages()
WORDS = (
    "caller", "integration", "tool", "operation", "call", "gate", "verdict", "outcome", "approval", "claim", "ledger",
    "audit record", "run", "kill switch", "manifest", "catalog",
)  # fmt: skip
FOREIGN = re.compile(r"/(?:work|root|home|tmp)/\w|pypi\.|simple/|--index|artifactory|nexus", re.IGNORECASE)


def test_every_link_and_anchor_resolves() -> None:
    anchors = {(ROOT / each.name).resolve(): each.anchors for each in PAGES}
    wrong: list[str] = []
    for each in PAGES:
        for line, target in each.links:
            parts = urlsplit(target)
            if parts.scheme:
                continue
            path = (
                (ROOT / each.name).parent.joinpath(parts.path).resolve()
                if parts.path
                else (ROOT / each.name).resolve()
            )
            if not path.exists() or (parts.fragment and parts.fragment not in anchors.get(path, set())):
                wrong.append(f"{each.name}:{line}: {target}")
    assert wrong == []


def test_every_page_can_be_reached_from_the_index() -> None:
    folder = ROOT / "docs"
    (index,) = [each for each in PAGES if each.name == "docs/README.md"]
    linked = {(folder / urlsplit(target).path).resolve() for _, target in index.links}

    assert [each.name for each in PAGES if each.name.startswith("docs/") and each is not index and (ROOT / each.name) not in linked] == []  # fmt: skip


def test_the_glossary_has_one_entry_for_each_word() -> None:
    (glossary,) = [each for each in PAGES if each.name == "docs/glossary.md"]
    entries = [
        match[2] for _, line in glossary.prose if (match := HEADING.fullmatch(line)) and match[1] == "##"
    ]

    assert sorted(entries) == sorted({*entries})
    assert {slug(word) for word in WORDS} <= {slug(entry) for entry in entries}


def test_no_page_names_a_machine_or_an_index_of_ours() -> None:
    found = [f"{each.name}:{number}: {line}" for each in PAGES for number, line in enumerate(each.text.splitlines(), 1) if FOREIGN.search(line)]  # fmt: skip

    assert found == []


def test_the_readme_is_short() -> None:
    (readme,) = [each for each in PAGES if each.name == "README.md"]

    assert len(readme.text.split()) <= 600
