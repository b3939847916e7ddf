"""`lockkeep policy schema`: JSON Schemas of the policy files, for editors. Their keys are those the readers know."""

import json
from pathlib import Path
from typing import cast

from lockkeep.model import Json
from lockkeep.policy.schema import fileschemas, policyschema, workflowschema
from lockkeep.policy.schema.offers import Offers, of_folder, offering

DRAFT = "https://json-schema.org/draft/2020-12/schema"
FOLDER = ".schemas"
KINDS = ("policy", "people", "gateway", "manifest", "test", "workflow")


def schema(kind: str, offers: Offers | None = None) -> dict[str, Json]:
    """The same everywhere; with `offers`, editors also complete the names of one folder."""
    made = {"policy": policyschema.schema(), "workflow": workflowschema.schema(), **fileschemas.schemas()}
    body = cast("dict[str, Json]", offering(made[kind], offers or {}))
    return {"$schema": DRAFT, "title": f"lockkeep {kind} file", **body}


def text(kind: str, offers: Offers | None = None) -> str:
    return json.dumps(schema(kind, offers), indent=2, ensure_ascii=False) + "\n"


def write(policies: Path) -> list[Path]:
    """All of them into the policies folder, which does not read them."""
    folder = policies / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    found, offers = [folder / f"{kind}.json" for kind in KINDS], of_folder(policies)
    for path in found:
        path.write_text(text(path.stem, offers), encoding="utf-8")
    return found
