"""The inbox without a line of JavaScript: who gets in, what they see, and what their buttons do (P3, P4, P5)."""

import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp_types import Tool
from starlette.routing import Route

from house import PEOPLE, House, house, said
from lockkeep.app import Settings, running
from lockkeep.ledger import callers
from lockkeep.store import Tx
from lockkeep.surface import console
from shop import TOOLS, Shop

RULES = """\
api: lockkeep/v1
policy: pay
owner: lead
applies_to: {everywhere: true}
read:
  thing: shop.read(id)
tools:
  shop.read: {allow: anyone}
  shop.write: {allow: anyone}
  shop.pay:
    allow: anyone
    ask:
      - name: high
        when: amount > 100 EUR && has(thing.owner)
        from: [lead]
        say: "{thing.owner} gets {amount}."
"""
CONFIRM = RULES.replace(
    "shop.write: {allow: anyone}",
    "shop.write:\n    allow: anyone\n    ask: {confirm: requester, say: Really}",
)
PAY = {"id": "p1", "amount_minor": 50_000, "currency": "EUR"}
HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
BIG = 200_000
Row = tuple[str, str]


@dataclass
class Visitor:
    """A browser without scripts: it keeps its cookie and sends the forms it was shown."""

    http: httpx2.AsyncClient
    page: str = ""

    async def get(self, path: str, **more: Any) -> httpx2.Response:
        answer = await self.http.get(path, **more)
        self.page = answer.text
        return answer

    async def send(self, path: str, button: Mapping[str, str], **changed: str | None) -> httpx2.Response:
        """Press a button of the form with this action, after changing hidden fields, or leaving them out (None)."""
        form = re.search(rf'<form[^>]*action="{re.escape(path)}">(.*?)</form>', self.page, re.DOTALL)
        hidden: dict[str, str] = {}
        if form is not None:
            fields: list[Row] = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', form[1])
            hidden = {name: unescape(value) for name, value in fields}
        sent = {name: value for name, value in {**hidden, **changed, **button}.items() if value is not None}
        return await self.http.post(path, data=sent)


@asynccontextmanager
async def stranger(home: House, **headers: str) -> AsyncGenerator[Visitor]:
    async with httpx2.AsyncClient(
        base_url=home.url, headers=headers, trust_env=False, verify=False, timeout=30
    ) as http:
        yield Visitor(http)


async def link(home: House, person: str) -> str:
    return await home.store.write(
        lambda tx: callers.create_link(tx, person=person, by="test", now=home.clock())
    )


@asynccontextmanager
async def visitor(home: House, person: str) -> AsyncGenerator[Visitor]:
    """Somebody who has opened a fresh link and pressed its button."""
    async with stranger(home) as found:
        await found.get("/sign-in", params={"code": await link(home, person)})
        answer = await found.send("/sign-in", {})
        assert (answer.status_code, answer.headers["location"]) == (303, "/inbox")
        await found.get("/inbox")
        yield found


async def ask(home: House, arguments: Mapping[str, Any] = PAY, **who: Any) -> dict[str, Any]:
    home.shop.things.setdefault(str(arguments["id"]), {"id": arguments["id"], "owner": "Kestrel"})
    return said(await home.call("shop.pay", arguments, **who))


async def settled(home: House, *states: str) -> None:
    with anyio.fail_after(10):
        while home.states() != list(states):
            await anyio.sleep(0.02)


def buttons(page: str) -> list[str]:
    return re.findall(r'<button[^>]* name="decision" value="(\w+)"', page)


# -- signing in -------------------------------------------------------------------------------------------------


@pytest.mark.promise("P4")
async def test_a_link_signs_in_once_by_its_button_and_never_by_being_opened(tmp_path: Path) -> None:
    async with house(tmp_path, rules=RULES) as home, stranger(home) as bo, stranger(home) as late:
        code = await link(home, "bo")
        opened = [await bo.get("/sign-in", params={"code": code}) for _ in range(3)]
        outside = await bo.http.get("/inbox")
        entered = await bo.send("/sign-in", {})
        inbox = await bo.get("/inbox")
        again = await late.http.post("/sign-in", data={"code": code})
        kinds = [each["type"] for each in home.audit() if each["type"].startswith("console")]

    assert [(each.status_code, "set-cookie" in each.headers) for each in opened] == [(200, False)] * 3
    assert (outside.status_code, entered.status_code, inbox.status_code) == (401, 303, 200)
    assert (again.status_code, "set-cookie" in again.headers) == (403, False)
    assert kinds == ["console.link", "console.signed_in", "console.refused"]


@pytest.mark.promise("P4")
@pytest.mark.parametrize(("minutes", "status"), [(9.9, 303), (10, 403), (600, 403)])
async def test_a_link_works_within_ten_minutes(tmp_path: Path, minutes: float, status: int) -> None:
    async with house(tmp_path, rules=RULES) as home, stranger(home) as bo:
        code = await link(home, "bo")
        home.clock.ahead = timedelta(minutes=minutes)

        assert (await bo.http.post("/sign-in", data={"code": code})).status_code == status


@pytest.mark.promise("P4")
async def test_a_session_ends_after_twelve_hours_by_signing_out_and_when_its_person_is_gone(
    tmp_path: Path,
) -> None:
    async with (
        house(tmp_path, rules=RULES) as home,
        visitor(home, "bo") as bo,
        visitor(home, "cy") as cy,
        visitor(home, "dee") as dee,
    ):
        out = await bo.send("/sign-out", {})
        secret = dict(cy.http.cookies)
        await home.rules(people=PEOPLE.replace("  dee: {groups: [finance]}\n", ""))
        with anyio.fail_after(5):
            while (current := home.gateway.in_force.current) is None or current.generation < 2:
                await anyio.sleep(0.02)
        after_out, gone = await bo.get("/inbox"), await dee.get("/inbox")
        home.clock.ahead = timedelta(hours=12, seconds=1)
        late = await cy.get("/inbox", cookies=secret) if not cy.http.cookies else await cy.get("/inbox")

    assert out.status_code == 303
    assert [each.status_code for each in (after_out, gone, late)] == [401, 401, 401]


async def test_the_session_cookie_cannot_be_read_by_scripts_nor_sent_by_other_sites(tmp_path: Path) -> None:
    async with house(tmp_path, rules=RULES) as home, stranger(home) as bo:
        answer = await bo.http.post("/sign-in", data={"code": await link(home, "bo")})

    words = {
        word.strip().split("=")[0].lower(): word.strip() for word in answer.headers["set-cookie"].split(";")
    }
    assert {"httponly", "samesite", "max-age", "path"} <= set(words)
    assert words["samesite"].lower() in ("samesite=lax", "samesite=strict")


@pytest.mark.promise("P4")
async def test_an_agents_token_opens_no_page(tmp_path: Path) -> None:
    async with house(tmp_path, rules=RULES) as home:
        token = await home.token("ana", "robot")
        async with stranger(
            home, authorization=f"Bearer {token}", cookie=f"{console.COOKIE}={token}"
        ) as agent:
            asked = await ask(home)
            tried = [
                await agent.http.get("/inbox"),
                await agent.http.post(f"/inbox/{asked['approval_id']}/vote", data={"decision": "approve"}),
                await agent.http.post("/switches/lift", data={"scope": "all", "reason": "x"}),
            ]

        assert [each.status_code for each in tried] == [401, 401, 401]
        assert home.states() == ["pending_approval"]


# -- every route, once ------------------------------------------------------------------------------------------

MATRIX: dict[
    Row, tuple[int, int | None]
] = {  # (method, path) -> status without a session, with a wrong form token
    ("GET", "/"): (303, None),
    ("GET", "/static/inbox.css"): (200, None),
    ("GET", "/sign-in"): (200, None),
    ("POST", "/sign-in"): (403, None),  # no session yet, so no form token; the link's code is the secret
    ("POST", "/sign-out"): (401, 403),
    ("GET", "/inbox"): (401, None),
    ("GET", "/inbox/{approval}"): (401, None),
    ("POST", "/inbox/{approval}/vote"): (401, 403),
    ("POST", "/inbox/{approval}/edit"): (401, 403),
    ("POST", "/inbox/{approval}/withdraw"): (401, 403),
    ("POST", "/switches"): (401, 403),
    ("POST", "/switches/lift"): (401, 403),
}


async def console_routes(folder: Path) -> set[Row]:
    async with running(Settings(data=folder / "empty", policies=folder)) as gateway:
        found = console.routes(
            console.Desk(gateway.ledger, gateway.in_force, gateway.clock, gateway.sparing, gateway.new_id)
        )
        assert all(isinstance(route, Route) for route in found)
        return {
            (method, route.path) for route in found for method in (route.methods or ()) if method != "HEAD"
        }


@pytest.mark.promise("P4", "P5")
async def test_every_route_asks_for_a_session_and_every_form_for_its_token(tmp_path: Path) -> None:
    async with house(tmp_path, rules=RULES) as home, visitor(home, "bo") as bo, stranger(home) as nobody:
        asked = await ask(home)
        said_: dict[Row, tuple[int, int | None]] = {}
        for method, path in await console_routes(tmp_path):
            at = path.replace("{approval}", asked["approval_id"])
            form: dict[str, Any] = {
                "data": {"decision": "approve", "scope": "all", "reason": "r", "mode": "kill"}
            }
            more = form if method == "POST" else {}
            without = (await nobody.http.request(method, at, **more)).status_code
            wrong = {
                (await bo.http.post(at, data={**form["data"], **token})).status_code
                for token in ({}, {"csrf": ""}, {"csrf": "x" * 32}, {"csrf": "ü\u200b"})
            }
            said_[method, path] = without, wrong.pop() if method == "POST" and path != "/sign-in" else None
            assert not wrong or path == "/sign-in" or method == "GET"

        assert said_ == MATRIX
        assert (home.states(), home.store.read.all("switches_thrown")) == (["pending_approval"], [])


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "[::1", "localhost@evil.example", ""]
)
async def test_a_foreign_name_for_this_machine_gets_nothing(tmp_path: Path, host: str) -> None:
    async with house(tmp_path, rules=RULES) as home, visitor(home, "bo") as bo:
        codes: dict[Row, int] = {}
        for method, path in MATRIX:
            if path != "/static/inbox.css":
                answer = await bo.http.request(
                    method, path.replace("{approval}", "apr_x"), headers={"host": host}
                )
                codes[method, path] = answer.status_code

    assert set(codes.values()) == {421}, codes


async def test_the_public_name_of_the_gateway_is_no_foreign_one(tmp_path: Path) -> None:
    settings = Settings(
        data=tmp_path / "data",
        policies=tmp_path,
        public_url="https://gate.example/lk",
        allowed_hosts="other.example:*",
    )
    async with running(settings) as gateway:
        transport = httpx2.ASGITransport(gateway.asgi())
        async with httpx2.AsyncClient(transport=transport, base_url="http://x") as http:
            hosts = ("gate.example", "other.example:8443", "third.example")
            codes = [(await http.get("/sign-in", headers={"host": host})).status_code for host in hosts]

    assert codes == [200, 200, 421]


async def test_every_page_forbids_scripts_frames_and_caches(tmp_path: Path) -> None:
    async with house(tmp_path, rules=RULES) as home, visitor(home, "bo") as bo, stranger(home) as nobody:
        asked = await ask(home)
        pages = [
            await nobody.get("/"),
            await nobody.get("/sign-in"),
            await nobody.get("/inbox"),
            await nobody.http.post("/sign-in", data={"code": "x"}),
            await bo.get("/inbox"),
            await bo.get("/inbox/apr_none"),
            await bo.get(f"/inbox/{asked['approval_id']}"),
            await bo.send(f"/inbox/{asked['approval_id']}/vote", {"decision": "maybe"}),
            await bo.send(f"/inbox/{asked['approval_id']}/vote", {"decision": "approve"}, bound="0" * 64),
            await bo.send(f"/inbox/{asked['approval_id']}/vote", {"decision": "approve"}, csrf="x"),
            await bo.get("/inbox", headers={"host": "evil.example"}),
        ]
        style = await nobody.get("/static/inbox.css")

    assert [page.status_code for page in pages] == [303, 200, 401, 403, 200, 404, 200, 400, 409, 403, 421]
    for page in pages:
        assert {name: page.headers.get(name) for name in HEADERS} == HEADERS, page.url
        assert "<script" not in page.text
        assert " on" not in re.sub(r">[^<]*<", "><", page.text), "an attribute that runs something"
    assert (style.headers["content-type"], style.headers["x-content-type-options"]) == (
        "text/css; charset=utf-8",
        "nosniff",
    )


# -- deciding ---------------------------------------------------------------------------------------------------


@pytest.mark.promise("P2", "P3")
async def test_somebody_asked_sees_the_card_agrees_and_the_gateway_runs_it_once(tmp_path: Path) -> None:
    async with house(tmp_path, rules=RULES) as home, visitor(home, "bo") as bo:
        asked = await ask(home)
        inbox = await bo.get("/inbox")
        card = await bo.get(f"/inbox/{asked['approval_id']}")
        voted = await bo.send(
            f"/inbox/{asked['approval_id']}/vote", {"decision": "approve", "reason": "fine"}
        )
        twice = await bo.send(f"/inbox/{asked['approval_id']}/vote", {"decision": "approve"})
        await settled(home, "succeeded")
        after = await bo.get(f"/inbox/{asked['approval_id']}")

        assert f"/inbox/{asked['approval_id']}" in inbox.text.split("Waiting for others")[0]
        assert buttons(card.text) == ["approve", "deny"]
        for shown in ("shop.pay", "500.00 EUR", "Kestrel gets 500.00 EUR.", "ana", "robot", "p1", "pay/high"):
            assert shown in card.text, shown
        assert (voted.status_code, voted.headers["location"]) == (303, f"/inbox/{asked['approval_id']}")
        assert (twice.status_code, home.shop.effects) == (409, [("pay", PAY)])
        assert (buttons(after.text), "bo: approve: fine" in after.text) == ([], True)
        votes = [each for each in home.audit() if each["type"] == "approval.voted"]
        assert [(each["person"], each["channel"]) for each in votes] == [("bo", "inbox")]


async def test_a_no_ends_it_and_the_agent_hears_why(tmp_path: Path) -> None:
    async with house(tmp_path, rules=RULES) as home, visitor(home, "bo") as bo:
        asked = await ask(home)
        await bo.get(f"/inbox/{asked['approval_id']}")
        voted = await bo.send(
            f"/inbox/{asked['approval_id']}/vote", {"decision": "deny", "reason": "<b>too</b> high"}
        )
        await settled(home, "denied")
        heard = said(await home.call("lockkeep_wait", {"approval_id": asked["approval_id"]}))

        assert voted.status_code == 303
        assert (heard["code"], heard["reason"]) == ("approval.denied", "bo said no: <b>too</b> high")
        assert "<b>too" not in (await bo.get(f"/inbox/{asked['approval_id']}")).text
        assert home.shop.effects == []


async def test_the_asker_confirms_where_the_rule_wants_it(tmp_path: Path) -> None:
    async with house(tmp_path, rules=CONFIRM) as home, visitor(home, "ana") as ana, visitor(home, "bo") as bo:
        asked = said(await home.call("shop.write", {"id": "t1", "text": "x"}))
        others = await bo.get(f"/inbox/{asked['approval_id']}")
        own = await ana.get(f"/inbox/{asked['approval_id']}")
        for page in (bo, ana):
            answer = await page.http.post(
                f"/inbox/{asked['approval_id']}/vote",
                data={
                    **_hidden(ana.page if page is ana else bo.page),
                    "decision": "confirm",
                    "bound": _bound(own.text),
                },
            )
            assert answer.status_code == (303 if page is ana else 403)
        await settled(home, "succeeded")

        assert (buttons(others.text), buttons(own.text)) == ([], ["confirm", "deny"])
        assert len(home.shop.effects) == 1


@pytest.mark.promise("P4")
@pytest.mark.parametrize("person", ["ana", "olga", "dee"])  # who asked, the agent's owner, somebody not asked
async def test_who_may_not_agree_has_no_button_for_it_and_a_sent_form_is_refused(
    tmp_path: Path, person: str
) -> None:
    people = PEOPLE.replace("ana: {groups: [staff]}", "ana: {groups: [staff, lead]}")
    async with house(tmp_path, rules=RULES, people=people) as home, visitor(home, person) as page:
        asked = await ask(home)
        card = await page.get(f"/inbox/{asked['approval_id']}")
        forced = await page.http.post(
            f"/inbox/{asked['approval_id']}/vote",
            data={
                "csrf": _hidden(card.text)["csrf"],
                "bound": _row(home, asked)["bound"],
                "decision": "approve",
            },
        )

        assert "approve" not in buttons(card.text)
        assert (forced.status_code, home.states(), home.shop.effects) == (403, ["pending_approval"], [])
        assert home.audit()[-1]["type"] == "approval.refused"


@pytest.mark.promise("P3")
async def test_a_vote_over_what_is_no_longer_meant_shows_the_new_card(tmp_path: Path) -> None:
    async with (
        house(tmp_path, rules=RULES.replace("[lead]", "[lead, finance]")) as home,
        visitor(home, "bo") as bo,
    ):
        asked = await ask(home)
        card = await bo.get(f"/inbox/{asked['approval_id']}")
        other = await bo.send(f"/inbox/{asked['approval_id']}/vote", {"decision": "approve"}, bound="0" * 64)
        short = await bo.send(
            f"/inbox/{asked['approval_id']}/vote", {"decision": "approve"}, bound=_bound(card.text)[:11]
        )
        none = await bo.send(f"/inbox/{asked['approval_id']}/vote", {"decision": "approve"}, bound=None)

        assert [each.status_code for each in (other, short, none)] == [409, 409, 409]
        assert _bound(other.text) == _bound(card.text) == _row(home, asked)["bound"]
        assert "look at it again" in other.text
        assert home.states() == ["pending_approval"]


async def test_what_waits_stays_in_the_inbox_however_much_was_decided_since(tmp_path: Path) -> None:
    async with house(tmp_path, rules=RULES) as home, visitor(home, "bo") as bo:
        asked = await ask(home)

        def decided(tx: Tx) -> None:
            row = dict(tx.one("approval_get", id=asked["approval_id"]) or {})
            for number in range(150):
                fields = (
                    "call",
                    "bound",
                    "requester",
                    "agent",
                    "tool",
                    "demands",
                    "editor",
                    "reason",
                    "at",
                    "expires_at",
                )
                tx.run("approval_insert", id=f"apr_old{number}", **{name: row[name] for name in fields})
                tx.run("approval_end", id=f"apr_old{number}", state="denied", at=row["at"], note="no")

        await home.store.write(decided)
        page = (await bo.get("/inbox")).text

        assert f"/inbox/{asked['approval_id']}" in page
        assert page.count("/inbox/apr_old") == 20


# -- stopping ---------------------------------------------------------------------------------------------------


@pytest.mark.promise("P5")
async def test_anybody_with_the_duty_stops_and_a_second_person_lets_it_run_again(tmp_path: Path) -> None:
    async with house(tmp_path, rules=RULES) as home, visitor(home, "bo") as bo, visitor(home, "cy") as cy:
        stopped = await bo.send("/switches", {"mode": "kill"}, scope="all", reason="<i>Wrong</i> prices")
        denied = said(await home.call("shop.read", {"id": "t1"}))
        for page in (bo, cy):
            shown = await page.get("/inbox")
            assert "&lt;i&gt;Wrong&lt;/i&gt; prices" in shown.text
            assert "<i>" not in shown.text
        alone = await bo.send("/switches/lift", {}, reason="mended")
        lifted = await cy.send("/switches/lift", {}, reason="mended")
        read = said(await home.call("shop.read", {"id": "t1"}))

        assert (denied["code"], stopped.status_code, lifted.status_code) == ("switch.killed", 303, 303)
        assert (alone.status_code, "another person" in alone.text) == (409, True)
        assert read == {"id": "t1"}


@pytest.mark.promise("P5")
@pytest.mark.parametrize(
    ("scope", "reason", "status"),
    [
        ("", "r", 409),
        ("everything", "r", 409),
        ("tool:", "r", 400),
        ("all", "  ", 400),
        ("tool:<b>", "r", 400),
        ("user:ana", "r", 303),
    ],
)
async def test_a_stop_without_a_scope_or_a_reason_is_refused_in_words(
    tmp_path: Path, scope: str, reason: str, status: int
) -> None:
    async with house(tmp_path, rules=RULES) as home, visitor(home, "bo") as bo:
        answer = await bo.send("/switches", {"mode": "pause"}, scope=scope, reason=reason)
        thrown = home.store.read.all("switches_thrown")

        assert (answer.status_code, len(thrown)) == (status, int(status == 303))
        assert "<b>" not in (await bo.get("/inbox")).text


@pytest.mark.promise("P5")
async def test_without_the_duty_nobody_stops_or_resumes(tmp_path: Path) -> None:
    people = PEOPLE + "duties: {kill: [finance], resume: [finance]}\n"
    async with house(tmp_path, rules=RULES, people=people) as home, visitor(home, "bo") as bo:
        stop = await bo.send("/switches", {"mode": "kill"}, scope="all", reason="r")
        await home.throw(by="dee")
        await bo.get("/inbox")
        lift = await bo.send("/switches/lift", {}, reason="r")

        assert (stop.status_code, lift.status_code) == (403, 403)
        assert len(home.store.read.all("switches_thrown")) == 1


# -- what agents and servers write -------------------------------------------------------------------------------

HOSTILE = {
    "<script>alert(1)</script>": "&lt;script&gt;alert(1)&lt;/script&gt;",
    '"><img src=x onerror=alert(1)>': "&#34;&gt;&lt;img src=x onerror=alert(1)&gt;",
    "fdp.\u202eexe": "fdp.⟨U+202E⟩exe",
    "pay\u200bpal": "pay⟨U+200B⟩pal",
    "tag\U000e0041": "tag⟨U+E0041⟩",
    "{{ 7 * 7 }}{% raw %}": "{{ 7 * 7 }}{% raw %}",
    "a\x1b[31m\nb": "a⟨U+001B⟩[31m⟨U+000A⟩b",
    "javascript:alert(1)": "javascript:alert(1)",
    "x" * BIG: f"{'x' * 500}… ({BIG} characters, sha256 ",
}


def roomy() -> list[Tool]:
    """The shop's tools without a limit to the length of a text."""
    return [
        Tool.model_validate_json(
            tool.model_dump_json(by_alias=True)
            .replace('"maxLength":2000,', "")
            .replace(',"maxLength":2000', "")
        )
        for tool in TOOLS
    ]


@pytest.mark.promise("P3")
@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
async def test_texts_of_agents_and_servers_are_shown_and_do_nothing(tmp_path: Path, text: str) -> None:
    shown = HOSTILE[text]
    agent = "robot"
    async with house(tmp_path, Shop(tools=roomy()), rules=RULES) as home, visitor(home, "bo") as bo:
        home.shop.things[text] = {"id": text, "owner": text}
        asked = await ask(home, {**PAY, "id": text}, agent=agent)
        assert asked["status"] == "pending_approval", asked
        await home.store.write(lambda tx: tx._db.execute("UPDATE calls SET host = ?", (text,)))  # pyright: ignore[reportPrivateUsage]
        inbox = (await bo.get("/inbox")).text
        card = (await bo.get(f"/inbox/{asked['approval_id']}")).text
        await bo.send(f"/inbox/{asked['approval_id']}/vote", {"decision": "deny", "reason": text})
        after = (await bo.get(f"/inbox/{asked['approval_id']}")).text
        past = (await bo.get("/inbox")).text

    assert shown in card
    assert card.count(shown) >= 2  # as argument and as host; elsewhere texts of records are made plain before
    for page in (inbox, card, after, past):
        assert shown == text or text not in page
        assert len(page) < 60_000
        assert not re.search(r"<(script|img|b|i)\b", page)
        assert not re.search("[\u200b\u202e\U000e0041\x1b]", page)
        assert not re.search(r'href="(?!/(inbox|static/inbox\.css))', page)


@pytest.mark.parametrize("currency", ["<b>EUR</b>", "EUR\u202e", "{{ 7 * 7 }}", "x" * 1000])
async def test_a_currency_that_is_none_never_reaches_a_card_as_markup(tmp_path: Path, currency: str) -> None:
    rules = RULES.replace("amount > 100 EUR && has(thing.owner)", "has(thing.owner)")
    async with house(tmp_path, rules=rules) as home, visitor(home, "bo") as bo:
        asked = await ask(home, {**PAY, "currency": currency})
        pages = [(await bo.get("/inbox")).text]
        if asked["status"] == "pending_approval":
            pages.append((await bo.get(f"/inbox/{asked['approval_id']}")).text)

    for page in pages:
        assert "<b>" not in page
        assert "\u202e" not in page
        assert "x" * 501 not in page


def _hidden(page: str) -> dict[str, str]:
    fields: list[Row] = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page)
    return dict(fields)


def _bound(page: str) -> str:
    return _hidden(page)["bound"]


def _row(home: House, asked: Mapping[str, Any]) -> dict[str, Any]:
    return dict(home.store.read.one("approval_get", id=asked["approval_id"]) or {})


async def test_a_form_past_64_kb_is_refused_before_it_is_read(tmp_path: Path) -> None:
    async with house(tmp_path, rules=RULES) as home, stranger(home) as nobody:
        answer = await nobody.http.post("/sign-in", data={"code": "x" * 70_000})

    assert (answer.status_code, answer.text) == (413, "This form is too large.")


# -- changing and taking back ---------------------------------------------------------------------------------------

EDITABLE = RULES.replace("from: [lead]", "from: [lead]\n        edit: [amount]")


@pytest.mark.promise("P3", "P4")
async def test_who_could_agree_asks_for_less_and_somebody_else_agrees_to_that(tmp_path: Path) -> None:
    async with house(tmp_path, rules=EDITABLE) as home, visitor(home, "bo") as bo, visitor(home, "cy") as cy:
        asked = await ask(home)
        at = f"/inbox/{asked['approval_id']}"
        await bo.get(at)
        assert 'value="500.00 EUR"' in bo.page
        sent = await bo.send(f"{at}/edit", {"edit": "1"}, **{"set.amount": "300 EUR"})
        with anyio.fail_after(5):
            while not (open_ := home.store.read.all("approvals_list", state="pending", count=5)):
                await anyio.sleep(0.02)
        new = f"/inbox/{open_[0]['id']}"
        await bo.get(new)
        assert "Approve exactly this" not in bo.page
        await cy.get(new)
        await cy.send(f"{new}/vote", {"decision": "approve"})
        await settled(home, "cancelled", "succeeded")

    assert sent.status_code == 303
    assert home.shop.effects[-1][1]["amount_minor"] == 30_000


@pytest.mark.promise("P3")
async def test_a_yes_is_taken_back_on_the_page_where_it_was_given(tmp_path: Path) -> None:
    two = RULES.replace("from: [lead]", "from: [lead, finance]")
    async with house(tmp_path, rules=two) as home, visitor(home, "bo") as bo:
        asked = await ask(home)
        at = f"/inbox/{asked['approval_id']}"
        await bo.get(at)
        await bo.send(f"{at}/vote", {"decision": "approve"})
        await bo.get(at)
        taken = await bo.send(f"{at}/withdraw", {"withdraw": "1"})
        await bo.get(at)

        assert (taken.status_code, home.states()) == (303, ["pending_approval"])
        assert "Approve exactly this" in bo.page
        assert home.shop.effects == []
