"""The life of one tool call. Read this file first.

Before the claim nothing has happened, so doubt denies. After it something may have: doubt is `unknown`.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from lockkeep.gates import Approval, Gate, decision, demands, hear
from lockkeep.ledger import Ledger
from lockkeep.model import (
    Allow,
    Answer,
    Arguments,
    Claim,
    Denied,
    Deny,
    Finding,
    Outcome,
    Request,
    ToolCall,
    Unknown,
)
from lockkeep.prepare import Known, prepare

logger = logging.getLogger(__name__)
GATES = ("switch", "arguments", "policy")  # then approval: people are asked last
CHANGED = Deny("changed_meanwhile", "The rules kept changing. Nothing was sent.", "Try again.", "later")
FAILED = Deny("gateway_failed", "The gateway could not decide. Nothing was sent.", "Try again.", "later")


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """Takes one request from the surface, or from the approvals worker, to its outcome as of now."""

    known: Callable[[Request], Awaitable[Known]]  # the pinned tool and the roles, as of now
    ledger: Ledger
    gates: Mapping[str, Gate]
    approval: Approval
    send: Callable[[Claim], Awaitable[Answer]]
    in_own_task: Callable[[Callable[[], Awaitable[Outcome | None]]], Awaitable[Outcome | None]]

    async def run(self, request: Request) -> Outcome:
        """Return the recorded outcome; decide and execute first if there is none. Never waits for people."""
        try:
            for _ in range(3):
                call = prepare(request, await self.known(request))
                outcome = await self.ledger.receive(call) or await self._decide(call)
                if outcome is not None:
                    return outcome
            ended = await self.ledger.close(call, CHANGED, [Finding("claim", CHANGED)])  # pyright: ignore[reportPossiblyUnboundVariable]
            return ended or Denied(deny=CHANGED)
        except Exception:
            logger.exception("call %s could not be decided", request.id)
            return Denied(deny=FAILED)

    async def _decide(self, call: ToolCall) -> Outcome | None:
        findings = await self._ask(call)
        verdict = decision(findings)
        if not isinstance(verdict, Allow) or verdict.arguments is None:
            return await self.ledger.close(call, verdict, findings)
        return await self.in_own_task(partial(self._execute, call, verdict.arguments, findings))

    async def _ask(self, call: ToolCall) -> Sequence[Finding]:
        """The first objection ends the walk; wishes for people are collected and answered last."""
        findings: list[Finding] = []
        for name in GATES:
            findings.append(await hear(name, self.gates[name](call)))
            if findings[-1].ends_the_walk:
                return findings
        if demands(findings):
            findings.append(await hear("approval", self.approval(call, findings)))
        return findings

    async def _execute(self, call: ToolCall, args: Arguments, findings: Sequence[Finding]) -> Outcome | None:
        try:
            claim = await self.ledger.claim(call, args, findings)  # a host that hangs up now stops nothing
        except Exception:
            self.ledger.leave_open(call.id)  # it may have been committed all the same; nothing was sent
            raise
        if not isinstance(claim, Claim):
            return claim  # a switch, a limit or another worker came first; None: the rules moved, ask again
        try:
            answer = self.ledger.halted(claim) or await self.send(claim)
            return await self.ledger.settle(claim, answer)
        except Exception:
            logger.exception("call %s was claimed; whether it happened is not known", call.id)
            self.ledger.leave_open(call.id)  # one sweep resolves this and a crash alike
            return Unknown(call=call.id)
