"""The card of an edition and what stands beside it: the Hub's own classes read it, and it says what the build did."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import datasets
import huggingface_hub
import pytest
from conftest import REPO, fer_build
from hypothesis import given
from hypothesis import strategies as st

from ferbuild.builders import features, shards
from ferbuild.builders.publishing import card, card_tables, croissant, figures, licence, statements
from ferbuild.builders.publishing.card_head import head, size_category, source_datasets
from ferbuild.builders.publishing.edition import Edition, Terms, read
from ferbuild.manifests import load

DATASETS = ("cot", "rlvr", "ferbench")


@pytest.fixture(scope="module")
def editions(demo, tmp_path_factory) -> Path:
    home = tmp_path_factory.mktemp("carded") / "home"
    shutil.copytree(demo.home, home)
    for dataset in DATASETS:
        assert fer_build("publish", dataset, "--baseline", cwd=home).code == 0
    return home / "fer-data/edition"


def of_photographs(edition: Edition) -> Edition:
    """The edition as if RAF-DB's rows showed people."""
    source = load.load_source("rafdb")
    terms = Terms(
        title=source.title,
        licence=source.licence.name,
        terms=source.licence.terms,
        images="closed",
        labels="unsettled",
        rows=edition.sources["rafdb"].rows,
        label_rule="as labelled",
    )
    known = {"sources": {**edition.sources, "rafdb": terms}, "synthetic": False, "checked": ["rafdb"]}
    return edition.model_copy(update=known)


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_hubs_own_class_reads_the_card(editions, dataset):
    found = huggingface_hub.DatasetCard.load(editions / dataset / "README.md")
    data, edition = found.data, read(editions / dataset)
    assert (data.license, data.license_name, data.license_link) == ("other", "terms-of-its-sources", "LICENSE.md")
    assert data.annotations_creators == ["machine-generated"] and data.source_datasets == ["original"]
    assert data.task_categories == ["image-text-to-text", "visual-question-answering"]
    assert data.size_categories == ["n<1K"] and data.language == ["en"]
    globs = {one["split"]: one["path"] for one in data.configs[0]["data_files"]}
    assert globs == {split: f"{split}/data-*.arrow" for split in edition.rows}
    schema = shards.read_stream(next(iter(shards.split_files(editions / dataset).values()))[0]).schema
    assert data.dataset_info["features"] == features.front_matter(schema, [], "")["dataset_info"]["features"]
    assert (editions / dataset / data.license_link).read_text() == licence.text(edition)


@pytest.mark.parametrize("dataset", DATASETS)
def test_its_configs_load(editions, dataset, tmp_path):
    edition = read(editions / dataset)
    loaded = datasets.load_dataset(str(editions / dataset), cache_dir=str(tmp_path))
    assert {split: one.num_rows for split, one in loaded.items()} == edition.rows
    disk = datasets.load_from_disk(str(editions / dataset))
    split = next(iter(edition.rows))
    assert loaded[split].features == disk[split].features and loaded[split][0] == disk[split][0]


@pytest.mark.parametrize("dataset", DATASETS)
def test_card_licence_and_croissant_are_made_again_to_the_same_bytes(editions, dataset):
    folder = editions / dataset
    edition = read(folder)
    assert card.text(edition, figures.figures(folder)) == (folder / "README.md").read_text()
    assert croissant.text(edition) == (folder / "croissant.json").read_text()


@pytest.mark.parametrize("dataset", DATASETS)
def test_croissant_is_valid(editions, dataset):
    mlcroissant = pytest.importorskip("mlcroissant", reason="pip install mlcroissant, of the extra dev")
    path = editions / dataset / "croissant.json"
    found = mlcroissant.Dataset(jsonld=str(path)).metadata
    assert not found.ctx.issues.errors
    assert all("datePublished" in warning for warning in found.ctx.issues.warnings), "no date: the same bytes each time"
    told = {one.id: one.sha256 for one in found.file_objects}
    assert told == {name: one.sha256 for name, one in read(editions / dataset).shards.items()}
    assert {one.id for one in found.record_sets} == set(read(editions / dataset).rows)


def test_the_card_tells_the_funnel_the_prompts_and_the_teacher(editions):
    edition = read(editions / "cot")
    text = (editions / "cot" / "README.md").read_text()
    assert f"| cot | {edition.rows_in} | {edition.kept} | {edition.rows_in - edition.kept} |" in text
    assert all(f"| {reason} | {rows} |" in text for reason, rows in edition.dropped.items())
    assert all(f"`{name}`:" in text and asked.strip() in text for name, asked in edition.prompts.items())
    assert "- teacher: `geometry`" in text and card.BASELINE in text and card.SYNTHETIC in text
    assert "contaminates:ferbench/rafdb" in text and "`names_person`" in text
    assert all(one.terms in text for one in edition.sources.values())
    assert statements.AI_ACT in text and "no legal advice" in text and statements.OUT_OF_SCOPE in text


def test_a_card_of_photographs_asks_for_the_terms(editions):
    edition = of_photographs(read(editions / "rlvr"))
    text = card.text(edition, figures.figures(editions / "rlvr"))
    assert "extra_gated_prompt: " in text and "extra_gated_prompt" not in head(read(editions / "rlvr"))
    assert source_datasets(edition) == ["extended|other-rafdb", "original"]
    assert "left out: they may not be passed on" in text and "answers for having looked into: RAF-DB (basic)." in text
    assert edition.sources["rafdb"].terms in licence.text(edition) and card.SYNTHETIC not in text


def test_a_recipe_that_keeps_contaminated_faces_is_told(editions):
    edition = read(editions / "rlvr")
    kept = edition.model_copy(update={"policy": edition.policy | {"duplicates": {"contaminated": "keep"}}})
    assert "has no FERBench score" in card.text(kept, figures.figures(editions / "rlvr"))


def test_figures_are_of_the_rows(editions):
    found = figures.figures(editions / "ferbench")
    assert [row["source"] for row in found["sources"]] == ["affectnet", "ferplus", "rafdb", "sfew"]
    assert {row["source"]: row["all"] for row in found["sources"]} == {
        name: one.rows for name, one in read(editions / "ferbench").sources.items()
    }
    assert sum(row["all"] for row in found["labels"]) == 97


@pytest.mark.parametrize(
    ("rows", "word"), [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (360_000, "100K<n<1M"), (10**7, "10M<n<100M")]
)
def test_size_categories(rows, word):
    assert size_category(rows) == word


def test_bars_and_cells():
    assert card_tables.bar_of(1, 2) == "█" * 12 and card_tables.bar_of(0, 2) == "" and card_tables.bar_of(0, 0) == ""
    assert card_tables.bar_of(1, 10_000) == "▏", "what is there is seen"
    assert card_tables.table([{"a": "x|<b>", "n": 1000}], "n") == (
        "| a | n |  |\n| --- | ---: | --- |\n| x\\|&lt;b&gt; | 1,000 | ████████████████████████ |"
    )
    assert card_tables.quoted("a\n```\nb") == "````text\na\n```\nb\n````"


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_bars_are_never_longer_than_the_longest(value, most):
    assert len(card_tables.bar_of(min(value, most), most)) <= card_tables.WIDTH


def test_croissant_describes_every_column(editions):
    found = json.loads((editions / "cot/croissant.json").read_text())
    fields = [one["name"].partition("/")[2] for one in found["recordSet"][0]["field"]]
    schema = shards.read_stream(editions / "cot/train/data-00000-of-00001.arrow").schema
    assert fields == schema.names


def test_the_page_on_responsible_use_says_what_the_cards_say():
    text = (REPO / "docs/responsible.md").read_text()
    assert all(said in text for said in (statements.LIMITS, statements.OUT_OF_SCOPE, statements.AI_ACT))
