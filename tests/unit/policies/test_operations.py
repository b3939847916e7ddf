"""Operations of a wide tool: what is wrong with them keeps the set out; what cannot be told is unmatched."""

from collections.abc import Mapping
from typing import Any

import pytest
from tests.unit.policies.room import NUMBER, TEXT, fields, tool

from lockkeep.policy.conditions.lexer import Unreadable
from lockkeep.policy.rules import manifest
from lockkeep.policy.rules.operations import Doing, Unmatched
from lockkeep.policy.rules.scope import scope_of

TAKES = fields({"op": TEXT, "id": TEXT, "all": {"type": "array", "items": fields({"op": TEXT})}})
READ = {"when": "args.op == 'read'", "operation": "hub.read", "class": "read", "subject": "args.op"}
REST = {"when": "true", "operation": "hub.rest"}


def wide(*operations: Mapping[str, Any], **more: Any) -> manifest.Effects:
    return manifest.effects(
        tool("hub.do", "write", TAKES, subject="args.id", operations=list(operations), **more)
    )


def test_the_first_that_holds_is_the_operation_with_what_it_says_for_itself() -> None:
    effects = wide(READ, REST)
    assert effects.operations is not None
    read, rest = effects.operations.of({"op": "read"}), effects.operations.of({"op": "x"})

    assert isinstance(read, Doing)
    assert isinstance(rest, Doing)
    assert [(each.operation.name, each.operation.risk) for each in (read, rest)] == [
        ("hub.read", "read"),
        ("hub.rest", "write"),
    ]
    assert effects.within("hub.read").subject_of({"op": "read", "id": "7"}) == "read"
    assert effects.within("hub.rest").subject_of({"op": "x", "id": "7"}) == "7"


@pytest.mark.parametrize(("arguments", "mixed"), [({}, False), ({"op": "write"}, False)])
def test_what_cannot_be_told_is_unmatched(arguments: Mapping[str, Any], mixed: bool) -> None:
    operations = wide(READ).operations
    assert operations is not None
    found = operations.of(arguments)

    assert isinstance(found, Unmatched)
    assert found.mixed == mixed


def test_a_list_is_one_thing_or_mixed() -> None:
    operations = wide({**READ, "when": "item.op == 'read'"}, REST, each="args.all").operations
    assert operations is not None
    same, mixed = ([{"op": "read"}] * 3, [{"op": "read"}, {"op": "x"}])

    assert isinstance(operations.of({"all": same}), Doing)
    assert operations.of({"all": mixed}) == Unmatched(
        "One call of hub.do does one thing; this one would do hub.read, hub.rest.", mixed=True
    )
    assert isinstance(operations.of({"all": []}), Unmatched)
    assert isinstance(operations.of({}), Unmatched)


@pytest.mark.parametrize(
    ("operations", "says"),
    [
        ([], "is a list"),
        ("args.op", "is a list"),
        ([{"when": "true"}], "an operation is"),
        ([{**REST, "clas": "read"}], "no 'clas'"),
        ([{**REST, "class": "red"}], "no class 'red'"),
        ([{**REST, "class": "money"}], "graver than its tool"),
        ([{**REST, "when": "args.zzz =="}], "."),
        ([{**REST, "when": "args.op"}], "."),
        ([{**REST, "subject": "args.zzz"}], "."),
        ([REST, REST], "one name"),
        ([{**REST, "operation": 5}], "are texts"),
        ([{**REST, "args": "= args.op"}], "args is"),
        ([{**REST, "args": {"id": 5}}], "args is"),
        ([{**REST, "args": {"id": "= args.zzz"}}], "."),
        ([{**REST, "args": {"id": "= item.id"}}], "not known"),
        ([{**REST, "args": {"id": "= args.objects[args.objects.size()].id"}}], "."),
    ],
)
def test_operations_that_make_no_sense_keep_the_set_out(operations: Any, says: str) -> None:
    with pytest.raises(Unreadable, match=says):
        manifest.effects(tool("hub.do", "write", TAKES, operations=operations))


def test_each_is_an_expression_over_the_arguments() -> None:
    for each in (5, "item", "args.zzz"):
        with pytest.raises(Unreadable):
            wide(REST, each=each)


def test_a_fact_that_an_operation_says_for_itself_is_not_the_argument_of_that_name() -> None:
    money = {"amount_minor": NUMBER, "total_minor": NUMBER, "currency": TEXT}
    said = {"minor": "args.amount_minor", "currency": "args.currency"}
    bulk = {**REST, "amount": {"minor": "args.total_minor", "currency": "args.currency"}}
    plain = tool("hub.pay", "money", fields(money), amount=said)
    wide_one = tool("hub.pay", "money", fields(money), amount=said, operations=[bulk])

    assert [len(scope_of(each, {}).names["amount"]) for each in (plain, wide_one)] == [
        1,
        2,
    ]  # two: an error to use bare
