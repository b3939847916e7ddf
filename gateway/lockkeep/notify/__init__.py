"""Where approvals and alarms are announced. A channel tells people; whether a vote counts is the ledger's word."""
