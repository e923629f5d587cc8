"""The YAML head of an edition's README.md: what the Hub shows and searches by, and how `load_dataset` reads it."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import yaml

from ferbuild.builders import features, rlvr, shards
from ferbuild.builders.publishing import licence
from ferbuild.builders.publishing.edition import Edition, schema_sha256
from ferbuild.builders.publishing.statements import GATE
from ferbuild.builders.record import COT, FERBENCH

TITLES = {
    "cot": "Chains of thought on facial expressions",
    "rlvr": "Facial-expression questions with checkable answers",
    "ferbench": "FERBench, rebuilt",
}
SIZES = (
    (10**3, "n<1K"),
    (10**4, "1K<n<10K"),
    (10**5, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
)
"""Rows below which the Hub's size category holds."""


def head(edition: Edition) -> str:
    """Return the YAML between the two lines of dashes, with keys in the order of the Hub's own template."""
    rows = sum(edition.rows.values())
    found: dict[str, Any] = {
        "pretty_name": TITLES[kind_of(edition)],
        "language": ["en"],
        "license": "other",
        "license_name": licence.NAME,
        "license_link": licence.FILE,
        "task_categories": ["image-text-to-text", "visual-question-answering"],
        "size_categories": [size_category(rows)],
        "source_datasets": source_datasets(edition),
        "annotations_creators": ["machine-generated"],
        "tags": tags(edition),
    }
    if not edition.synthetic:
        found["extra_gated_prompt"] = GATE
    found |= features.front_matter(
        schema_of(edition), shards.ordered(edition.rows), f"{edition.key} images {edition.images}"
    )
    return yaml.safe_dump(found, sort_keys=False, allow_unicode=True, width=120)


def as_read(edition: Edition) -> Edition:
    """Return an edition as whoever reads its edition.json has it, all names in one order."""
    return Edition.model_validate_json(edition.as_text())


def kind_of(edition: Edition) -> str:
    """Return cot, rlvr or ferbench: an arm of cot is called after it."""
    return edition.dataset.partition("-")[0]


def schema_of(edition: Edition) -> pa.Schema:
    """Return the columns of an edition: those whose hash it states, or else the plain ones of its kind."""
    plain = {"cot": COT, "rlvr": rlvr.schema_of(measured=False), "ferbench": FERBENCH}[kind_of(edition)]
    known = [plain, rlvr.schema_of(measured=True)] if kind_of(edition) == "rlvr" else [plain]
    return next((one for one in known if schema_sha256(one) == edition.schema_sha256), plain)


def size_category(rows: int) -> str:
    """Return the Hub's word for so many rows."""
    return next((word for most, word in SIZES if rows < most), "10M<n<100M")


def source_datasets(edition: Edition) -> list[str]:
    """Return the releases that the rows extend, in the Hub's form; `original` for what is the tool's own making."""
    found = {"original" if one.synthetic else f"extended|other-{name}" for name, one in edition.sources.items()}
    return sorted(found)


def tags(edition: Edition) -> list[str]:
    """Return the words that the dataset is found by."""
    kinds = {"cot": ["chain-of-thought"], "rlvr": ["rlvr", "grpo"], "ferbench": ["benchmark"]}[kind_of(edition)]
    more = [word for word, holds in (("synthetic", edition.synthetic), ("baseline", edition.baseline)) if holds]
    return ["facial-expression-recognition", "affective-computing", *kinds, *more]
