"""Sixty texts of agents and servers on four channels: shown as what they are, and nothing becomes of them (A7, P3)."""

import json
import random
import re
from collections.abc import Sequence
from html import unescape
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aiosmtplib", reason="e-mail needs aiosmtplib: pip install 'lockkeep[smtp]'")

from tests.backends.fakes.slack import TOKEN
from tests.backends.fakes.slack_app import SIGNING_SECRET, slack_app
from tests.backends.smtp_server import mail_server
from typer.testing import CliRunner

from lockkeep.cli.commands import app
from lockkeep.notify.slackcard import APPROVE
from lockkeep.upstream.visible import unseen
from shop import Shop
from told import PAY, ask, telling, until
from wire.test_inbox import roomy, visitor
from wire.test_told_in_slack import SLACK

MAIL = "  mail: {{kind: email, server: 'smtp://127.0.0.1:{port}', from: gate@acme.example}}\n"
UNSEEN = (
    *"\x00\x01\x07\x08\x1b\x7f\x85\xad", *"\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e",
    *"\u2060\u2063\u2066\u2067\u2068\u2069\ufeff\ufff9\u3164\u115f\ufe00", "\U000e0041", "\U000e0100", "\ue000",
)  # fmt: skip
BIG = 100_000
TEXTS: dict[str, str] = {  # -> what must be there to see, in every channel
    **{f"pay{char}pal": f"pay⟨U+{ord(char):04X}⟩pal" for char in UNSEEN},
    "<script>alert(1)</script>": "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>': '"><img src=x onerror=alert(1)>',
    "</td></table><form action=//evil>": "</td></table><form action=//evil>",
    "<!channel> look": "<!channel> look",
    "<!here|urgent> <!everyone>": "<!here|urgent> <!everyone>",
    "<@U2> <#C0OPS> <!subteam^S1>": "<@U2> <#C0OPS> <!subteam^S1>",
    "<https://evil.example|Approve>": "<https[:]//evil[.]example|Approve>",
    "@channel @here @everyone": "@channel @here @everyone",
    "*Approved by bo* _ok_ ~no~ `x`": "*Approved by bo* _ok_ ~no~ `x`",
    "&lt;b&gt; &amp;amp; &#60;": "&lt;b&gt; &amp;amp; &#60;",
    "https://evil.example/approve?x=1": "https[:]//evil[.]example/approve?x=1",
    "see www.evil.example now": "see www[.]evil[.]example now",
    "evil\u3002example": "evil[.]example",
    "javascript:alert(1)": "javascript:alert(1)",
    "[Approve](http://evil.example)": "[Approve](http[:]//evil[.]example)",
    "Subject: hi\r\nBcc: all@evil.example": "hi⟨U+000D⟩⟨U+000A⟩Bcc: all@evil[.]example",
    "\n\nApproved by: bo\nState: approved": "⟨U+000A⟩⟨U+000A⟩Approved by: bo⟨U+000A⟩State: approved",
    "\n.\nMAIL FROM:<a>": "⟨U+000A⟩.⟨U+000A⟩MAIL FROM:<a>",
    "{{ 7 * 7 }}{% raw %}${7*7}": "{{ 7 * 7 }}{% raw %}${7*7}",
    "=?utf-8?q?evil?=": "=?utf-8?q?evil?=",
    "=cmd|' /C calc'!A0": "=cmd|' /C calc'!A0",
    "\x1b]8;;http://evil.example\x07click\x1b]8;;\x07": "⟨U+001B⟩]8;;http[:]//evil[.]example⟨U+0007⟩click",
    "\u0440\u0430yment": "\u0440\u0430yment [mixes Cyrillic and Latin letters]",
    "k\u0435str\u0435l and co": "[mixes Cyrillic and Latin letters]",
    "p\u03b1yp\u03b1l": "[mixes Greek and Latin letters]",
    "x" * BIG: f"({BIG} characters, sha256 ",
    "\u202e" * 400: "(400 characters, sha256 ",
    ":white_check_mark: approved :tada:": ":white_check_mark: approved :tada:",
}  # fmt: skip
LONG = {text for text in TEXTS if len(text) > 300}


def test_there_are_sixty_of_them() -> None:
    assert len(TEXTS) >= 60


@pytest.mark.promise("P3")
async def test_a_sample_of_hostile_texts_does_nothing_in_any_channel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await check(random.Random(7).sample([*TEXTS], 4), tmp_path, monkeypatch)


@pytest.mark.full
@pytest.mark.promise("P3")
@pytest.mark.parametrize("part", range(5))
async def test_no_hostile_text_does_anything_in_any_channel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    await check([*TEXTS][part::5], tmp_path, monkeypatch)


async def check(texts: Sequence[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_TOKEN", TOKEN)
    monkeypatch.setenv("SLACK_SECRET", SIGNING_SECRET)
    monkeypatch.setenv("LOCKKEEP_DATA", str(folder / "data"))
    monkeypatch.setenv("LOCKKEEP_POLICIES", str(folder / "policies"))
    async with slack_app() as slack, mail_server() as desk:
        channels = SLACK.format(url=slack.url) + MAIL.format(port=desk.port)
        async with telling(folder, channels, shop=Shop(tools=roomy())) as home, visitor(home, "bo") as bo:
            for number, text in enumerate(texts):
                home.shop.things[text] = {"id": text, "owner": text}
                asked = await ask(home, {**PAY, "id": text})
                await until(lambda number=number: len(slack.messages) == len(desk.taken) == number + 1)
                shown, ours = TEXTS[text], f"{home.url}/inbox/{asked['approval_id']}"
                in_inbox((await bo.get(f"/inbox/{asked['approval_id']}")).text, shown)
                in_terminal(asked["approval_id"], shown)
                in_slack(slack.messages[-1], shown, ours)
                in_mail(desk.taken[-1], shown, ours)
                assert (APPROVE in slack.buttons()) == (text not in LONG)


def linked(shown: str) -> str:
    """As it is where nothing makes links of texts by itself."""
    return shown.replace("[:]//", "://").replace("[.]", ".")


def in_inbox(page: str, shown: str) -> None:
    assert linked(shown).replace("evil.example", "evil") in unescape(page).replace("\u3002", ".").replace(
        "evil.example", "evil"
    )
    assert not re.search(r"<(script|img|b|i|iframe|svg)\b", page)
    assert not re.search(r'(href|action)="(?!/(inbox|static/inbox\.css|sign-out|switches))', page)
    assert page.count("<form") == page.count("</form>") <= 3
    assert not any(unseen(char) for char in page if char != "\n")


def in_terminal(approval: str, shown: str) -> None:
    runner = CliRunner()
    plain, data = (runner.invoke(app, ["approvals", "show", approval, *more]) for more in ([], ["--json"]))
    assert (plain.exit_code, data.exit_code) == (0, 0)
    assert not any(unseen(char) for char in plain.output if char != "\n")
    assert not any(unseen(char) for char in data.output if char != "\n")
    values = json.dumps(json.loads(data.output)["arguments"], ensure_ascii=False).replace('\\"', '"')
    assert linked(shown) in values.replace("\u3002", ".")


def in_slack(message: dict[str, Any], shown: str, ours: str) -> None:
    texts = [block["text"] for block in message["blocks"] if "text" in block]
    texts += [each["text"] for block in message["blocks"] for each in block.get("elements", ())]
    links = [
        each["url"] for block in message["blocks"] for each in block.get("elements", ()) if "url" in each
    ]
    raw = [text["text"] for text in texts]
    everything = "\n".join(raw)
    assert {text["type"] for text in texts} == {"plain_text"}
    assert not any(text["emoji"] for text in texts)
    assert links == [ours]
    assert not re.search(r"[<>]|://|evil\.example|&(?!(amp|lt|gt);)", everything)
    assert not any(unseen(char) for char in everything if char != "\n")
    assert shown in everything.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    assert message["text"] == "shop.pay, 500.00 EUR waits for people"
    assert all(len(text) <= 3000 for text in raw)


def in_mail(letter: Any, shown: str, ours: str) -> None:
    body = letter.get_content().replace("\r\n", "\n")
    assert letter.get_content_type() == "text/plain"
    assert re.findall(r"\S*://\S*", body) == [ours]
    assert "evil.example" not in body
    assert not any(unseen(char) for char in body if char != "\n")
    assert shown in body
    assert letter["Subject"] == "[house] shop.pay, 500.00 EUR waits for people"
    assert sorted(letter.keys()) == sorted(
        [
            "From",
            "To",
            "Subject",
            "Date",
            "Message-ID",
            "Auto-Submitted",
            "Content-Type",
            "Content-Transfer-Encoding",
            "MIME-Version",
        ]
    )
    assert len(body) < 10_000
