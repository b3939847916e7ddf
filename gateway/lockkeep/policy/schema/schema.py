"""`lockkeep policy schema`: JSON Schemas of the policy files, for editors. Their keys are those the readers know."""

import json
from pathlib import Path

from lockkeep.model import Json
from lockkeep.policy.schema import fileschemas, policyschema, workflowschema

DRAFT = "https://json-schema.org/draft/2020-12/schema"
FOLDER = ".schemas"
KINDS = ("policy", "people", "gateway", "manifest", "test", "workflow")


def schema(kind: str) -> dict[str, Json]:
    made = {"policy": policyschema.schema(), "workflow": workflowschema.schema(), **fileschemas.schemas()}
    return {"$schema": DRAFT, "title": f"lockkeep {kind} file", **made[kind]}


def text(kind: str) -> str:
    return json.dumps(schema(kind), indent=2, ensure_ascii=False) + "\n"


def write(policies: Path) -> list[Path]:
    """All of them into the policies folder, which does not read them."""
    folder = policies / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    found = [folder / f"{kind}.json" for kind in KINDS]
    for path in found:
        path.write_text(text(path.stem), encoding="utf-8")
    return found
