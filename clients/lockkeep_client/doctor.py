"""What is wrong between this machine and the gateway, and how to mend it: found by asking as a host would."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import anyio

from lockkeep_client.credentials import Credentials
from lockkeep_client.errors import NotLoggedIn
from lockkeep_client.exchange import Exchange, Frame, Lost, NotSent, Refused
from lockkeep_client.settings import keeps_tokens_private
from lockkeep_client.wire import (
    ENVELOPE,
    MODERN,
    OURSELVES,
    SERVER_INFO,
    items_of,
    modern_headers,
    record,
    text_of,
)

ANSWER_S = 10.0
CLOCK_S = 30.0
LONGEST_NAME = 40  # with a host's prefix, 64
MOST_TOOLS = 128


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, and its remedy."""

    code: str
    says: str
    remedy: str


@dataclass
class Report:
    """What was looked at, in order, and what was found."""

    url: str
    passed: list[str] = field(default_factory=list[str])
    findings: list[Finding] = field(default_factory=list[Finding])

    @property
    def reachable(self) -> bool:
        """True when something answered at the address."""
        return all(finding.code != "unreachable" for finding in self.findings)

    def found(self, code: str, says: str, remedy: str) -> None:
        """One finding more."""
        self.findings.append(Finding(code, says, remedy))


async def examine(url: str, credentials: Credentials, now: datetime, *, short: bool = False) -> Report:
    """A report on address, token, clock and gateway; the short form stops after the first answer."""
    report = Report(url)
    _settings(report, credentials)
    async with Exchange(url, _quiet(credentials)) as exchange:
        visit = Visit(exchange, report, now)
        if await visit.discover() and not short:
            await visit.initialize()
            await visit.tools()
            await visit.status()
    return report


def _quiet(credentials: Credentials) -> Any:
    def token() -> str | None:
        try:
            return credentials.token()
        except NotLoggedIn:
            return None

    return token


def _settings(report: Report, credentials: Credentials) -> None:
    if not keeps_tokens_private(report.url):
        report.found("open_way", "The token travels unencrypted to this address.", "Use an https address.")
    if credentials.readable_by_others():
        remedy = f"Run: chmod 600 {credentials.file}"
        report.found("token_file_open", f"Others on this machine can read {credentials.file}.", remedy)
    try:
        if credentials.token() is not None:
            report.passed.append("token")
            return
        says = "There is no token."
    except NotLoggedIn as error:
        says = str(error)
    remedy = "Run `lockkeep-client token set`, or set LOCKKEEP_TOKEN. Your admin makes one: `lockkeep token create`."
    report.found("no_token", says, remedy)


@dataclass
class Visit:
    """The questions a host would ask, one after the other."""

    exchange: Exchange
    report: Report
    now: datetime

    async def discover(self) -> bool:
        """True when a lockkeep gateway answered; what else was found out is in the report."""
        frame = await self._modern("server/discover", {})
        if frame is None:
            return False
        result = record(frame.message.get("result"))
        if text_of(record(record(result.get("_meta")).get(SERVER_INFO)).get("name")) != "lockkeep":
            self._not_a_gateway("Another MCP server answers there.")
            return False
        self.report.passed.append("discover")
        return True

    async def initialize(self) -> None:
        """The report says whether hosts of the older revision are served."""
        params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": OURSELVES}
        frame = await self._ask({"method": "initialize", "params": params}, {})
        self._passed(
            "initialize", frame, "Hosts that speak an older MCP are not served.", "Update the gateway."
        )

    async def tools(self) -> None:
        """The report says whether hosts will show every tool under its name."""
        frame = await self._modern("tools/list", {})
        if (
            not self._passed("tools/list", frame, "The tools cannot be listed.", "Look at the gateway's log.")
            or not frame
        ):
            return
        names = [
            text_of(record(tool).get("name"))
            for tool in items_of(record(frame.message.get("result")).get("tools"))
        ]
        if "lockkeep_status" not in names:
            self._not_a_gateway("It has no lockkeep_status.")
        if long := [name for name in names if len(name) > LONGEST_NAME]:
            says = f"Hosts will cut these names: {', '.join(long)}."
            self.report.found("tool_names_long", says, "Give them an `alias:` in the integration's settings.")
        if len(names) > MOST_TOOLS:
            says = f"{len(names)} tools are offered; some hosts take {MOST_TOOLS}."
            self.report.found(
                "too_many_tools", says, "Connect to one workflow: `lockkeep-client connect … --workflow W`."
            )

    async def status(self) -> None:
        """The report says whether a call comes through."""
        frame = await self._modern("tools/call", {"name": "lockkeep_status", "arguments": {}})
        says, remedy = "lockkeep_status does not answer.", "Look at the gateway's log."
        answered = self._passed("lockkeep_status", frame, says, remedy)
        if answered and frame and record(frame.message.get("result")).get("isError") is True:
            self.report.passed.remove("lockkeep_status")
            self.report.found(
                "lockkeep_status", "lockkeep_status is denied.", "Look at the gateway's policy."
            )

    def _passed(self, what: str, frame: Frame | None, says: str, remedy: str) -> bool:
        """True when a result came; else the report says so, unless the transport already did."""
        if frame is not None and "result" in frame.message:
            self.report.passed.append(what)
            return True
        if frame is not None:
            self.report.found(what.replace("/", "_"), says, remedy)
        return False

    async def _modern(self, method: str, params: Mapping[str, Any]) -> Frame | None:
        frame = {"method": method, "params": {**params, "_meta": ENVELOPE}}
        return await self._ask(frame, modern_headers(frame, MODERN))

    async def _ask(self, frame: Mapping[str, Any], headers: Mapping[str, str]) -> Frame | None:
        """The answer; None where none came, and the report says why."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, **frame}).encode()
        answers: list[Frame] = []

        async def take(came: Frame) -> None:
            answers.append(came)

        try:
            with anyio.fail_after(ANSWER_S):
                await self.exchange.post(body, headers, take)
        except NotSent as error:
            self._unreachable(f"Nothing answers at {self.report.url} ({error}).")
        except TimeoutError:
            self._unreachable(f"{self.report.url} takes the connection and does not answer.")
        except Lost as lost:
            self._not_a_gateway(f"What answers there is no MCP ({lost}).")
        except Refused as refusal:
            self._refused(refusal)
        if answers:
            self._compare_clocks(answers[-1].headers)
        return answers[-1] if answers else None

    def _refused(self, refusal: Refused) -> None:
        self._compare_clocks(refusal.headers)
        if refusal.status in (401, 403):
            why = refusal.headers.get("www-authenticate", "").partition("error_description=")[2].strip('" ')
            says = (
                f"The gateway does not accept the token (HTTP {refusal.status}{': ' + why if why else ''})."
            )
            self.report.found(
                "unauthorized", says, "Ask for a new token, then run `lockkeep-client token set`."
            )
        else:
            self._not_a_gateway(f"It answers HTTP {refusal.status}.")

    def _unreachable(self, says: str) -> None:
        remedy = "Start the gateway (`lockkeep serve`), or correct LOCKKEEP_URL."
        self.report.found("unreachable", says, remedy)

    def _not_a_gateway(self, says: str) -> None:
        remedy = "Correct LOCKKEEP_URL; behind a proxy, let it pass /mcp on unchanged."
        self.report.found(
            "not_a_gateway", f"There is no lockkeep gateway at {self.report.url}. {says}", remedy
        )

    def _compare_clocks(self, headers: Mapping[str, str]) -> None:
        off = _seconds_off(headers.get("date", ""), self.now)
        if off > CLOCK_S and all(finding.code != "clock_off" for finding in self.report.findings):
            says = f"This machine's clock and the gateway's are {off:.0f} s apart, so tokens and approvals end early."
            self.report.found("clock_off", says, "Set the clock, for instance with NTP.")


def _seconds_off(date: str, now: datetime) -> float:
    try:
        there = parsedate_to_datetime(date)
    except ValueError:
        return 0.0
    off = abs(((there if there.tzinfo else there.replace(tzinfo=UTC)) - now).total_seconds())
    return off if math.isfinite(off) else 0.0
