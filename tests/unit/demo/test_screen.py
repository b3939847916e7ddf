"""What reaches the terminal."""

import pytest
from demo.leads import BadRow, Lead
from demo.router import Result
from demo.screen import Screen, clean


def test_control_characters_of_a_lead_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    Screen().bad_row(BadRow(2, "\033[2JEvil", "4 columns\ninstead of 8"))

    assert clean("\033[31mred\r") == "?[31mred?"
    assert capsys.readouterr().out == "     2  ?[2JEvil                    unread    4 columns?instead of 8\n"


def test_a_refused_lead_shows_its_rule_and_below_it_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    lead = Lead(11, "x", "Meadow Retail Ltd", "Paul", "GB", "import", 1, "GBP", "")
    Screen().result(Result(lead, "denied", rule="leads/crm.upsert_lead/has-company", reason="No company."))

    assert capsys.readouterr().out.splitlines() == [
        "    11  Meadow Retail Ltd           denied    leads/crm.upsert_lead/has-company",
        "                                              No company.",
    ]
