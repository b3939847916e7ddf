"""Thirty conditions that somebody would write to break out of the language: refused in their place, or no more than an answer."""

import builtins
import os
import subprocess
import time

import pytest
from tests.unit.policies.room import holds

from lockkeep.policy.conditions.lexer import Unreadable
from lockkeep.policy.conditions.runtime import EvalError

REFUSED = [
    "__import__('os').system('id') == 0", "eval('1') == 1", "exec('x = 1') == 1", "open('/etc/passwd') == ''", "globals() == {}",
    "amount.__class__ == 1", "args.__class__.__mro__ == 1", "().__class__ == 1", "''.join(['a']) == 'a'", "(lambda: 1)() == 1",
    "[x for x in [1]] == [1]", "amount if true else amount", "1; import os", "1\nimport os", "f'{amount}' == ''",
    "amount := 1", "`id` == 1", "$(id) == 1", "{{ 7 * 7 }} == 49", "a\u200bmount > 0",
    "\u0430mount > 0", "(" * 300 + "true" + ")" * 300, "!" * 5_000 + "true", "true && " * 2_000 + "true", "'" + "a" * 10_000 + "' == ''",
]  # fmt: skip
PLAIN = {  # read as what they are: text
    '"\\"); import os; os.system(\\"id" == "x"': False,
    "'\\'+str(1)+\\'' == '1'": False,
    '"\\\\" == "\\\\"': True,
    '"{amount!r:>{amount}}" == ""': False,
    '"%s%n" == "%s%n"': True,
}


@pytest.mark.promise("P6")
def test_a_hostile_condition_is_refused_or_is_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(REFUSED) + len(PLAIN) == 30
    done: list[object] = []
    for owner, name in ((os, "system"), (subprocess, "Popen"), (builtins, "open")):
        monkeypatch.setattr(owner, name, lambda *words, **_: done.append(words))  # pyright: ignore[reportUnknownArgumentType, reportUnknownLambdaType]
    began = time.monotonic()
    let_through: list[str] = []
    for text in REFUSED:
        try:
            holds(text)
            let_through.append(text[:60])
        except (Unreadable, EvalError):
            pass
    read = {text: holds(text) for text in PLAIN}
    monkeypatch.undo()

    assert (let_through, read, done) == ([], PLAIN, [])
    assert time.monotonic() - began < 5, "one of them took its time"
