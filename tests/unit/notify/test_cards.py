"""What channels make of a notice: which buttons there are, and that nothing in a text does anything."""

from typing import Any

import pytest

from lockkeep.cards.quoted import is_cut, quoted
from lockkeep.model import Amount, Demand
from lockkeep.notify.buttons import link_only, read_value
from lockkeep.notify.plain import unlinked
from lockkeep.notify.slackcard import LONGEST, escaped
from lockkeep.notify.slackpress import payload_of, place_of, press_of

EUR = Amount(minor=20_000, currency="EUR")
UP_TO = {
    None: False,
    "all": True,
    "200.00 EUR": True,
    "199.99 EUR": False,
    "200.00 USD": False,
    "nonsense": False,
    "x EUR": False,
}


def demand(most: str | None) -> Demand:
    return Demand(rule="r", each=("lead",), slack_up_to=most)


@pytest.mark.parametrize("risk", ["money", "customer_visible", "irreversible"])
def test_what_is_grave_has_buttons_where_every_rule_allows_them(risk: str) -> None:
    assert {most: not link_only([demand(most)], risk, EUR, cut=False) for most in UP_TO} == UP_TO
    assert link_only([demand("all"), demand(None)], risk, EUR, cut=False)
    assert not link_only([demand("all")], risk, None, cut=False)
    assert link_only([demand("200.00 EUR")], risk, None, cut=False)
    assert link_only([demand("200.00 EUR")], risk, Amount(minor=-1, currency="EUR"), cut=False)


@pytest.mark.parametrize("risk", ["read", "note", "write"])
def test_what_is_not_grave_has_buttons_but_where_something_is_not_shown(risk: str) -> None:
    assert link_only([demand(None)], risk, None, cut=False) == ""
    assert link_only([demand(None)], risk, None, cut=True) == "not everything fits here"


@pytest.mark.parametrize(
    "text", ["", "apr_1", "apr_1:", "apr_1:0123456789abcde", "apr_1:0123456789ABCDEF", "apr_1:0123456789abcdef0", "x:0123456789abcdef", "apr_1:0123456789abcdef\n"]
)  # fmt: skip
def test_a_value_of_another_form_is_none_of_ours(text: str) -> None:
    assert read_value(text) is None


def test_names_of_hosts_become_no_links_and_numbers_stay_numbers() -> None:
    assert unlinked("https://a.example/x?y=z.html 1.5 v2.0 e.g. ana@b.example") == (
        "https[:]//a[.]example/x?y=z[.]html 1.5 v2.0 e[.]g. ana@b[.]example"
    )
    assert unlinked("файл.рф evil\u3002com") == "файл[.]рф evil[.]com"


def test_alphabets_that_one_word_mixes_are_named_and_others_are_not() -> None:
    said = {text: quoted(text).partition(" [")[2] for text in ("p\u0430ypal", "\u0440\u0430\u0443", "naïve", "Tシャツ", "\u00b5m", "α-Helix", "Ｐay")}  # fmt: skip
    assert said == {
        "p\u0430ypal": "mixes Cyrillic and Latin letters]", "\u0440\u0430\u0443": "", "naïve": "", "Tシャツ": "", "\u00b5m": "", "α-Helix": "",
        "Ｐay": "mixes Fullwidth and Latin letters]",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "cut"), [("x" * 500, False), ("x" * 501, True), ("\u200b" * 62, False), ("\u200b" * 63, True)]
)
def test_a_text_is_cut_at_500_characters_with_its_length_and_digest(text: str, cut: bool) -> None:
    shown = quoted(text)
    assert (is_cut(text), f"… ({len(text)} characters, sha256 " in shown) == (cut, cut)
    assert len(shown) < 560


PAYLOADS: list[Any] = [
    None, 1, [], {}, {"type": "block_actions"}, {"type": "block_actions", "user": {"id": "U1"}, "actions": "x"},
    {"type": "block_actions", "user": [], "actions": [{}]},
]  # fmt: skip
BODIES = [
    b"", b"payload=", b"payload=1&payload=2", b"payload=%ff", b"\xff", b"payload=" + b"[" * 100_000, b"&".join([b"a=1"] * 50),
]  # fmt: skip


def test_what_slack_sends_of_another_form_is_no_press() -> None:
    assert [press_of(payload, "e") for payload in PAYLOADS] == [None] * len(PAYLOADS)
    assert [place_of(payload) for payload in PAYLOADS] == [
        ("", ""),
        ("", ""),
        ("", ""),
        ("", ""),
        ("", ""),
        ("", "U1"),
        ("", ""),
    ]
    assert [payload_of(body) for body in BODIES] == [None] * len(BODIES)


def test_an_escaped_line_fits_where_its_blocks_must() -> None:
    assert escaped("<&>") == "&lt;&amp;&gt;"
    assert len(escaped("&" * 580)) <= LONGEST  # the longest quoted text, whatever it holds
