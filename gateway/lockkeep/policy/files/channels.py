"""`notify:` of gateway.yaml: where approvals and alarms are announced. Secrets are references."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.headerregistry import Address
from email.utils import parseaddr
from importlib.metadata import entry_points
from ipaddress import ip_network
from typing import Literal
from urllib.parse import urlsplit

from lockkeep.policy.files.reading import INTEGRATION as NAME
from lockkeep.policy.files.reading import Reader, text_of
from lockkeep.policy.positions import Mapping as Node_
from lockkeep.policy.positions import Node, Problems, Text, nearest

Told = Literal["approvals", "alarms"]
ABOUT: tuple[Told, ...] = ("approvals", "alarms")
GROUP = "lockkeep.notify"  # entry points: channels of others
COMMON = ("kind", "about")
SLACK = ("channel", "token", "app_token", "signing_secret", "api", "ca_file")
EMAIL = ("server", "from", "password", "to", "ca_file")
WEBHOOK = ("url", "secret", "allow", "ca_file")
OTHER = ("with",)
KINDS: Mapping[str, tuple[str, ...]] = {"slack": SLACK, "email": EMAIL, "webhook": WEBHOOK}
NEEDED = {"slack": ("channel", "token"), "email": ("server", "from"), "webhook": ("url", "secret")}
SECRETS = frozenset({"token", "app_token", "signing_secret", "password", "secret"})
LISTS = frozenset({"to", "allow"})
LOOPBACK = ("127.0.0.1", "localhost", "::1")
SLACK_HOSTS = ("slack.com", "slack-gov.com")
Texts = Mapping[str, Text]
CHANNEL = re.compile(r"[CDG][A-Z0-9]{2,20}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelEntry:
    """One channel as gateway.yaml names it. A value that is a secret is env:NAME or file:PATH."""

    name: str
    kind: str
    about: tuple[Told, ...] = ABOUT
    values: Mapping[str, str] = field(default_factory=dict[str, str])
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])


def read(node: Node | None, problems: Problems) -> dict[str, ChannelEntry]:
    if node is None:
        return {}
    if not isinstance(node, Node_):
        problems.add(
            node.place, f"'notify' is {node.kind}; name: {{kind: …}} is expected", "name: {kind: slack}"
        )
        return {}
    found = [_entry(key, value, problems) for key, value in node.entries]
    return {each.name: each for each in found if each is not None}


def _entry(key: Text, value: Node, problems: Problems) -> ChannelEntry | None:
    if not NAME.fullmatch(key.text):
        problems.add(
            key.place, f"'{key.text}' is no name for a channel", "a-z, 0-9 and _, at most 25 characters"
        )
    what = f"channel {key.text}"
    kind = _kind(value, what, problems)
    if kind is None:
        return None
    inner = Reader(value, what, problems, (*COMMON, *KINDS.get(kind, OTHER)))
    for needed in NEEDED.get(kind, ()):
        inner.need(needed)
    texts = {
        key: text for key in KINDS.get(kind, ()) if key not in LISTS and (text := inner.text(key)) is not None
    }
    lists = {key: inner.some(key) for key in KINDS.get(kind, ()) if key in LISTS}
    _check(inner, kind, texts, lists)
    others = _others(inner.get("with"), problems) if kind not in KINDS else {}
    return ChannelEntry(
        name=key.text,
        kind=kind,
        about=_about(inner, problems),
        values={name: text.text for name, text in texts.items()} | others,
        lists={name: tuple(text.text for text in found) for name, found in lists.items()},
    )


def _kind(value: Node, what: str, problems: Problems) -> str | None:
    """One of ours, or one that an installed package brings."""
    known = value.get("kind") if isinstance(value, Node_) else None
    if known is None:
        keys = (*COMMON, *OTHER, *(key for keys in KINDS.values() for key in keys))
        Reader(value, what, problems, keys, form="name: {kind: slack}").need("kind")
        return None
    kind = text_of(known, "'kind'", problems)
    if kind is None or kind.text in KINDS:
        return kind.text if kind else None
    installed = sorted(entry_points(group=GROUP).names)
    if kind.text in installed:
        return kind.text
    hint = nearest(kind.text, [*KINDS, *installed])
    problems.add(kind.place, f"there is no channel of kind '{kind.text}'", hint, code="unknown-name")
    return None


def _others(node: Node | None, problems: Problems) -> dict[str, str]:
    """What a channel of others is told; it reads references itself."""
    if node is None:
        return {}
    if not isinstance(node, Node_):
        problems.add(node.place, f"'with' is {node.kind}; KEY: value is expected", "with: {KEY: value}")
        return {}
    texts = [(key.text, text_of(value, f"'{key.text}'", problems)) for key, value in node.entries]
    return {key: text.text for key, text in texts if text is not None}


def _about(inner: Reader, problems: Problems) -> tuple[Told, ...]:
    named = inner.names("about")
    for text in named:
        if text.text not in ABOUT:
            problems.add(text.place, f"a channel is not told about '{text.text}'", nearest(text.text, ABOUT))
    chosen = {text.text for text in named}
    return tuple(each for each in ABOUT if each in chosen) or ABOUT


def _check(inner: Reader, kind: str, texts: Texts, lists: Mapping[str, tuple[Text, ...]]) -> None:
    """What each value must look like, in words."""
    for key in sorted(SECRETS & {*texts}):
        if not texts[key].text.startswith(("env:", "file:")):
            message = f"'{key}' is a reference, never the secret itself"
            inner.problems.add(texts[key].place, message, f'{key}: "env:NAME" or "file:PATH"', code="secret")
    if kind == "slack":
        _slack(inner, texts)
    elif kind == "email":
        _email(inner, texts, lists["to"])
    elif kind == "webhook":
        _webhook(inner, texts, lists["allow"])


def _slack(inner: Reader, texts: Texts) -> None:
    channel, api = texts.get("channel"), texts.get("api")
    if channel is not None and not CHANNEL.fullmatch(channel.text):
        hint = "write the id, as in C0123ABCD; it stands in the channel's details"
        inner.problems.add(channel.place, f"'{channel.text}' is no id of a Slack channel", hint)
    if "app_token" in texts and "signing_secret" in texts:
        message = (
            "Slack's buttons are heard over app_token (Socket Mode) or signing_secret (HTTP), not over both"
        )
        hint = "keep app_token unless the gateway has a public address"
        inner.complain(("app_token", "signing_secret"), message, hint)
    if api is not None:
        scheme, host = _parts(api.text)
        if not (
            (scheme == "https" and host in SLACK_HOSTS) or (scheme in ("http", "https") and host in LOOPBACK)
        ):
            hint = "leave api out, or write https://slack-gov.com/api/"
            inner.problems.add(api.place, "this is no address of Slack", hint)


def _email(inner: Reader, texts: Texts, to: tuple[Text, ...]) -> None:
    if (server := texts.get("server")) is not None:
        _server(inner, server, password="password" in texts)
    for text in (*([texts["from"]] if "from" in texts else []), *to):
        if not is_address(text.text):
            hint = "write Acme <gate@acme.example>"
            inner.problems.add(text.place, f"'{text.text}' is no e-mail address", hint)


def _server(inner: Reader, server: Text, *, password: bool) -> None:
    scheme, host = _parts(server.text)
    parts = urlsplit(server.text) if scheme else None
    if scheme not in ("smtp", "smtps") or not host or parts is None or parts.path.strip("/"):
        hint = "write smtps://USER@HOST:465 or smtp://USER@HOST:587"
        inner.problems.add(server.place, f"'{server.text}' is no mail server", hint)
    elif parts.password is not None:
        message = "an address holds no password"
        inner.problems.add(server.place, message, 'password: "env:NAME"', code="secret")
    elif (parts.username is None) == password:
        hint = "smtps://USER@HOST and password: env:NAME"
        inner.problems.add(server.place, "a user in the address and 'password' belong together", hint)


def _webhook(inner: Reader, texts: Texts, allow: tuple[Text, ...]) -> None:
    if (url := texts.get("url")) is not None:
        scheme, host = _parts(url.text)
        if not host or "@" in urlsplit(url.text).netloc:
            inner.problems.add(url.place, "this is no address", "write https://HOST/PATH")
        elif scheme != "https" and not (scheme == "http" and host in LOOPBACK):
            inner.problems.add(url.place, "the address is neither https nor on this machine", "use https://")
    for text in allow:
        try:
            ip_network(text.text)
        except ValueError:
            inner.problems.add(
                text.place, f"'{text.text}' is no network", "write 10.2.0.0/16, or one address"
            )


def _parts(text: str) -> tuple[str, str]:
    """Scheme and host; empty if it is no address."""
    try:
        parts = urlsplit(text)
        return (parts.scheme, parts.hostname or "") if parts.port != 0 else ("", "")
    except ValueError:
        return "", ""


def is_address(text: str) -> bool:
    """`gate@acme.example`, or with a name before it; nothing that could end a header."""
    name, spec = parseaddr(text)
    try:
        found = Address(display_name=name, addr_spec=spec)
    except (ValueError, IndexError):
        return False
    return bool(found.domain) and spec.isascii() and text.isprintable()
