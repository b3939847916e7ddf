"""The thin client: connect a host, bridge stdio to the gateway, call tools from a program."""

from lockkeep_client.errors import BadRequest, ClientError, GatewayUnreachable, NotLoggedIn
from lockkeep_client.gateway import GatewayClient, Progress, Tool
from lockkeep_client.gateway_sync import GatewayClientSync
from lockkeep_client.outcomes import (
    Cancelled,
    Denied,
    Diverted,
    Expired,
    Failed,
    Outcome,
    Pending,
    Shadowed,
    Succeeded,
    Undone,
    Unknown,
)

__all__ = [
    "BadRequest",
    "Cancelled",
    "ClientError",
    "Denied",
    "Diverted",
    "Expired",
    "Failed",
    "GatewayClient",
    "GatewayClientSync",
    "GatewayUnreachable",
    "NotLoggedIn",
    "Outcome",
    "Pending",
    "Progress",
    "Shadowed",
    "Succeeded",
    "Tool",
    "Undone",
    "Unknown",
]
