"""E-mail: a link to the inbox, the card in plain text, and nothing that votes by being opened (P4)."""

import re
from email import message_from_bytes
from pathlib import Path

import pytest

pytest.importorskip("aiosmtplib", reason="e-mail needs aiosmtplib: pip install 'lockkeep[smtp]'")

from tests.backends.smtp_server import PASSWORD, USER, MailServer, certificate, mail_server

from lockkeep.notify.email import EmailChannel
from lockkeep.notify.port import Undelivered
from lockkeep.policy.files.channels import ChannelEntry
from told import RULES, ask, telling, until
from wire.test_inbox import stranger, visitor

MAIL = "  mail: {{kind: email, server: 'smtp://127.0.0.1:{port}', from: 'Gate <gate@acme.example>'{more}}}\n"


def mail(desk: MailServer, more: str = "") -> str:
    return MAIL.format(port=desk.port, more=more)


def text_of(desk: MailServer, number: int = 0) -> str:
    return desk.taken[number].get_content()


@pytest.mark.promise("P4")
async def test_those_who_are_asked_get_a_link_that_only_a_person_who_signs_in_can_decide_behind(
    tmp_path: Path,
) -> None:
    async with mail_server() as desk, telling(tmp_path, mail(desk)) as home, stranger(home) as scanner:
        asked = await ask(home)
        await until(lambda: bool(desk.taken))
        letter, text = desk.taken[0], text_of(desk)
        (link,) = re.findall(r"https?://\S+", text)
        prefetched = [await scanner.get(link.removeprefix(home.url)) for _ in range(3)]
        async with visitor(home, "bo") as bo:
            opened = await bo.get(link.removeprefix(home.url))
            states = home.states()
            await bo.send(f"/inbox/{asked['approval_id']}/vote", {"decision": "deny", "reason": "no"})
        await until(lambda: home.states() == ["denied"])

    assert link == f"{home.url}/inbox/{asked['approval_id']}"
    assert ([each.status_code for each in prefetched], opened.status_code, states) == (
        [401] * 3,
        200,
        ["pending_approval"],
    )
    assert desk.envelopes == [
        ("gate@acme.example", ["bo@acme.example", "cy@acme.example"])
    ]  # not the agent's owner
    assert letter["Subject"] == "[house] shop.pay, 500.00 EUR waits for people"
    assert re.fullmatch(r"<ntc_\w+@acme\.example>", letter["Message-ID"])
    for line in (
        "Tool: shop.pay (money)",
        "Amount: 500.00 EUR",
        "id: p1",
        "Why people are asked: Kestrel gets 500.00 EUR.",
    ):
        assert f"\n{line}\n" in text.replace("\r\n", "\n"), line
    assert len(desk.taken) == 1  # the decision is not mailed


@pytest.mark.full
async def test_alarms_reach_who_may_stop_and_lift_and_to_names_others(tmp_path: Path) -> None:
    people = "duties: {kill: [finance], resume: [finance]}\n"
    from told import KNOWN

    async with mail_server() as desk:
        channels = mail(desk) + mail(desk, ", to: ops@acme.example, about: alarms").replace("mail:", "ops:")
        async with telling(tmp_path, channels, people=KNOWN + people) as home:
            await home.throw(by="dee")
            await until(lambda: len(desk.taken) == 2)

    assert sorted(to for _, to in desk.envelopes) == [
        ["cy@acme.example", "dee@acme.example", "olga@acme.example"],
        ["ops@acme.example"],
    ]
    assert desk.taken[0]["Subject"] == "[house] kill of all by dee"
    assert "Why: Wrong prices" in text_of(desk)


@pytest.mark.full
async def test_when_nobody_has_an_address_it_says_so_and_goes_out_once_somebody_has(tmp_path: Path) -> None:
    from house import PEOPLE
    from told import KNOWN

    async with mail_server() as desk, telling(tmp_path, mail(desk), people=PEOPLE) as home:
        await ask(home)
        await until(lambda: bool(home.troubles()))
        why = home.troubles()
        await home.rules(people=KNOWN)
        await until(lambda: bool(desk.taken))

    assert "has an account email:ADDRESS in people.yaml" in why[0]


@pytest.mark.full
async def test_a_letter_that_is_refused_comes_again_with_the_same_id(tmp_path: Path) -> None:
    async with mail_server() as desk:
        desk.data = ["451 later", "250 OK"]
        async with telling(tmp_path, mail(desk), rules=RULES) as home:
            await ask(home)
            await until(lambda: bool(desk.taken))

    assert len(desk.raw) == 2
    assert len({str(message_from_bytes(each)["Message-ID"]) for each in desk.raw}) == 1


def channel(port: int, monkeypatch: pytest.MonkeyPatch, **more: str) -> EmailChannel:
    from house import Clock

    monkeypatch.setenv("MAIL_PASSWORD", more.pop("open", PASSWORD))
    values = {
        "server": f"smtp://{USER}@127.0.0.1:{port}",
        "from": "gate@acme.example",
        "password": "env:MAIL_PASSWORD",
    }
    return EmailChannel(ChannelEntry(name="mail", kind="email", values={**values, **more}), Clock())


@pytest.mark.full
async def test_what_is_wrong_with_a_mail_server_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: dict[str, str] = {}
    tls, cert = certificate(tmp_path)
    async with mail_server(login=True) as clear, mail_server(tls=tls, login=True) as secure:
        tries = {
            "right": channel(clear.port, monkeypatch),
            "password": channel(clear.port, monkeypatch, open="wrong"),
            "nobody": channel(1, monkeypatch),
            "certificate": channel(secure.port, monkeypatch, server=f"smtp://{USER}@localhost:{secure.port}"),
            "own": channel(
                secure.port, monkeypatch, server=f"smtp://{USER}@localhost:{secure.port}", ca_file=str(cert)
            ),
            "no file": channel(secure.port, monkeypatch, ca_file=str(tmp_path / "none.pem")),
        }
        for name, each in tries.items():
            monkeypatch.setenv("MAIL_PASSWORD", "wrong" if name == "password" else PASSWORD)
            try:
                said[name] = await each.examine()
            except Undelivered as error:
                said[name] = str(error)

    assert said["right"].endswith("takes our mail")
    assert said["password"].endswith("does not take the user and password")
    assert said["own"].endswith("takes our mail")
    assert said["certificate"].endswith(
        "shows a certificate that nobody vouches for; ca_file: names one's own"
    )
    assert said["nobody"] == "127.0.0.1:1 cannot be reached"
    assert said["no file"].endswith("cannot be read as a certificate")
