"""Who works here beside the reps: operations, support, accounts. A ticket's assignee and a case's person is one of them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Person:
    id: str  # "ops_mia", "agt_1", "fin_1"
    name: str
    email: str
    team: str  # operations | support | logistics | billing | finance
    tz: str
    active: bool = True


STAFF: tuple[Person, ...] = (
    Person("ops_mia", "Mia Falk", "mia@ops.example", "operations", "Europe/Berlin"),
    Person("ops_ravi", "Ravi Menon", "ravi@ops.example", "operations", "Europe/London"),
    Person("ops_tom", "Tom Visser", "tom@ops.example", "operations", "Europe/Amsterdam"),
    Person("ops_lena", "Lena Hofer", "lena@ops.example", "operations", "Europe/Vienna"),
    Person("agt_1", "Ada Quist", "ada@support.example", "support", "Europe/Stockholm"),
    Person("agt_2", "Bruno Leal", "bruno@support.example", "support", "Europe/Lisbon"),
    Person("agt_3", "Clara Nagel", "clara@support.example", "support", "Europe/Berlin"),
    Person("agt_4", "Dylan Frost", "dylan@support.example", "support", "America/New_York"),
    Person("agt_5", "Emi Kato", "emi@support.example", "logistics", "Asia/Tokyo"),
    Person("agt_6", "Finn Olsen", "finn@support.example", "logistics", "Europe/Oslo"),
    Person("agt_7", "Gina Roth", "gina@support.example", "billing", "Europe/Zurich"),
    Person("agt_8", "Hal Moss", "hal@support.example", "support", "Europe/London", active=False),
    Person("fin_1", "Iris Damm", "iris@finance.example", "finance", "Europe/Berlin"),
    Person("fin_2", "Jon Petit", "jon@finance.example", "finance", "Europe/Paris"),
)
GROUPS = ("support", "logistics", "billing")  # where a ticket can stand


def agents() -> tuple[Person, ...]:
    """Return those a ticket can be assigned to, the inactive one included."""
    return tuple(person for person in STAFF if person.team in GROUPS)
