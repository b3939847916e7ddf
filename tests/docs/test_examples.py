"""T3 and T5: what the pages show runs, in order, in an empty folder per page, and prints what they say."""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
import yaml
from tests.docs import warm
from tests.docs.pages import ROOT, Block, Page, pages
from tests.docs.terminal import Differs, Terminal, commands_of

from crash.command import lockkeep
from crash.place import Place
from lockkeep.model import Deny, Request
from lockkeep.policy.bundle import PolicySet, load, read_folder
from lockkeep.policy.cases import cases
from lockkeep.policy.engine.lookups import LookUps
from lockkeep.policy.files.editing import with_entry
from lockkeep.policy.positions import Problems
from lockkeep.prepare import known_of, prepare
from lockkeep.surface.answers import denied

RUNNABLE = ("console", "python", "yaml")
KNOWN = {*RUNNABLE, "text", "json", "mermaid"}
PLACES = {
    "gateway": "gateway.yaml",
    "people": "people.yaml",
    "manifest": "manifests/page.yaml",
    "test": "tests/page.test.yaml",
}
HELPDESK = "{url: https://helpdesk.example/mcp}"
PAGES = pages()
PLAYED = [page for page in PAGES if any(each.language in ("console", "python") and each.directive != "not run" for each in page.blocks)]  # fmt: skip
SHOWN = [
    block
    for page in PAGES
    for block in page.blocks
    if block.language == "yaml" and block.directive not in ("not run", "file")
]


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path]:
    """A folder with every command of the product, each started from one warm process."""
    folder = tmp_path_factory.mktemp("commands")
    path = Path(tempfile.mkdtemp(prefix="lk-", dir="/tmp")) / "warm"  # a socket's path is short
    warm.shims(folder / "bin", path)
    with subprocess.Popen([sys.executable, "-m", "tests.docs.warm", str(path)], cwd=ROOT) as server:
        with anyio.from_thread.start_blocking_portal() as portal:
            portal.call(_there, path)
        yield folder / "bin"
        server.terminate()
    shutil.rmtree(path.parent)


@pytest.fixture(scope="module")
def starter(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The policy set of a fresh `lockkeep init`, with the people the pages speak of."""
    place = Place(tmp_path_factory.mktemp("starter"))
    for words in (("init", "--admin", "ada"), ("people", "add", "bo", "--group", "sales-lead")):
        assert lockkeep(place.environ, *words).code == 0
    return read_folder(place.folder / "policies")


@pytest.mark.full
@pytest.mark.parametrize("page", PLAYED, ids=lambda page: page.name)
def test_a_page_can_be_followed_from_top_to_bottom(page: Page, commands: Path, tmp_path: Path) -> None:
    terminal = Terminal(_inside(tmp_path), commands)
    try:
        for block in page.blocks:
            _play(block, terminal)
    finally:
        terminal.close()


@pytest.mark.parametrize("block", SHOWN, ids=str)
def test_a_file_that_is_shown_loads_with_the_starter_files(block: Block, starter: Mapping[str, str]) -> None:
    said: dict[str, Any] = yaml.safe_load(block.text)
    kind = next(
        (word for word in ("policy", "workflow", "manifest", "test", "gateway", "people") if word in said),
        None,
    )
    assert kind, f"{block}: a yaml block is a whole file, or says why it does not run"

    folder = "workflows/" if kind == "workflow" else ""
    name = PLACES.get(kind, f"{folder}{said[kind]}.yaml")
    files = {**starter, **_test_of(block), name: block.text}
    if kind == "manifest":
        files["gateway.yaml"] = with_entry(
            "gateway.yaml", starter["gateway.yaml"], "integrations", said[kind], HELPDESK
        )
    loaded, problems = load(files)
    found = Problems()
    cases.read(files, found)

    assert [str(each) for each in [*problems, *found.found]] == []
    assert loaded is not None
    if kind == "test":
        failed = [result.why for result in _results(loaded) if result.why]
        assert failed == []


def test_the_refusal_of_the_readme_is_the_one_its_policy_gives(starter: Mapping[str, str]) -> None:
    readme = next(page for page in PAGES if page.name == "README.md")
    (policy,) = [each for each in readme.blocks if each.language == "yaml"]
    (answer,) = [each for each in readme.blocks if each.directive == "answers"]
    without = {name: text for name, text in starter.items() if "leads" not in name}
    loaded, problems = load({**without, "readme.yaml": policy.text})
    assert loaded is not None, problems

    deny = _refusal(loaded, json.loads(answer.about))

    assert "".join(getattr(part, "text", "") for part in denied(deny).content) == answer.text.strip()


def test_every_block_says_what_it_is_and_why_it_does_not_run() -> None:
    for page in PAGES:
        for block in page.blocks:
            assert block.language in KNOWN, f"{block}: a block of what? ({', '.join(sorted(KNOWN))})"
            if block.directive == "not run":
                assert block.language in RUNNABLE, f"{block}: {block.language} blocks never run"
                assert len(block.about) > 10, f"{block}: say why it does not run"


def test_a_file_that_the_reader_saves_is_used_by_a_later_command_of_the_page() -> None:
    for page in PAGES:
        for block in page.blocks:
            after = [
                each.text for each in page.blocks if each.language == "console" and each.line > block.line
            ]
            if block.directive == "file":
                assert re.search(r"lockkeep (policy|catalog|add)|python ", "".join(after)), str(block)


def test_the_tutorial_ends_with_a_sound_record() -> None:
    tutorial = next(page for page in PAGES if page.name == "docs/tutorial/first-tool.md")
    played = [
        command
        for block in tutorial.blocks
        if block.language == "console"
        for _, command, _ in commands_of(block)
    ]

    assert [each for each in tutorial.blocks if each.directive == "not run"] == []
    assert played[-1] == "lockkeep audit verify"


def _play(block: Block, terminal: Terminal) -> None:
    if block.directive == "not run":
        return
    if block.directive == "file":
        path = terminal.folder / block.about
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, encoding="utf-8")
    elif block.language == "console":
        terminal.play(block)
    elif block.language == "python":
        (terminal.folder / "page.py").write_text(block.text, encoding="utf-8")
        said, code = terminal.run("python page.py")
        if code:
            raise Differs(f"{block}: ended with {code}:\n{said}")


async def _there(path: Path) -> None:
    with anyio.fail_after(30):
        while not path.exists():
            await anyio.sleep(0.02)


def _inside(folder: Path) -> Path:
    page = folder / "page"
    page.mkdir()
    return page


def _test_of(block: Block) -> dict[str, str]:
    """A test file speaks about the policy shown last before it on its page."""
    page = next(each for each in PAGES if each.name == block.page)
    before = [
        each
        for each in page.blocks
        if each.language == "yaml" and each.line < block.line and "\npolicy:" in each.text
    ]
    return {"shown.yaml": before[-1].text} if before and "\ntest:" in block.text else {}


def _results(loaded: PolicySet) -> list[cases.Result]:
    def prepared(request: Request, tool: Any, roles: frozenset[str]) -> Any:
        known = known_of(loaded, tool, roles)
        return prepare(request, known)

    async def all_of_them() -> list[cases.Result]:
        return [await cases.run(loaded, case, prepared) for case in cases.read(loaded.files, Problems())]

    return anyio.run(all_of_them)


def _refusal(loaded: PolicySet, said: Mapping[str, Any]) -> Deny:
    tool = loaded.tools[said["tool"]]
    known = known_of(loaded, tool, loaded.people.roles("ada"))
    request = Request(
        id="call_1", tool=tool.exported, arguments=said["arguments"], user="ada", agent="lead-router", host="readme",
        at=cases.START,
    )  # fmt: skip

    async def decided() -> Deny:
        return cast("Deny", (await loaded.decide(prepare(request, known), LookUps())).verdict)

    deny = anyio.run(decided)
    assert isinstance(deny, Deny)
    return deny
