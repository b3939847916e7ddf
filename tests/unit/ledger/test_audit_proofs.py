"""Every kind of tampering, at every place, is found where it was done and called what it was; bytes are canonical (P7)."""

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chains import (
    Rows,
    deleted,
    edited_with_its_hash,
    forked,
    inserted,
    lines,
    log,
    rebuilt,
    swapped,
    truncated,
)
from lockkeep.ledger import audit, chain
from lockkeep.ledger.chain import Tampering
from lockkeep.ledger.heads import Head, Key
from lockkeep.model import Json

SIZE, PLACES, EVERY = 240, range(2, 202), 20
SAMPLE = (2, 17, 20, 21, 100, 201)
KEY = Key(Ed25519PrivateKey.generate())
CANONICAL = 30_000


def heads_of(rows: Rows) -> list[Head]:
    return [KEY.sign(seq, stored, f"at {seq:06}") for seq, stored, _ in rows if seq % EVERY == 0]


def checked(rows: Rows, heads: Iterable[Head]) -> list[Tampering]:
    """As an auditor does it: the export's lines, signed heads and the public key."""
    faults = {head: fault for head in heads if (fault := KEY.public.fault(head))}
    marks = [head.mark for head in heads if head not in faults]
    return [*faults.values(), *audit.verify(lines(rows), marks)]


def next_head(place: int) -> int:
    return -(-place // EVERY) * EVERY


KINDS: Mapping[str, tuple[Callable[[Rows, int], Rows], Callable[[int], int]]] = {
    "edited": (edited_with_its_hash, lambda place: place),
    "deleted": (deleted, lambda place: place),
    "inserted": (inserted, lambda place: place),
    "reordered": (swapped, lambda place: place),
    "truncated": (truncated, lambda place: place),
    "forked": (forked, lambda place: place),
    "recomputed": (rebuilt, next_head),
}


def check(rows: Rows, place: int) -> None:
    heads = heads_of(rows)
    for kind, (tamper, where) in KINDS.items():
        found = checked(tamper(rows, place), heads)
        assert (found[0].kind, found[0].seq) == (kind, where(place)), f"{kind} at {place}: {found}"
    forged = [head if head.size < next_head(place) else replace(head, hash="f" * 64) for head in heads]
    found = checked(rows, forged)
    assert (found[0].kind, found[0].seq) == ("signature", next_head(place))


@pytest.mark.promise("P7")
def test_eight_kinds_of_tampering_are_found_with_kind_and_place() -> None:
    rows = log(SIZE, random.Random(1))
    assert checked(rows, heads_of(rows)) == []
    for place in SAMPLE:
        check(rows, place)


@pytest.mark.full
@pytest.mark.promise("P7")
def test_eight_kinds_at_two_hundred_places_and_two_hundred_clean_logs() -> None:
    rows = log(SIZE, random.Random(2))
    for place in PLACES:
        check(rows, place)
        clean = log(SIZE // 4, random.Random(place))
        assert checked(clean, heads_of(clean)) == []


def canonical(dice: random.Random) -> dict[str, Json]:
    """A record with values as they may stand in one, and texts as strangers choose them."""
    alphabet = (
        "a",
        "é",
        "\u2028",
        "\x00",
        "\x1f",
        "\x7f",
        "\\",
        '"',
        "/",
        "\n",
        "\U0001f510",
        "\ufeff",
        "ꙮ",
        "\u202e",
    )

    def value(depth: int) -> Json:
        kind = dice.randrange(7 if depth else 5)
        if kind == 0:
            return dice.randrange(-(2**53) + 1, 2**53)
        if kind == 1:
            return dice.choice((True, False, None))
        if kind < 5:
            return "".join(dice.choices(alphabet, k=dice.randrange(8)))
        if kind == 5:
            return [value(depth - 1) for _ in range(dice.randrange(4))]
        return {f"{dice.choice('abcxyz')}_{number}": value(depth - 1) for number in range(dice.randrange(4))}

    return {f"{dice.choice('abcxyz')}{number}": value(2) for number in range(6)}


@pytest.mark.promise("P7")
@pytest.mark.parametrize("number", [1_000, pytest.param(CANONICAL, marks=pytest.mark.full)])
def test_the_bytes_of_a_record_are_canonical(number: int) -> None:
    dice = random.Random(7)
    for _ in range(number):
        record = canonical(dice)
        assert chain.line(record).encode() == rfc8785.dumps(record)
