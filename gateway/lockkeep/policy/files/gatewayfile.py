"""gateway.yaml: the gateway's name and zone, the integrations behind it, the agents in front of it, who is told."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from lockkeep.model import Integration
from lockkeep.policy.files import channels
from lockkeep.policy.files.channels import ChannelEntry
from lockkeep.policy.files.reading import INTEGRATION as NAME
from lockkeep.policy.files.reading import Reader, begins, text_of, zone_of
from lockkeep.policy.positions import Listing, Node, Problems, Text
from lockkeep.policy.positions import Mapping as Node_

TOP = ("api", "gateway", "time_zone", "integrations", "agents", "identity", "notify")
ENTRY = ("command", "env", "url", "auth", "in_process", "server", "alias", "timeout")
AUTH = ("bearer",)
AGENT = ("owner",)
SECRET = re.compile(r"(?i)(token|secret|password|key|bearer)")
LOOPBACK = re.compile(r"http://(127\.0\.0\.1|localhost|\[::1\])([:/]|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayFile:
    name: str
    zone: str = "UTC"
    integrations: Mapping[str, Integration] = field(default_factory=dict[str, Integration])
    agents: Mapping[str, str | None] = field(default_factory=dict[str, "str | None"])  # agent -> owner
    notify: Mapping[str, ChannelEntry] = field(default_factory=dict[str, ChannelEntry])


def read(root: Node, problems: Problems) -> GatewayFile:
    reader = Reader(root, "gateway.yaml", problems, TOP)
    name = begins(reader, "gateway")
    if (identity := reader.get("identity")) is not None:
        Reader(identity, "identity", problems, ())  # API tokens need no word here
    return GatewayFile(
        name=name or "gateway",
        zone=_zone(reader.text("time_zone"), problems),
        integrations={each.name: each for each in _integrations(reader.get("integrations"), problems)},
        agents=_agents(reader.get("agents"), problems),
        notify=channels.read(reader.get("notify"), problems),
    )


def _zone(node: Text | None, problems: Problems) -> str:
    return str(zone_of(node, problems) or "UTC") if node is not None else "UTC"


def _integrations(node: Node | None, problems: Problems) -> list[Integration]:
    if node is None:
        return []
    if not isinstance(node, Node_):
        problems.add(
            node.place, f"'integrations' is {node.kind}; name: {{url: …}} is expected", "name: {url: …}"
        )
        return []
    return [found for key, value in node.entries if (found := _integration(key, value, problems)) is not None]


def _integration(key: Text, value: Node, problems: Problems) -> Integration | None:
    if not NAME.fullmatch(key.text) or key.text == "lockkeep":
        problems.add(
            key.place, f"'{key.text}' is no name for an integration", "a-z, 0-9 and _, at most 25 characters"
        )
    form = f"{key.text}: {{command: [PROGRAM]}}, {{url: ADDRESS}} or {{in_process: true}}"
    inner = Reader(value, f"integration {key.text}", problems, ENTRY, form=form)
    url, command = inner.text("url"), inner.texts("command")
    ways = [bool(url), bool(command), inner.flag("in_process")]
    if sum(ways) != 1:
        inner.complain(
            ("url", "command", "in_process"),
            f"integration {key.text} says one of: url, command, in_process: true",
            "url: https://… for a server elsewhere, command: [PROGRAM] for one on this machine",
        )
        return None
    if url is not None:
        _address(url, problems)
    if command and not isinstance(inner.get("command"), Listing):
        problems.add(
            command[0].place,
            "a command is a list: no shell reads it",
            f"command: [{', '.join(command[0].text.split())}]",
        )
    server = inner.text("server")
    return Integration(
        name=key.text,
        command=tuple(part.text for part in command),
        env=_env(inner.get("env"), problems),
        url=url.text if url else None,
        bearer=_bearer(inner.get("auth"), problems),
        in_process=ways[2],
        server=server.text if server else None,
        alias={name.text: alias for name, alias in _pairs(inner.get("alias"), "alias", problems)},
        timeout=inner.seconds("timeout") or 30.0,
    )


def _address(url: Text, problems: Problems) -> None:
    try:
        parts = urlsplit(url.text)
    except ValueError:
        problems.add(url.place, "this is no address", "write https://HOST/PATH")
        return
    if parts.username is not None or parts.password is not None:
        message = "an address holds no name and no password"
        problems.add(url.place, message, "auth: {bearer: env:NAME}", code="secret")
    elif not (url.text.startswith("https://") or LOOPBACK.match(url.text)):
        problems.add(url.place, "the address is neither https nor on this machine", "use https://")


def _env(node: Node | None, problems: Problems) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in _pairs(node, "env", problems):
        if SECRET.search(name.text) and not value.startswith(("env:", "file:")):
            message = f"{name.text} looks like a secret written out"
            problems.add(name.place, message, "write env:NAME or file:PATH", code="secret")
        found[name.text] = value
    return found


def _bearer(node: Node | None, problems: Problems) -> str | None:
    if node is None:
        return None
    bearer = Reader(node, "auth", problems, AUTH).text("bearer", needed=True)
    if bearer is not None and not bearer.text.startswith(("env:", "file:")):
        problems.add(
            bearer.place,
            "a credential is a reference, never the secret itself",
            "write env:NAME or file:PATH",
            code="secret",
        )
        return None
    return bearer.text if bearer else None


def _pairs(node: Node | None, what: str, problems: Problems) -> list[tuple[Text, str]]:
    if node is None:
        return []
    if not isinstance(node, Node_):
        problems.add(
            node.place, f"'{what}' is {node.kind}; NAME: value is expected", f"{what}: {{NAME: value}}"
        )
        return []
    texts = [(key, text_of(value, f"{what} {key.text}", problems)) for key, value in node.entries]
    return [(key, text.text) for key, text in texts if text is not None]


def _agents(node: Node | None, problems: Problems) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    if isinstance(node, Node_):
        for key, value in node.entries:
            owner = Reader(value, f"agent {key.text}", problems, AGENT).text("owner")
            found[key.text] = owner.text if owner else None
    elif node is not None:
        problems.add(
            node.place, f"'agents' is {node.kind}; name: {{owner: …}} is expected", "name: {owner: PERSON}"
        )
    return found
