"""`notify:` of gateway.yaml: what is read, and what each mistake is told."""

from importlib.metadata import EntryPoint, EntryPoints

import pytest
from tests.unit.policies.room import FOLDER, folder

from lockkeep.policy.bundle import load
from lockkeep.policy.files import channels
from lockkeep.policy.files.channels import ChannelEntry
from lockkeep.policy.show import diff

RIGHT = """\
notify:
  ops: {kind: slack, channel: C0123ABCD, token: "env:TOKEN", app_token: "file:/run/app"}
  mail: {kind: email, server: "smtps://gate@mail.example:465", from: "Acme <gate@acme.example>", password: "env:MAIL", to: [a@b.example]}
  siem: {kind: webhook, about: alarms, url: "https://siem.example/x", secret: "env:SIEM", allow: 10.2.0.0/16}
"""
SLACK = "kind: slack, channel: C0123, token: env:T"
EMAIL = "kind: email, server: smtps://mail.example, from: gate@acme.example"
HOOK = "kind: webhook, url: https://siem.example/x, secret: env:S"
LIST = 'a text that begins with { [ @ * or holds ": " or " #" needs quotes'
MISTAKES = {
    "kind: slak": ("there is no channel of kind 'slak'", "did you mean slack?"),
    "url: x": ("channel ops needs 'kind'", "add a line kind: …"),
    SLACK.replace(", token: env:T", ""): ("channel ops needs 'token'", "add a line token: …"),
    f"{SLACK}, chanel: C1": ("unknown key 'chanel' in channel ops", "did you mean channel?"),
    f"{SLACK}, url: x": ("unknown key 'url' in channel ops", "known: about, api, app_token, ca_file, channel, kind, signing_secret, token"),
    SLACK.replace("env:T", "xoxb-1"): ("'token' is a reference, never the secret itself", 'token: "env:NAME" or "file:PATH"'),
    SLACK.replace("C0123", "'#ops'"): ("'#ops' is no id of a Slack channel", "write the id, as in C0123ABCD; it stands in the channel's details"),
    f"{SLACK}, app_token: env:A, signing_secret: env:B": (
        "Slack's buttons are heard over app_token (Socket Mode) or signing_secret (HTTP), not over both",
        "keep app_token unless the gateway has a public address",
    ),
    f"{SLACK}, api: 'https://slack.com.evil.example/'": ("this is no address of Slack", "leave api out, or write https://slack-gov.com/api/"),
    f"{SLACK}, about: approval": ("a channel is not told about 'approval'", "did you mean approvals?"),
    EMAIL.replace("smtps://mail.example", "mail.example"): ("'mail.example' is no mail server", "write smtps://USER@HOST:465 or smtp://USER@HOST:587"),
    EMAIL.replace("//mail", "//gate:pw@mail"): ("an address holds no password", 'password: "env:NAME"'),
    EMAIL.replace("//mail", "//gate@mail"): ("a user in the address and 'password' belong together", "smtps://USER@HOST and password: env:NAME"),
    EMAIL.replace("gate@acme.example", "gate"): ("'gate' is no e-mail address", "write Acme <gate@acme.example>"),
    f"{EMAIL}, to: ['a@b.example', 'x']": ("'x' is no e-mail address", "write Acme <gate@acme.example>"),
    f'{EMAIL}, to: "a@b.example\\nBcc: c@d.example"': ("'a@b.example\nBcc: c@d.example' is no e-mail address", "write Acme <gate@acme.example>"),
    HOOK.replace("https", "http"): ("the address is neither https nor on this machine", "use https://"),
    HOOK.replace("//siem", "//me:pw@siem"): ("this is no address", "write https://HOST/PATH"),
    f"{HOOK}, allow: []": ("'allow' is an empty list", "name something, or leave allow out"),
    f"{SLACK}, api: [x]": ("'api' is a list; text is expected", LIST),
    "kind: webhook, url: {a: b}, secret: env:S": ("'url' is a mapping; text is expected", LIST),
    f"{HOOK}, allow: inside": ("'inside' is no network", "write 10.2.0.0/16, or one address"),
}  # fmt: skip


def with_channels(text: str) -> dict[str, str]:
    return folder() | {"gateway.yaml": FOLDER["gateway.yaml"] + text}


def test_three_kinds_are_read() -> None:
    found, problems = load(with_channels(RIGHT))

    assert problems == []
    assert found is not None
    assert [*found.gateway.notify.values()] == [
        ChannelEntry(name="ops", kind="slack", values={"channel": "C0123ABCD", "token": "env:TOKEN", "app_token": "file:/run/app"}),
        ChannelEntry(
            name="mail", kind="email", lists={"to": ("a@b.example",)},
            values={"server": "smtps://gate@mail.example:465", "from": "Acme <gate@acme.example>", "password": "env:MAIL"},
        ),
        ChannelEntry(
            name="siem", kind="webhook", about=("alarms",), lists={"allow": ("10.2.0.0/16",)},
            values={"url": "https://siem.example/x", "secret": "env:SIEM"},
        ),
    ]  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES, ids=range(len(MISTAKES)))
def test_a_mistake_is_one_message_with_a_hint(mistake: str) -> None:
    _, problems = load(with_channels(f"notify:\n  ops: {{{mistake}}}\n"))

    assert [(each.message, each.hint) for each in problems] == [MISTAKES[mistake]]


@pytest.mark.parametrize(
    "text",
    ["notify: slack\n", "notify: [slack]\n", "notify:\n  ops: slack\n", "notify:\n  Ops-1: {kind: email}\n"],
)
def test_another_form_is_told_how_it_is_written(text: str) -> None:
    found, problems = load(with_channels(text))

    assert found is None
    assert problems
    assert problems[0].hint


def test_a_kind_that_an_installed_package_brings_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = EntryPoints([EntryPoint("pager", "pager.lockkeep:build", channels.GROUP)])

    def found_in(*, group: str) -> EntryPoints:
        return installed.select(group=group)

    monkeypatch.setattr(channels, "entry_points", found_in)
    found, problems = load(
        with_channels("notify:\n  duty: {kind: pager, with: {key: env:PAGER, team: ops}}\n")
    )

    assert problems == []
    assert found is not None
    assert found.gateway.notify["duty"].values == {"key": "env:PAGER", "team": "ops"}


def test_a_channel_that_comes_goes_or_changes_is_a_difference() -> None:
    old, _ = load(with_channels(""))
    new, _ = load(with_channels(RIGHT))
    assert old is not None
    assert new is not None
    said = [each for each in diff.compare(old, new) if each.group == "gateway"]
    assert len(said) == 3
