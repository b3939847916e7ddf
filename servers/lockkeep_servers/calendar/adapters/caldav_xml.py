"""What WebDAV asks and answers in: property requests, and the statuses of many resources at once."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn
from xml.etree import ElementTree
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from lockkeep_servers.kit.errors import Unavailable

DAV, CALDAV = "{DAV:}", "{urn:ietf:params:xml:ns:caldav}"
SPACES = 'xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"'


@dataclass(frozen=True)
class Resource:
    """One of the answers: the properties there are of it, by their names with namespace."""

    href: str
    properties: Mapping[str, Element]

    def text(self, name: str) -> str:
        found = self.properties.get(name)
        return (found.text or "").strip() if found is not None else ""

    def inner(self, name: str) -> set[str]:
        """Return the names of all elements within a property."""
        found = self.properties.get(name)
        return {each.tag for each in found.iter() if each is not found} if found is not None else set()

    def link(self, name: str) -> str:
        """Return the address a property holds."""
        found = self.properties.get(name)
        href = found.find(f"{DAV}href") if found is not None else None
        return (href.text or "").strip() if href is not None else ""


def properties(*names: str) -> bytes:
    """Return a request for these properties, each named as in `getetag` or `C:calendar-data`."""
    return f"<propfind {SPACES}><prop>{_tags(names)}</prop></propfind>".encode()


def many(hrefs: Iterable[str]) -> bytes:
    """Return a request for the content of these files."""
    wanted = "".join(f"<href>{escape(href)}</href>" for href in hrefs)
    inner = f"<prop>{_tags(('getetag', 'C:calendar-data'))}</prop>{wanted}"
    return f"<C:calendar-multiget {SPACES}>{inner}</C:calendar-multiget>".encode()


def resources(body: bytes) -> list[Resource]:
    """Return what an answer of many statuses says; resources it calls missing are left out.

    Raises:
        Unavailable: it is none.
    """
    try:
        root = ElementTree.fromstring(body, ElementTree.XMLParser(target=_Plain()))  # noqa: S314  (see _Plain)
    except (ElementTree.ParseError, ValueError, LookupError):
        raise Unavailable("The answer of the back end cannot be read.") from None
    if root.tag != f"{DAV}multistatus":
        raise Unavailable("The answer of the back end cannot be read.")
    return list(_resources(root))


def _resources(root: Element) -> Iterator[Resource]:
    for response in root.iter(f"{DAV}response"):
        href, found = response.findtext(f"{DAV}href"), response.findall(f"{DAV}propstat")
        good = [each for each in found if " 200" in (each.findtext(f"{DAV}status") or "")]
        if href and good:
            yield Resource(
                href.strip(),
                {element.tag: element for each in good for element in each.iterfind(f"{DAV}prop/*")},
            )


class _Plain(ElementTree.TreeBuilder):
    """Builds the tree of a text that defines nothing: entities are how a small one becomes a huge one."""

    def doctype(self, name: str, pubid: Any, system: Any) -> NoReturn:
        raise ValueError(name)


def _tags(names: Iterable[str]) -> str:
    return "".join(f"<{name}/>" for name in names)
