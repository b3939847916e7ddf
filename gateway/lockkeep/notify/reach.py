"""Which machines a message may be sent to: public ones, and private ones that gateway.yaml names."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

import anyio

from lockkeep.notify.port import Undelivered

LOOPBACK = ("127.0.0.1", "localhost", "::1")
METADATA = frozenset(
    {ip_address("168.63.129.16")}
)  # public by its number, and inside of a cloud all the same
EMBEDDED = ip_network("64:ff9b::/96")  # the last 32 bits are an IPv4 address
Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Target:
    """One address that was looked at, and the name it answers for."""

    scheme: str
    host: str
    address: str
    port: int
    path: str

    @property
    def url(self) -> str:
        """The looked-at address itself: nothing is resolved a second time."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.scheme}://{host}:{self.port}{self.path}"

    @property
    def authority(self) -> str:
        usual = {"https": 443, "http": 80}[self.scheme]
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == usual else f"{host}:{self.port}"


async def target(url: str, allowed: Sequence[str]) -> Target:
    """Where the message goes. Raises Undelivered if any of the name's addresses is one it must not reach."""
    parts = urlsplit(url)
    host, here = parts.hostname or "", parts.hostname in LOOPBACK
    if parts.scheme != "https" and not (here and parts.scheme == "http"):
        raise Undelivered("the address is neither https nor on this machine")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        raise Undelivered(f"the name {host} is not known") from None
    addresses = [str(each[4][0]) for each in found]
    for text in addresses:
        if not may_reach(text, allowed, here):
            why = f"{host} is {text}, which is not public; allow: [{text}] in gateway.yaml lets messages go there"
            raise Undelivered(why)
    path = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
    return Target(parts.scheme, host, addresses[0], port, path)


def may_reach(text: str, allowed: Sequence[str], here: bool) -> bool:
    """Public addresses, this machine if it was named, and what gateway.yaml allows."""
    address = _plain(ip_address(text.partition("%")[0]))
    networks = [ip_network(each) for each in allowed]
    if any(address in network for network in networks if network.version == address.version):
        return True
    if address.is_loopback:
        return here
    return address.is_global and not address.is_multicast and address not in METADATA


def _plain(address: Address) -> Address:
    """An IPv4 address is one however it is dressed up."""
    if isinstance(address, IPv4Address):
        return address
    inside = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
    if inside is None and address in EMBEDDED:
        inside = IPv4Address(int(address) & 0xFFFFFFFF)
    return inside or address
