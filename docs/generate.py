"""Writes what README.md and docs/ say of the code; `--check` fails where they differ from it.

Run it from anywhere: python docs/generate.py [--check]
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import pyarrow as pa
from manual import SHARED, manual

from ferbuild.builders import record, rlvr
from ferbuild.builders.cli import COMMANDS, cli
from ferbuild.builders.counterfactual import COUNTERFACTUAL
from ferbuild.builders.distances import ABOUT
from ferbuild.builders.errors import FerError
from ferbuild.builders.evaluation.answers import ANSWERS
from ferbuild.builders.evaluation.fairness import FAIRNESS
from ferbuild.builders.evaluation.looks import LOOKS
from ferbuild.builders.kinds import KINDS, NEED_MEASURES
from ferbuild.builders.kinds.made import Context, Made, Words, two
from ferbuild.builders.kinds.two_labels import YES_NO
from ferbuild.builders.measures import MEASURES
from ferbuild.builders.pairs import PAIRS
from ferbuild.builders.prices import dollars
from ferbuild.builders.rating import RATED
from ferbuild.builders.reasons import STAGES
from ferbuild.builders.replies import Usage
from ferbuild.builders.visual_tokens import visual_tokens
from ferbuild.manifests import load
from ferbuild.manifests.calibration import Judge, Score
from ferbuild.manifests.recipe import KindOptions, Picture
from ferbuild.manifests.schema import Source
from ferbuild.prompts.render import render

TOP = Path(__file__).parent.parent

DATASETS = {
    "faces": ("FACES", record.FACES),
    "measures": ("MEASURES", MEASURES),
    "cot": ("COT", record.COT),
    "rlvr": ("RLVR", record.RLVR),
    "rlvr, with --pass-rate also": ("RATED", RATED),
    "ferbench": ("FERBENCH", record.FERBENCH),
    "pairs": ("PAIRS", PAIRS),
    "counterfactual": ("COUNTERFACTUAL", COUNTERFACTUAL),
    "looks": ("LOOKS", LOOKS),
    "fairness": ("FAIRNESS", FAIRNESS),
    "eval": ("ANSWERS", ANSWERS),
    "drops": ("DROPS", record.DROPS),
}
"""Dataset to its schema, and the name that the schema bears in its module."""
PARTS = {"COUNTERFACTUAL": ("PAIRS",), "FAIRNESS": ("LOOKS",)}
"""Schema to those that it holds whole."""


def commands() -> str:
    """Return the command table."""
    rows = []
    with click.Context(cli, info_name="fer-build") as ctx:
        for name, entry in COMMANDS.items():
            command = cli.get_command(ctx, name)
            assert command is not None
            rows.append([f"`fer-build {name}`", entry.about, _options(command)])
    return _table(["command", "what it does", "options of its own"], rows)


def sources() -> str:
    """Return the table of sources: layouts, rows expected, licence, and where to ask."""
    found = [load.load_source(name) for name in load.names("sources")]
    found.sort(key=lambda source: (source.benchmark is None, source.title))
    rows = [
        [
            f"`{source.name}`",
            source.title,
            ", ".join(layout.name for layout in source.layouts),
            _counts(source),
            source.licence.name,
            source.licence.ask,
        ]
        for source in found
    ]
    return _table(["key", "release", "layouts read", "rows expected", "licence", "ask for it at"], rows)


def columns() -> str:
    """Return the column tables of every dataset."""
    parts = []
    for name, (variable, schema) in DATASETS.items():
        notes = _notes(variable)
        rows = [[f"`{field.name}`", f"`{_type(field.type)}`", notes.get(field.name, "")] for field in schema]
        parts.append(f"## {name}\n\n{_table(['column', 'type', 'what it is'], rows)}")
    return "\n\n".join(parts)


def drops() -> str:
    """Return the tables of drop reasons, stage by stage."""
    head = ["reason", "what it means"]
    tables = [
        f"## {stage}\n\n{_table(head, [[f'`{reason}`', text] for reason, text in known.items()])}"
        for stage, known in STAGES.items()
    ]
    return "\n\n".join(tables)


def measured() -> str:
    """Return the table of the measures."""
    return _table(["measure", "what it is"], [[f"`{name}`", text] for name, text in ABOUT.items()])


def calibration() -> str:
    """Return what may be judged: unit and pose by picture size."""
    known = load.load_calibration()
    rows = []
    for name, unit in load.load_units().units.items():
        for band in known.bands:
            judges = [known.units.get(name, {}).get(size) for size in known.sizes]
            rows.append([name, unit.name, band, *(_cell(judge, band) for judge in judges)])
    poses = "; ".join(f"{name}: up to {most:g}°" for name, most in known.bands.items())
    sizes = ", ".join(f"{size} px: from {least:g}" for size, least in known.sizes.items())
    made = known.made_by
    said = (
        f"{made.faces:,} faces, seed {made.seed}, renderer {made.renderer} of commit {made.commit or 'unknown'}. "
        f"Poses ({poses}) are the larger of yaw and pitch. Sizes go by the distance of the eyes in pixels ({sizes})."
    )
    return f"{said}\n\n{_table(['unit', '', 'pose', *(f'{size} px' for size in known.sizes)], rows)}"


def _cell(judge: Judge | None, band: str) -> str:
    found = judge.bands.get(band) if judge else None
    if judge is None or found is None or not (found.present or found.absent):
        return "–"
    cuts = [f"{cut.precision:.2f} / {cut.recall:.2f}" if cut else "–" for cut in (found.present, found.absent)]
    return " · ".join(cuts) + ("" if judge.by == "geometry" else f" ({judge.by})")


def auc() -> str:
    """Return the area under the ROC curve of every unit and size, the misses too."""
    known = load.load_calibration()
    rows = []
    for name, unit in load.load_units().units.items():
        judges = [known.units.get(name, {}).get(size) for size in known.sizes]
        found = [judge.bands.get("frontal") if judge else None for judge in judges]
        areas = [f"{band.auc:.2f}" if band else "–" for band in found]
        rows.append([name, unit.name, *areas, str(found[0].positives if found[0] else 0)])
    return _table(["unit", "", *(f"{size} px" for size in known.sizes), "truly present"], rows)


def trial() -> str:
    """Return how the claim check does on sentences of known truth."""
    found = load.load_calibration().trial
    if found is None:
        return "Not tried yet."
    groups = {"sentences": {"all": found.total} | found.kinds, "picture": found.sizes, "label": found.labels}
    tables = [_scores(name, rows) for name, rows in (groups | {"unit": found.units}).items()]
    why = ", ".join(f"{reason} {count:,}" for reason, count in found.why.items())
    return "\n\n".join([f"{found.faces:,} pictures, seed {found.seed}. Not judged because: {why}.", *tables])


def _scores(name: str, rows: Mapping[Any, Score]) -> str:
    cells = [[str(key), f"{s.sentences:,}", f"{s.coverage:.0%}", _right(s)] for key, s in rows.items()]
    return _table([name, "sentences", "judged", "right, of the judged"], cells)


def _right(score: Score) -> str:
    return f"{score.precision:.1%}" if score.judged else "–"


ROWS, SIDE = 360_000, 224
QUESTION, WRITTEN = 190, 250
"""Tokens of the question, choices included, and of a reply: round numbers, said beside the table."""


def costs() -> str:
    """Return what ROWS rationales cost with each entry that has prices, at SIDE pixels."""
    rows = []
    for name in load.entries("teachers.yaml"):
        entry = load.load_teacher(name)
        seen = visual_tokens(SIDE, SIDE, entry.image) if entry.image else 0
        usage = Usage(ROWS * (QUESTION + seen), ROWS * WRITTEN)
        paid = dollars(entry, usage)
        if not entry.baseline:
            cells = [f"{tokens / 1e6:,.0f} M" for tokens in usage]
            rows.append([f"`{name}`", str(seen), *cells, "your own machines" if paid is None else f"${paid:,.0f}"])
    return _table(["entry", "visual tokens a face", "tokens read", "tokens written", "US dollars"], rows)


ASKED = pa.table(
    {
        "id": ["0" * 15 + digit for digit in "123456789abcdef0"],
        "source": ["made up"] * 16,
        "label": [label for label in record.CANONICAL for _ in range(2)],
        "votes": [[1, 0, 7, 0, 0, 0, 2, 0, 0, 0]] * 16,
        "valence": [0.1 * at - 0.8 for at in range(16)],
        "arousal": [0.8 - 0.1 * at for at in range(16)],
    },
    pa.schema([record.FACES.field(name) for name in ("id", "source", "label", "votes", "valence", "arousal")]),
)
"""Faces that the examples of questions are about."""


def kinds() -> str:
    """Return of every kind a question as it is built, and its answer."""
    words = Words(record.CANONICAL, record.CANONICAL, (2,) * len(record.CANONICAL))
    parts = []
    for kind, make in KINDS.items():
        templates = rlvr.templates_of(kind, KindOptions(), "choose")
        weights = load.load_confusable().weights
        context = Context(kind, KindOptions(), {"made up": words}, templates, 0, "train", weights, Picture())
        asked = _measured(templates[kind]) if kind in NEED_MEASURES else _first_of_each(make(ASKED, context))
        parts.append(f"### {kind}\n\n" + "\n\n".join(f"```text\n{text}\n\n{answer}\n```" for text, answer in asked))
    return "\n\n".join(parts)


def _first_of_each(made: Made) -> list[tuple[str, str]]:
    """Return the first question of one picture and the first of two."""
    shown = (two(made.pictures) >= 0).sum(axis=1)
    firsts = sorted({int((shown == count).argmax()) for count in set(shown.tolist())})
    answers = made.answers.to_pylist()
    return [(made.asked[made.which[at]].prompt, f"<answer>{answers[at]}</answer>") for at in firsts]


def _measured(templates: tuple[str, ...]) -> list[tuple[str, str]]:
    statement = load.load_units().units["AU12"].shown
    return [(render(templates[0], statement=statement, choices=YES_NO), f"<answer>{YES_NO[0]}</answer>")]


def confusable() -> str:
    """Return what each label is taken for, the usual first."""
    known = load.load_confusable()
    rows = [
        [label, ", ".join(f"{other} {one.weight:.0%}" for other, one in others.items())]
        for label, others in known.labels.items()
    ]
    said = "\n".join(f"- `{name}`: {text}" for name, text in known.sources.items())
    return f"{_table(['label', 'is taken for'], rows)}\n\n{said}"


REGIONS = {
    "README.md": {"commands": commands, "sources": sources},
    "docs/columns.md": {"columns": columns, "measures": measured},
    "docs/drops.md": {"drops": drops},
    "docs/calibration.md": {"calibration": calibration, "auc": auc},
    "docs/grounding.md": {"trial": trial},
    "docs/teachers.md": {"costs": costs},
    "docs/rlvr.md": {"kinds": kinds, "confusable": confusable},
    "docs/commands.md": {"manual": manual},
}


def main() -> int:
    stale = []
    for name, regions in REGIONS.items():
        path = TOP / name
        text = fresh = path.read_text(encoding="utf-8")
        for mark, write in regions.items():
            fresh = _fill(fresh, mark, write(), path)
        if fresh != text:
            stale.append(name)
            if "--check" not in sys.argv:
                path.write_text(fresh, encoding="utf-8")
    if stale and "--check" in sys.argv:
        print(f"{', '.join(stale)}: not what the code says; run python docs/generate.py", file=sys.stderr)
        return 1
    return 0


def _fill(text: str, mark: str, body: str, path: Path) -> str:
    """Return `text` with what stands between `<!-- mark -->` and `<!-- /mark -->` replaced."""
    pattern = re.compile(rf"(<!-- {mark} -->\n).*?(<!-- /{mark} -->)", re.DOTALL)
    if not pattern.search(text):
        raise FerError(path, f"has no <!-- {mark} --> region")
    return pattern.sub(lambda match: f"{match[1]}\n{body}\n\n{match[2]}", text)


def _notes(variable: str) -> dict[str, str]:
    """Return the comments beside the fields of a schema, and of those it shares with the listing and the faces."""
    modules = ("record.py", "measures.py", "pairs.py", "counterfactual.py", "rating.py")
    scored = (f"evaluation/{name}.py" for name in ("answers", "looks", "fairness"))
    text = "".join((TOP / "builders" / name).read_text(encoding="utf-8") for name in (*modules, *scored))
    found: dict[str, str] = {}
    for name in ("LISTED", "FACES", *PARTS.get(variable, ()), variable):
        body = re.search(rf"^{name} = pa\.schema\((.*?)^\)", text, re.DOTALL | re.MULTILINE)
        assert body is not None
        found |= dict(re.findall(r'\("(\w+)", .*?\),  # (.+)', body[1]))
    return found


def _options(command: click.Command) -> str:
    own = [param for param in command.params if param.name not in SHARED]
    words = [param.opts[0] if isinstance(param, click.Option) else param.make_metavar(_CTX) for param in own]
    return ", ".join(f"`{word}`" for word in words)


_CTX = click.Context(cli)


def _counts(source: Source) -> str:
    rule = source.rules[0]
    known = {split: sum(words.values()) for split, words in source.expected.get(rule, {}).items()}
    known |= source.totals.get(rule, {})
    order = [split for split in ("train", "validation", "test") if split in known]
    return ", ".join(f"{split} {known[split]:,}" for split in order) or "–"


def _type(kind: pa.DataType) -> str:
    if kind == record.IMAGE:
        return "image"
    if pa.types.is_list(kind):
        return f"list[{_type(kind.value_type)}]"
    if pa.types.is_struct(kind) and kind.num_fields > 10 and len({field.type for field in kind}) == 1:
        return f"{{{kind.num_fields} named {_type(kind[0].type)}}}"
    if pa.types.is_struct(kind):
        return "{" + ", ".join(f"{field.name}: {_type(field.type)}" for field in kind) + "}"
    return {"float": "float32"}.get(str(kind), str(kind))


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
