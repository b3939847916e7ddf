"""Every server passes the ten points, and `lockkeep-servers check` says so in words, a table, JSON and an exit code (TS1)."""

import json
import socket
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import anyio
import pytest
import uvicorn
from tests.unit.servers.fleet.server import SERVICE as fleet
from tests.unit.servers.test_check import FLEET, ONE_FILE

from lockkeep_servers import cli
from lockkeep_servers.check.cases import Cases
from lockkeep_servers.check.find import installed
from lockkeep_servers.check.nursery import Nursery
from lockkeep_servers.check.reading import FILE, read_cases
from lockkeep_servers.check.results import POINTS, Report
from lockkeep_servers.check.run import CannotReach, check
from lockkeep_servers.check.store import tables
from lockkeep_servers.check.target import Stores, Target, address, named
from lockkeep_servers.kit.run import http_app

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def nursery() -> Generator[Nursery]:
    opened = Nursery()
    yield opened
    opened.close()


def embedded(name: str, *, in_memory: bool) -> tuple[Target, Cases]:
    target = named(name)
    target.stores = Stores(in_memory=in_memory)
    assert target.folder is not None
    return target, read_cases(target.folder / FILE)


FEW = ("billing", "notify")  # money, and what leaves the house


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in FEW else pytest.mark.full) for name in installed()]
)
async def test_every_server_passes_the_ten_points(name: str, nursery: Nursery) -> None:
    target, cases = embedded(name, in_memory=True)

    report = await check(target, cases, sample=True, nursery=nursery)

    assert (report.failed, report.level) == ([], "gold")


@pytest.mark.full
@pytest.mark.crash
@pytest.mark.parametrize("name", installed())
async def test_every_server_passes_the_ten_points_in_full_on_disk(name: str, nursery: Nursery) -> None:
    target, cases = embedded(name, in_memory=False)

    report = await check(target, cases, nursery=nursery)

    assert (report.failed, report.level) == ([], "gold")


async def test_a_server_elsewhere_is_read_and_never_written_to(tmp_path: Path) -> None:
    app = http_app(fleet, {"LOCKKEEP_FLEET_DATA": str(tmp_path)}, "127.0.0.1")
    reports: list[Report] = []
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        before = tables(tmp_path)
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on", ws="none"))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, [listener])
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
            reports.append(await check(address(url), read_cases(FLEET / FILE), sample=True))
            server.should_exit = True

    (report,) = reports
    assert (report.failed, report.server, report.level) == ([], "lockkeep-fleet", "bronze")
    assert [point for point in POINTS if report.state(point) == "passed"] == ["TC1", "TC2", "TC3", "TC4"]
    assert "Writers are not called here." in {each.sentence for each in report.of("TC2", "skipped")}
    assert tables(tmp_path) == before


async def test_an_address_where_nobody_answers_cannot_be_checked() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]

    with pytest.raises(CannotReach, match="does not answer"):
        await check(address(f"http://127.0.0.1:{port}/mcp"), Cases())


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command as a person types it: exit code, stdout, stderr."""

    def typed(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["lockkeep-servers", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return typed


@pytest.fixture
def one_file(tmp_path: Path) -> Path:
    file = tmp_path / "fleet.py"
    file.write_text(ONE_FILE, encoding="utf-8")
    return file


def test_a_level_that_is_not_reached_is_exit_code_1(run: Run, one_file: Path) -> None:
    codes = {level: run("check", str(one_file), "--level", level)[0] for level in ("bronze", "silver")}
    code, out, err = run("check", str(one_file))

    assert codes == {"bronze": 0, "silver": 1}
    assert (code, err) == (0, "")
    row = next(line.split() for line in out.splitlines() if line.startswith("fleet"))
    assert row[:14] == ["fleet", "embedded", *["ok"] * 4, *["-"] * 6, "bronze", row[13]]
    assert "TC5 cases: not seen: No cases" in out


def test_a_failure_names_point_tool_what_was_got_and_what_to_do(run: Run, one_file: Path) -> None:
    text = ONE_FILE.replace('"""Move a van to another depot."""', '"""' + "Move a van. " * 20 + '"""')
    one_file.write_text(text, encoding="utf-8")

    code, out, _ = run("check", str(one_file), "--point", "tc1")

    assert code == 1
    assert "TC1 fleet move_van budget: description: The description is too long, or missing." in out
    assert "    expected 1 to 160 characters\n    got      240\n    fix      Say it shorter.\n" in out


def test_json_holds_every_check_and_nothing_else_is_printed(run: Run, one_file: Path) -> None:
    code, out, err = run("check", str(one_file), "--json", "--level", "gold")

    found: dict[str, Any] = json.loads(out)
    (server,) = found["servers"]
    assert (code, err, found["asked"]) == (1, "", "gold")
    assert (server["server"], server["adapter"], server["level"], server["reached"]) == (
        "fleet", "embedded", "bronze", False,
    )  # fmt: skip
    assert list(server["points"]) == list(POINTS)
    assert {"point", "name", "state", "tool", "case", "sentence", "expected", "got", "fix"} == set(
        server["checks"][0]
    )


def test_a_package_and_its_cases_are_found_by_name(run: Run) -> None:
    code, out, _ = run("check", "tests.unit.servers.fleet", "--point", "TC9", "--point", "TC3")

    assert code == 0
    assert [line.split()[:4] for line in out.splitlines()[-2:]] == [
        ["server", "adapter", "TC3", "TC9"],
        ["fleet", "embedded", "ok", "ok"],
    ]


@pytest.mark.full
def test_a_command_is_spoken_to_over_stdio(run: Run) -> None:
    program = "from tests.unit.servers.fleet.server import main; main()"

    code, out, _ = run(
        "check", "--cases", str(FLEET / FILE), "--point", "TC1", "--", sys.executable, "-c", program
    )

    assert code == 0
    assert out.splitlines()[-1].split()[:3] == ["lockkeep-fleet", "command", "ok"]


@pytest.mark.parametrize(("words", "said"), [
    (["check", "nobody"], "There is no server, file or package nobody. Installed servers: billing, calendar, "),
    (["check", "nobody.py"], "There is no file nobody.py."),
    (["check", "crm", "--adapter", "unheard-of"], "LOCKKEEP_CRM_ADAPTER must be one of: "),
    (["check", "crm", "--point", "TC11"], "TC1, TC2"),
    (["check", "crm", "calendar"], "takes one server"),
    (["check", "crm", "--cases", "nowhere.yaml"], "nowhere.yaml: the file cannot be read."),
])  # fmt: skip
def test_what_cannot_be_tried_is_exit_code_2_and_one_sentence(words: list[str], said: str, run: Run) -> None:
    code, out, err = run(*words)

    assert (code, out) == (2, "")
    assert said in " ".join(err.split())
