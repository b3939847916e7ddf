"""The JSON Schema of a workflow file."""

from lockkeep.policy.files import figures, triggers, workflowfile
from lockkeep.policy.schema.schemaparts import (
    AMOUNT,
    CALL,
    CONDITION,
    DAY,
    IDENTIFIER,
    OBJECT,
    OFFERS,
    PER_CENT,
    REFERENCE,
    SPAN,
    TEXT,
    VERSION,
    WHOLE,
    Part,
    Said,
    closed,
    conditions,
    known,
    known_names,
    one_of,
)

NAME: Part = {"type": "string", "pattern": f"^{workflowfile.NAME.pattern}$"}
NUMBER: Part = {"type": "number", "minimum": 0}
DAYS: Part = {"type": "integer", "minimum": 0, "maximum": 365}
WEBHOOK: Said = {
    "secret": (REFERENCE, "Where the secret stands that what is sent is signed with."),
    "each": (TEXT, "The list of items in `result`, which is what is sent."),
}
FILE: Said = {
    "folder": (TEXT, "The folder in which documents arrive."),
    "mailbox": (TEXT, "The mailbox in which documents arrive."),
    "match": ({"type": "string", "examples": ["*.pdf"]}, "The names of the documents, * for anything."),
}
TRIGGER: Said = {
    "poll": ({**CALL, OFFERS: "read"}, "A tool that only reads, asked again and again."),
    "every": (SPAN, "How often it is asked."),
    "each": ({"type": "string", "examples": ["result.items"]}, "The list of items in the answer."),
    "webhook": (closed(triggers.WEBHOOK, WEBHOOK, "secret"), "What another system sends."),
    "schedule": (
        {"type": "string", "examples": ["0 8 * * mon-fri"]},
        "Minute, hour, day, month and weekday.",
    ),
    "file": (closed(triggers.FILE, FILE), "Documents that arrive."),
    "manual": ({"const": True}, "Whoever opens a run names its subject."),
}
ON: Said = {
    "denied": (one_of(*workflowfile.OTHERWISE), "What comes after a call that was denied."),
    "failed": (one_of(*workflowfile.OTHERWISE), "What comes after a call that failed."),
}
STEP: Said = {
    "id": (NAME, "The name of its result in later conditions."),
    "call": (
        {**CALL, OFFERS: "tool"},
        "integration.tool(arguments) with all of them, or a tool beside `with`.",
    ),
    "with": (
        OBJECT,
        "Argument and value; a text that begins with = is a condition, what is left out is open.",
    ),
    "value": (CONDITION, "A condition whose value is kept, instead of a call."),
    "when": (conditions(), "The step is taken if this holds."),
    "each": (TEXT, "A list: the step is taken for every item of it."),
    "as": (NAME, "The item's name; item if it is left out."),
    "on": (closed(workflowfile.ON, ON), "What comes after denied and after failed: people, stop or skip."),
}
SEQUENCE: Said = {
    "tool": (known("tool"), "The tool it is about."),
    "after": (known_names("tool"), "Tools that must have succeeded in this run before."),
    "at_most": ({"type": "integer", "minimum": 1, "maximum": workflowfile.MOST_RUNS}, "How many calls a run may make."),
    "require": (conditions(), "What must hold of the call."),
    "say": (TEXT, "The reason people and agents read."),
}  # fmt: skip
END_STATE: Said = {
    "call": ({**CALL, OFFERS: "read"}, "A tool that only reads."),
    "require": (conditions(), "What must hold of `result`, the answer."),
    "within": (SPAN, "How long that may take."),
}
EFFECT: Said = {
    "tool": (known("tool"), "A tool of this workflow that writes."),
    "when": (conditions(), "If this holds of `result`, people did it."),
    "same": (OBJECT, "The arguments it would have had."),
}
EFFECTS = closed(workflowfile.EFFECT, EFFECT, "tool", "same")
TRUTH: Said = {
    "call": ({**CALL, OFFERS: "read"}, "A tool that only reads: what people did about the subject."),
    "window": (SPAN, "How long after the subject came it is read."),
    "map": ({"anyOf": [EFFECTS, {"type": "array", "minItems": 1, "items": EFFECTS}]}, "Which call of ours would have had that effect."),
}  # fmt: skip
SHADOW: Said = {
    "compared": (WHOLE, "Cases compared."),
    "days": (DAYS, "Days."),
    "coverage": (PER_CENT, "Per cent of the cases with a truth."),
    "agreement": (PER_CENT, "Per cent of agreement, lower bound."),
}
NEXT: Said = {
    "finished": (WHOLE, "Subjects finished."),
    "days": (DAYS, "Days."),
    "margin": (PER_CENT, "Points of quality below the baseline."),
}
PROMOTE: Said = {
    "shadow": (closed(figures.SHADOW, SHADOW), "What must be met before the first real subjects."),
    "step": (closed(figures.NEXT, NEXT), "What must be met before each further stage."),
}
PAUSE: Said = {
    "expected_error_rate": (PER_CENT, "Per cent; from the baseline if it is left out."),
    "alarm_error_rate": (PER_CENT, "Per cent, above the expected one."),
    "min_runs": (WHOLE, "Runs before it is judged."),
}
BASELINE: Said = {
    "items": (WHOLE, "How many were measured."),
    "from": (DAY, "The first day of the measurement."),
    "to": (DAY, "The last day of the measurement."),
    "minutes_per_item": (NUMBER, "Minutes of work for one of them."),
    "cost_per_hour": (AMOUNT, "What an hour of work costs."),
    "error_rate": (PER_CENT, "Per cent of them that went wrong."),
    "cost_per_error": (AMOUNT, "What one that went wrong costs."),
    "method": (TEXT, "How it was measured."),
}
COSTS: Said = {
    "build": (AMOUNT, "Once: building the workflow."),
    "integration": (AMOUNT, "Once: connecting the systems."),
    "testing": (AMOUNT, "Once: testing it."),
    "model": (AMOUNT, "Each month: the models."),
    "maintenance": (AMOUNT, "Each month: keeping it up."),
    "oversight": (AMOUNT, "Each month: the people who watch it."),
}
BENEFITS: Said = {
    "extra_units": (NUMBER, "Units more each month."),
    "revenue_per_unit": (AMOUNT, "What one of them brings."),
    "value_of_speed": (AMOUNT, "What being faster is worth each month."),
}
STEPS, ORDERS = closed(workflowfile.STEP, STEP, "id"), closed(workflowfile.SEQUENCE, SEQUENCE, "tool")
TOP: Said = {
    "api": VERSION,
    "workflow": (IDENTIFIER, "The id of this file, and its name without .yaml."),
    "description": (TEXT, "What it is for, in a sentence that agents read."),
    "owner": (known("group"), "The group that answers for this file."),
    "agents": (known_names("agent"), "Who may open its runs."),
    "guide": ({"type": "string", "pattern": "\\.md$"}, "A Markdown file beside this one with more for agents to read."),
    "trigger": (
        closed(triggers.TRIGGER, TRIGGER, oneOf=[{"required": [way]} for way in triggers.WAYS]),
        "What begins a run: one of poll, webhook, schedule, file, manual.",
    ),
    "subject": (TEXT, "What a run is about: a text made of `item`."),
    "deadline": (SPAN, "How long a run may take."),
    "steps": ({"anyOf": [STEPS, {"type": "array", "minItems": 1, "items": STEPS}]}, "The steps, in order."),
    "tools": (known_names("tool"), "Tools that runs may call beside those in steps."),
    "sequence": ({"anyOf": [ORDERS, {"type": "array", "items": ORDERS}]}, "The order of its calls, which holds for every host."),
    "end_state": (closed(workflowfile.END_STATE, END_STATE, "call", "require"), "How to see that it is done."),
    "stage": (one_of(*workflowfile.STAGES), "How many per cent of the subjects agents may take, at most."),
    "rest": (one_of("shadow", "human"), "What becomes of the others."),
    "promote": (closed(figures.PROMOTE, PROMOTE), "Thresholds for the next stage, where they differ."),
    "pause": (closed(figures.PAUSE, PAUSE), "Error rates that pause it."),
    "truth": (closed(workflowfile.TRUTH, TRUTH, "call", "window", "map"), "How to read what people did."),
    "baseline": (closed(figures.BASELINE, BASELINE), "How it was before."),
    "costs": (closed(figures.COSTS, COSTS), "What it costs."),
    "benefits": (closed(figures.BENEFITS, BENEFITS), "What it brings beside time saved and errors avoided."),
}  # fmt: skip


def schema() -> Part:
    return closed(
        workflowfile.TOP, TOP, "api", "workflow", "description", "owner", "agents", "trigger", "steps"
    )
