"""What people are told elsewhere: written with the event, delivered at least once, and never in the way of a call."""

import hmac
from datetime import timedelta
from pathlib import Path

import anyio
import pytest
from tests.backends.smtp_server import certificate

from house import Clock, said
from lockkeep.app import utc_now
from lockkeep.notify import reach, webhook
from lockkeep.notify.port import Notice
from lockkeep.policy.files.channels import ChannelEntry
from told import SECRET, Listener, ask, listener, telling, until

HOOK = "  siem: {{kind: webhook, url: {url}, secret: env:HOOK_SECRET{more}}}\n"


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_SECRET", SECRET)


def hook(out: Listener, more: str = "") -> str:
    return HOOK.format(url=out.url, more=more)


async def test_what_is_asked_decided_stopped_and_lifted_is_told_once_each_and_signed(tmp_path: Path) -> None:
    async with listener() as out, telling(tmp_path, hook(out)) as home:
        asked = await ask(home)
        await until(lambda: out.events == ["approval.asked"])
        await home.vote(asked["approval_id"], "bo", "deny")
        await until(lambda: len(out.events) == 2)
        await home.throw()
        await home.lift()
        await until(lambda: len(out.events) == 4)
        await anyio.sleep(0.6)  # nothing more comes

    assert out.events == ["approval.asked", "approval.decided", "switch.thrown", "switch.lifted"]
    first, second, third, last = out.messages
    assert (first["title"], first["approval"]["arguments"]["id"]) == (
        "shop.pay, 500.00 EUR waits for people",
        "p1",
    )
    assert (first["approval"]["state"], second["approval"]["state"]) == ("pending", "denied")
    assert first["url"] == f"{home.url}/inbox/{asked['approval_id']}"
    assert (third["switch"]["by"], third["switch"]["reason"], last["switch"]["lifted_by"]) == (
        "olga",
        "Wrong prices",
        "bo",
    )
    assert len({each["id"] for each in out.messages}) == 4
    for head, body, message in zip(out.heads, out.bodies, out.messages, strict=True):
        seconds = head["lockkeep-signature"].partition(",")[0].removeprefix("t=")
        expected = hmac.new(SECRET.encode(), f"{seconds}.".encode() + body, "sha256").hexdigest()
        assert head["lockkeep-signature"] == f"t={seconds},v1={expected}"
        assert head["lockkeep-notice"] == message["id"]


@pytest.mark.full
async def test_a_channel_hears_only_what_it_is_for(tmp_path: Path) -> None:
    async with listener() as out, listener() as alarms:
        channels = hook(out, ", about: approvals") + hook(alarms, ", about: [alarms]").replace(
            "siem", "pager"
        )
        async with telling(tmp_path, channels) as home:
            await ask(home)
            await home.throw(mode="pause")
            await until(lambda: bool(out.bodies and alarms.bodies))
            await anyio.sleep(0.4)

    assert (out.events, alarms.events) == (["approval.asked"], ["switch.thrown"])


async def test_what_is_not_taken_comes_again_with_the_same_id_and_status_says_why(tmp_path: Path) -> None:
    async with listener() as out:
        out.answers = ["503 Busy", "302 Found\r\nLocation: http://169.254.169.254/", "200 OK"]
        async with telling(tmp_path, hook(out)) as home:
            await ask(home)
            await until(lambda: len(out.bodies) == 1)
            await until(lambda: bool(home.troubles()))
            troubles = home.troubles()
            await until(lambda: len(out.bodies) == 3)
            await until(lambda: not home.troubles())

    assert troubles == ["siem: 1 message not delivered yet: 127.0.0.1 answered 503"]
    assert len({each["id"] for each in out.messages}) == 1


async def test_after_a_day_it_is_given_up_on_the_record(tmp_path: Path) -> None:
    async with listener() as out:
        out.answers = ["500 No"] * 50
        async with telling(tmp_path, hook(out)) as home:
            await ask(home)
            await until(lambda: bool(home.troubles()))
            home.clock.ahead = timedelta(hours=23, minutes=59)
            await until(lambda: len(out.bodies) >= 2)
            home.clock.ahead = timedelta(days=1, minutes=1)
            await until(lambda: home.audit()[-1]["type"] == "notice.given_up")
            record, troubles = home.audit()[-1], home.troubles()

    assert (record["channel"], record["told"], record["reason"]) == (
        "siem",
        "approval.asked",
        "127.0.0.1 answered 500",
    )
    assert troubles[-1:] == ["siem: 1 message given up within the last 30 days: 127.0.0.1 answered 500"]


@pytest.mark.full
async def test_a_channel_that_hangs_holds_up_no_call_and_no_other_channel(tmp_path: Path) -> None:
    async with listener() as slow, listener() as out:
        slow.hold = anyio.Event()
        async with telling(tmp_path, hook(slow).replace("siem", "slow") + hook(out)) as home:
            with anyio.fail_after(5):
                await ask(home)
                await until(lambda: bool(slow.bodies))
                assert "id" in said(await home.call("shop.read", {"id": "p1"}))
                await until(lambda: out.events == ["approval.asked"])
            slow.hold.set()


@pytest.mark.full
async def test_what_was_not_delivered_before_a_restart_is_delivered_after_it_in_order(tmp_path: Path) -> None:
    async with listener() as out:
        out.answers = ["500 No"] * 2
        async with telling(tmp_path, hook(out)) as home:
            asked = await ask(home)
            await home.vote(asked["approval_id"], "bo", "deny")
            await until(lambda: bool(out.bodies))
        tried = len(out.bodies)
        out.answers = []
        async with telling(tmp_path, hook(out)) as home:
            await until(lambda: out.events[-1:] == ["approval.decided"])

    assert out.events[tried:] == ["approval.asked", "approval.decided"]
    assert out.messages[0]["id"] == out.messages[tried]["id"]


@pytest.mark.full
async def test_a_channel_that_is_taken_out_of_the_rules_gets_nothing_more(tmp_path: Path) -> None:
    async with listener() as out, telling(tmp_path, hook(out)) as home:
        await ask(home)
        await until(lambda: bool(out.bodies))
        await home.rules(gateway=home.gateway.in_force.current.files["gateway.yaml"].partition("notify:")[0])  # pyright: ignore[reportOptionalMemberAccess]
        await until(lambda: not home.gateway.announcements._open)  # pyright: ignore[reportPrivateUsage]
        await home.throw()
        await anyio.sleep(0.6)

    assert out.events == ["approval.asked"]


REACH = [
    ("93.184.216.34", True), ("2606:2800:220:1::1", True), ("127.0.0.1", False), ("::1", False), ("10.0.0.1", False),
    ("172.16.5.5", False), ("192.168.1.1", False), ("169.254.169.254", False), ("100.64.0.1", False), ("0.0.0.0", False),
    ("::ffff:10.0.0.1", False), ("::ffff:169.254.169.254", False), ("64:ff9b::a00:1", False), ("2002:a00:1::", False),
    ("fd00:ec2::254", False), ("fe80::1%eth0", False), ("224.0.0.1", False), ("168.63.129.16", False), ("255.255.255.255", False),
]  # fmt: skip


def test_only_public_addresses_are_reached_however_a_private_one_is_dressed_up() -> None:
    assert [(text, reach.may_reach(text, (), False)) for text, _ in REACH] == REACH
    assert reach.may_reach("10.2.3.4", ("10.2.0.0/16",), False)
    assert reach.may_reach("::ffff:10.2.3.4", ("10.2.0.0/16",), False)
    assert not reach.may_reach("10.3.3.4", ("10.2.0.0/16",), False)
    assert reach.may_reach("127.0.0.1", (), True)


async def test_a_name_that_leads_inside_is_refused_and_its_address_is_looked_up_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    async def resolve(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        asked.append(host)
        inside = [("x", "x", 6, "", ("10.0.0.7", port))]
        return [("x", "x", 6, "", ("93.184.216.34", port)), *(inside if host == "both.example" else [])]

    monkeypatch.setattr(anyio, "getaddrinfo", resolve)
    found = await reach.target("https://hook.example:8443/a?b=c", ())
    with pytest.raises(webhook.Undelivered, match=r"both\.example is 10\.0\.0\.7"):
        await reach.target("https://both.example/", ())

    assert (found.url, found.authority) == ("https://93.184.216.34:8443/a?b=c", "hook.example:8443")
    assert asked == ["hook.example", "both.example"]


@pytest.mark.full
async def test_a_certificate_must_be_one_that_the_name_in_the_address_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls, cert = certificate(tmp_path)
    said: dict[str, str] = {}
    async with listener(tls) as out:
        port = out.port
        for name, url, more in (
            ("stranger", f"https://localhost:{port}/x", {}),
            ("vouched for", f"https://localhost:{port}/x", {"ca_file": str(cert)}),
            ("another name", f"https://127.0.0.1:{port}/x", {"ca_file": str(cert)}),
            ("no file", f"https://localhost:{port}/x", {"ca_file": str(tmp_path / "none")}),
        ):
            values = {"url": url, "secret": "env:HOOK_SECRET", **more}
            channel = webhook.WebhookChannel(
                ChannelEntry(name="siem", kind="webhook", values=values), Clock()
            )
            try:
                await channel.deliver(
                    Notice(id="ntc_1", event="test", at=utc_now(), gateway="g", url="u"), ()
                )
                said[name] = "taken"
            except webhook.Undelivered as error:
                said[name] = str(error)

    assert said == {
        "stranger": "localhost does not answer: ConnectError",
        "vouched for": "taken",
        "another name": "127.0.0.1 does not answer: ConnectError",
        "no file": f"ca_file: {tmp_path / 'none'} cannot be read as a certificate",
    }
    assert out.heads[0]["host"] == f"localhost:{port}"
