"""What is remembered: calls, approvals, audit records, limits, switches, policy generations, callers."""

from lockkeep.ledger.claims import Ledger

__all__ = ["Ledger"]
