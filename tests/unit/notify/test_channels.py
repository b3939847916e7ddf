"""Channels of other packages: found by their entry point, and what is wrong with one stays its own matter."""

from datetime import UTC, datetime
from importlib.metadata import EntryPoint, EntryPoints

import pytest

from lockkeep.notify import channels
from lockkeep.notify.port import Answering, Channel, Listening, Notice, Undelivered
from lockkeep.notify.slack import SlackChannel
from lockkeep.policy.files.channels import GROUP, ChannelEntry

NOTICE = Notice(
    id="ntc_1",
    event="test",
    at=datetime(2026, 11, 23, tzinfo=UTC),
    gateway="acme",
    url="https://gate.example",
)
INSTALLED = EntryPoints(
    [
        EntryPoint("pager", f"{__name__}:Pager", GROUP),
        EntryPoint("broken", f"{__name__}:broken", GROUP),
        EntryPoint("missing", "no_such_package:build", GROUP),
    ]
)
TOLD: list[tuple[str, str]] = []


class Pager:
    """What a package brings: it is given its part of gateway.yaml."""

    def __init__(self, entry: ChannelEntry) -> None:
        self.entry = entry

    async def deliver(self, notice: Notice, places: tuple[str, ...]) -> str | None:
        TOLD.append((self.entry.values["team"], notice.id))
        return "page/1"

    async def examine(self) -> str:
        return "it pages"


def broken(_: ChannelEntry) -> Channel:
    raise RuntimeError("no")


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def found_in(*, group: str) -> EntryPoints:
        return INSTALLED.select(group=group)

    monkeypatch.setattr(channels, "entry_points", found_in)


def made(kind: str) -> Channel:
    return channels.channel_of(
        ChannelEntry(name="duty", kind=kind, values={"team": "ops"}), lambda: NOTICE.at
    )


async def test_a_channel_of_another_package_is_made_from_its_entry() -> None:
    assert await made("pager").deliver(NOTICE, ()) == "page/1"
    assert TOLD == [("ops", "ntc_1")]


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("broken", "the channel of kind broken cannot be made: RuntimeError"),
        ("missing", "the channel of kind missing cannot be made: ModuleNotFoundError"),
        ("other", "no package brings channels of kind other; installed: broken, missing, pager"),
    ],
)
async def test_one_that_cannot_be_made_takes_nothing_and_says_why(kind: str, why: str) -> None:
    for use in (lambda: made(kind).deliver(NOTICE, ()), made(kind).examine):
        with pytest.raises(Undelivered) as error:
            await use()
        assert str(error.value) == why


def test_slack_fits_every_port_it_is_used_by() -> None:
    slack = SlackChannel(ChannelEntry(name="ops", kind="slack", values={"channel": "C1", "token": "env:T"}))
    assert isinstance(slack, Listening)
    assert isinstance(slack, Answering)
    assert not isinstance(made("pager"), Listening | Answering)
