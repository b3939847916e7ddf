"""The command line, run in this process beside a gateway in another one: the same code as the `lockkeep` script."""

import io
import json
import os
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import partial
from typing import Any
from unittest.mock import patch

from anyio import to_thread

from lockkeep.cli import main


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        return json.loads(self.out)


def lockkeep(environ: Mapping[str, str], *words: str) -> Ran:
    """`lockkeep WORDS` with exactly this environment; whatever it raises beside SystemExit is a traceback, so it comes out."""
    out, err = io.StringIO(), io.StringIO()
    with (
        patch.dict(os.environ, environ, clear=True),
        patch.object(sys, "argv", ["lockkeep", *words]),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return Ran(code, out.getvalue(), err.getvalue())


async def command(environ: Mapping[str, str], *words: str) -> Ran:
    """The same from a test that runs an event loop."""
    return await to_thread.run_sync(partial(lockkeep, environ, *words))
