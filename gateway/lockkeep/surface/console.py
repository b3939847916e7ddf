"""The inbox: people look at what waits for them and decide. Works without JavaScript; its session is never an MCP token."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from hmac import compare_digest
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, PackageLoader, select_autoescape
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from lockkeep.cards.card import Card, card
from lockkeep.cards.changes import change
from lockkeep.cards.quoted import quoted
from lockkeep.errors import LockkeepError
from lockkeep.ledger import Ledger, approvals, callers, edits, fatigue, switches
from lockkeep.ledger.approvals import Refusal
from lockkeep.model import Person, SwitchMode
from lockkeep.policy.files.people import People
from lockkeep.policy.inforce import InForce
from lockkeep.store import Row
from lockkeep.surface.refusals import Sparing

COOKIE = "lockkeep_session"
LARGEST_FORM = 64 * 1024  # bytes
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
MOST_WAITING, MOST_PAST = 500, 20
LOCAL = ("127.0.0.1", "localhost", "::1")
ELSEWHERE = "This form was sent by a page of somebody else. Open the inbox itself."
Page = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Desk:
    """What the pages need."""

    ledger: Ledger
    in_force: InForce
    clock: Callable[[], datetime]
    sparing: Sparing
    new_id: Callable[[str], str]
    secure: bool = False
    hosts: tuple[str, ...] = ()  # beside this machine's own names: the public ones

    @property
    def people(self) -> People:
        current = self.in_force.current
        return current.people if current else People()

    def owner(self, agent: str) -> str | None:
        current = self.in_force.current
        return current.gateway.agents.get(agent) if current else None

    def known_host(self, request: Request) -> bool:
        """Other names are refused: a page of somebody else's domain could point its name at us."""
        return host_name(request.headers.get("host", "")) in (*LOCAL, *self.hosts)

    def sent_from_elsewhere(self, request: Request) -> bool:
        """Browsers say which page a form was sent from; our own pages have the origin `null`, since they send no referrer."""
        origin, site = request.headers.get("origin", "null"), request.headers.get("sec-fetch-site")
        foreign = origin != "null" and host_name(origin) not in (*LOCAL, *self.hosts)
        return foreign or site not in (None, "same-origin", "none")


def host_name(address: str) -> str:
    """The name in a URL or a Host header, without scheme and port; empty if there is none."""
    try:
        return urlsplit(f"//{address.rpartition('://')[2]}").hostname or ""
    except ValueError:
        return ""


@dataclass(frozen=True)
class Visit:
    """A request of somebody who is signed in."""

    request: Request
    person: Person
    csrf: str
    secret: str


def routes(desk: Desk) -> list[Route]:
    """Every page. POST needs the session's own form token."""
    pages = _Pages(desk)
    return [
        Route("/", pages.home, methods=["GET"]),
        Route("/static/inbox.css", _style, methods=["GET"]),
        Route("/sign-in", pages.sign_in, methods=["GET", "POST"]),
        Route("/sign-out", pages.signed(pages.sign_out), methods=["POST"]),
        Route("/inbox", pages.signed(pages.inbox), methods=["GET"]),
        Route("/inbox/{approval}", pages.signed(pages.show), methods=["GET"]),
        Route("/inbox/{approval}/vote", pages.signed(pages.vote), methods=["POST"]),
        Route("/inbox/{approval}/edit", pages.signed(pages.edit), methods=["POST"]),
        Route("/inbox/{approval}/withdraw", pages.signed(pages.withdraw), methods=["POST"]),
        Route("/switches", pages.signed(pages.throw), methods=["POST"]),
        Route("/switches/lift", pages.signed(pages.lift), methods=["POST"]),
    ]


class _Pages:
    def __init__(self, desk: Desk) -> None:
        self.desk, self.ledger = desk, desk.ledger
        self.templates = Environment(
            loader=PackageLoader("lockkeep.surface"),
            autoescape=select_autoescape(default=True),
            trim_blocks=True,
        )
        self.templates.filters["quoted"] = quoted

    async def home(self, request: Request) -> Response:
        if not self.desk.known_host(request):
            return self._plain("Unknown host.", 421)
        return RedirectResponse("/inbox", 303, HEADERS)

    async def sign_in(self, request: Request) -> Response:
        """The link shows a button; only the button signs in, since link scanners open links, too."""
        if not self.desk.known_host(request):
            return self._plain("Unknown host.", 421)
        if request.method != "POST":  # HEAD opens, too
            return self._page("sign_in.html", code=request.query_params.get("code", ""))
        if self.desk.sent_from_elsewhere(request):
            return self._plain(ELSEWHERE, 403)
        if _too_large(request):
            return self._plain("This form is too large.", 413)
        form = await request.form()
        now = self.desk.clock()
        code, (record, _) = str(form.get("code", "")), self.desk.sparing.may()
        secret = await self.ledger.store.write(
            lambda tx: callers.sign_in(tx, code, now, record_refusal=record)
        )
        if secret is None:
            why = "This link was used before or is older than ten minutes."
            return self._page("sign_in.html", 403, code="", problem=why)
        answer = RedirectResponse("/inbox", 303, HEADERS)
        answer.set_cookie(
            COOKIE,
            secret,
            httponly=True,
            samesite="lax",
            secure=self.desk.secure,
            max_age=12 * 3600,
            path="/",
        )
        return answer

    def signed(self, page: Callable[[Visit], Awaitable[Response]]) -> Page:
        """Only with a session of somebody who still is in people.yaml; POST only with its form token."""

        async def checked(request: Request) -> Response:
            if not self.desk.known_host(request):
                return self._plain("Unknown host.", 421)
            secret = request.cookies.get(COOKIE, "")
            session = callers.session(self.ledger.store.read, secret, self.desk.clock())
            person = self.desk.people.persons.get(session.person) if session else None
            if session is None or person is None:
                return self._page("sign_in.html", 401, code="")
            if request.method == "POST":
                if self.desk.sent_from_elsewhere(request):
                    return self._plain(ELSEWHERE, 403)
                if _too_large(request):
                    return self._plain("This form is too large.", 413)
                form = await request.form()
                if not compare_digest(str(form.get("csrf")).encode(), session.csrf.encode()):
                    return self._plain("This form is not from your session. Go back, reload, try again.", 403)
            return await page(Visit(request, person, session.csrf, secret))

        return checked

    async def sign_out(self, visit: Visit) -> Response:
        await self.ledger.store.write(lambda tx: callers.sign_out(tx, visit.secret))
        answer = RedirectResponse("/sign-in", 303, HEADERS)
        answer.delete_cookie(COOKIE)
        return answer

    async def inbox(self, visit: Visit) -> Response:
        waiting = self._cards(visit, "pending", MOST_WAITING)
        mine = [each for each in waiting if each.may]
        others = [each for each in waiting if not each.may]
        past = self._cards(visit, None, MOST_WAITING + MOST_PAST)
        return self._page("inbox.html", visit=visit, mine=mine, others=others, past=past)

    async def show(self, visit: Visit) -> Response:
        try:
            found = self._card(visit.request.path_params["approval"], visit.person)
        except LookupError:
            return self._plain("There is no such approval.", 404)
        await self.ledger.store.write(
            lambda tx: fatigue.opened(tx, found.id, visit.person.id, self.desk.clock())
        )
        return self._page("card.html", visit=visit, card=found)

    async def vote(self, visit: Visit) -> Response:
        """The page carries what it showed; if that is no longer what would run, people look again."""
        form = await visit.request.form()
        decision, approval = str(form.get("decision", "")), visit.request.path_params["approval"]
        if decision not in ("approve", "deny", "confirm"):
            return self._plain("approve, deny or confirm", 400)
        try:
            row = approvals.find(self.ledger.store.read, approval)
        except LookupError:
            return self._plain("There is no such approval.", 404)
        said = await self.ledger.store.write(
            lambda tx: approvals.vote(
                tx, row["id"], visit.person, decision, shown=str(form.get("bound", "")), reason=str(form.get("reason", ""))[:500],
                channel="inbox", now=self.desk.clock(), people=self.desk.people.persons, owner=self.desk.owner(row["agent"]),
            )
        )  # fmt: skip
        return self._decided(visit, row, said)

    async def edit(self, visit: Visit) -> Response:
        """Another call takes the place of this one, decided anew; whoever changed it does not vote on it."""
        form = await visit.request.form()
        row = self._row(visit)
        if row is None:
            return self._plain("There is no such approval.", 404)
        written = {
            name.removeprefix("set."): str(value)[:2000]
            for name, value in form.items()
            if name.startswith("set.")
        }
        shown = dict(self._card(row["id"], visit.person).edit)
        changes = {
            put: value
            for name, text in written.items()
            if text.strip() != shown.get(name)
            for put, value in change(name, text).items()
        }
        said = await self.ledger.store.write(
            lambda tx: edits.edit(
                tx, row["id"], visit.person, changes, successor=self.desk.new_id("call"), shown=str(form.get("bound", "")),
                now=self.desk.clock(), people=self.desk.people.persons, owner=self.desk.owner(row["agent"]),
            )
        )  # fmt: skip
        return self._decided(visit, row, said)

    async def withdraw(self, visit: Visit) -> Response:
        form = await visit.request.form()
        row = self._row(visit)
        if row is None:
            return self._plain("There is no such approval.", 404)
        reason = str(form.get("reason", ""))[:500]
        said = await self.ledger.store.write(
            lambda tx: approvals.withdraw(
                tx, row["id"], visit.person, reason=reason, channel="inbox", now=self.desk.clock()
            )
        )
        return self._decided(visit, row, said)

    def _row(self, visit: Visit) -> Row | None:
        try:
            return approvals.find(self.ledger.store.read, visit.request.path_params["approval"])
        except LookupError:
            return None

    def _decided(self, visit: Visit, row: Row, said: object) -> Response:
        """What came of it, on the page where it was asked."""
        self.ledger.events.settled(row["call"])
        if isinstance(said, Refusal):
            found = self._card(row["id"], visit.person)
            return self._page(
                "card.html", 409 if said.conflict else 403, visit=visit, card=found, problem=said.reason
            )
        return RedirectResponse(f"/inbox/{row['id']}", 303, HEADERS)

    async def throw(self, visit: Visit) -> Response:
        form = await visit.request.form()
        scope, reason = str(form.get("scope", "all")).strip(), str(form.get("reason", "")).strip()[:300]
        mode: SwitchMode = "kill" if form.get("mode") == "kill" else "pause"
        if not reason:
            return self._plain("Say why: the agents are told.", 400)
        current = self.desk.in_force.current
        if current is not None and (hint := current.unknown_scope(scope)):
            return self._plain(f"Nothing was stopped: {hint}", 400)
        if not self.desk.people.may(visit.person.id, "kill"):
            return self._plain("people.yaml does not give you the duty `kill`.", 403)
        return await self._switched(
            lambda: self.ledger.store.write(
                lambda tx: switches.throw(
                    tx, scope=scope, mode=mode, reason=reason, by=visit.person.id, now=self.desk.clock()
                )
            )
        )

    async def lift(self, visit: Visit) -> Response:
        form = await visit.request.form()
        scope, reason = str(form.get("scope", "")), str(form.get("reason", "")).strip()[:300]
        if not self.desk.people.may(visit.person.id, "resume"):
            return self._plain("people.yaml does not give you the duty `resume`.", 403)
        alone = self.desk.people.resume_self
        return await self._switched(
            lambda: self.ledger.store.write(
                lambda tx: switches.lift(
                    tx,
                    scope=scope,
                    reason=reason,
                    by=visit.person.id,
                    now=self.desk.clock(),
                    self_allowed=alone,
                )
            )
        )

    async def _switched(self, work: Callable[[], Awaitable[Any]]) -> Response:
        try:
            await work()
        except LockkeepError as error:
            return self._plain(str(error), 409)
        return RedirectResponse("/inbox", 303, HEADERS)

    def _cards(self, visit: Visit, state: str | None, count: int) -> list[Card]:
        """All that are in the state; without one, the newest that are decided."""
        rows = self.ledger.store.read.all("approvals_list", state=state, count=count)
        if state is None:
            rows = [row for row in rows if row["state"] != "pending"][:MOST_PAST]
        return [self._card(row["id"], visit.person) for row in rows]

    def _card(self, approval: str, person: Person) -> Card:
        read = self.ledger.store.read
        row = approvals.find(read, approval)
        return card(read, row["id"], person, self.desk.people.persons, self.desk.owner(row["agent"]))

    def _page(self, template: str, status: int = 200, **values: object) -> HTMLResponse:
        thrown = switches.thrown(self.ledger.store.read) if "visit" in values else []
        text = self.templates.get_template(template).render(thrown=thrown, now=self.desk.clock(), **values)
        return HTMLResponse(text, status, HEADERS)

    def _plain(self, text: str, status: int) -> PlainTextResponse:
        return PlainTextResponse(text, status, HEADERS)


async def _style(_: Request) -> Response:
    text = files("lockkeep.surface").joinpath("static", "inbox.css").read_text(encoding="utf-8")
    return Response(
        text,
        media_type="text/css",
        headers={"X-Content-Type-Options": "nosniff", "Cache-Control": "max-age=300"},
    )


def _too_large(request: Request) -> bool:
    """Forms are small; one that does not say how large it is, is refused before it is read."""
    length = request.headers.get("content-length", "")
    return not length.isdigit() or int(length) > LARGEST_FORM
