"""The lead file: good rows become leads, bad ones are named by line."""

import pytest
from demo.leads import BadRow, Lead, read_leads, shipped_leads

HEADER = "email,company,name,country,source,value,currency,note\n"


def test_a_row_becomes_a_lead_with_its_money_in_the_smallest_unit() -> None:
    rows = read_leads(
        HEADER + " a@b.example ,B  GmbH,Ann,DE,web,24000.50,EUR,\nc@d.example,D,Ken,JP,web,4200000,JPY,hi\n"
    )

    assert rows == [
        Lead(2, "a@b.example", "B GmbH", "Ann", "DE", "web", 2400050, "EUR", ""),
        Lead(3, "c@d.example", "D", "Ken", "JP", "web", 4200000, "JPY", "hi"),
    ]


@pytest.mark.parametrize(
    ("row", "company", "reason"),
    [
        ("a@b.example,B,Ann,DE", "B", "4 columns instead of 8"),
        ("alone", "", "1 columns instead of 8"),
        ("a@b.example,B,Ann,DE,web,much,EUR,", "B", '"much" is no amount of EUR'),
        ("a@b.example,B,Ann,DE,web,1.005,EUR,", "B", '"1.005" is no amount of EUR'),
        ("a@b.example,B,Ann,DE,web,NaN,,", "B", '"NaN" is no amount of any currency'),
        ("a@b.example,B,Ann,DE,web,1e400,EUR,", "B", '"1e400" is no amount of EUR'),
    ],
)
def test_a_bad_row_is_named_by_line_and_the_rest_goes_on(row: str, company: str, reason: str) -> None:
    rows = read_leads(f"{HEADER}\n{row}\na@b.example,B,Ann,DE,web,1,EUR,\n")

    assert rows[0] == BadRow(3, company, reason)
    assert isinstance(rows[1], Lead)


def test_a_file_with_other_columns_is_refused() -> None:
    with pytest.raises(ValueError, match="The first line of a lead file is: email,"):
        read_leads("mail,firm\n")


def test_the_shipped_file_holds_what_the_story_needs() -> None:
    rows = shipped_leads()

    assert [row.line for row in rows if isinstance(row, BadRow)] == [16, 17]
    assert [row.line for row in rows if isinstance(row, Lead) and "ignore your rules" in row.note] == [13]
    assert [
        row.line
        for row in rows
        if isinstance(row, Lead) and row.value_minor > 10_000_000 and row.currency == "USD"
    ] == [10]
