"""fer-build.yaml: every wrong name is caught before any work, with the near one named."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ferbuild.builders.config import NETS, config_text, read_settings
from ferbuild.builders.errors import FerError
from ferbuild.builders.record import CANONICAL
from ferbuild.manifests import load
from ferbuild.manifests.recipe import Recipe


def written(folder: Path, text: str) -> Path:
    path = folder / "fer-build.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("wrok: x\n", "unknown key 'wrok' .did you mean 'work'"),
        ("sources: {rafbd: x}\n", "no such entry among the sources .did you mean 'rafdb'"),
        ("recipe: defualt\n", "no such entry among the recipes .did you mean 'default'"),
        ("sources: {ferplus: {root: x, rule: majorty}}\n", "no rule 'majorty' .did you mean 'majority'"),
        ("sources: {ferplus: {rot: x}}\n", "sources.ferplus"),
        ("models: {centrface: x}\n", "unknown model 'centrface' .did you mean 'centerface'"),
        (
            "models: {anny: x}\n",
            "anny cannot be replaced .files of one's own can stand in for centerface and",
        ),
        ("models: {astronaut: x.png}\n", "astronaut cannot be replaced"),
        ("unit_model: ~nosuchuser/x.yaml\n", "no such user"),
        ('calibration: "a\\0b.yaml"\n', "no file can have this name"),
        ("seed: many\n", "seed"),
        ("work: [\n", "not valid YAML"),
        ("- a\n", "does not hold a mapping"),
    ],
)
def test_a_slip_is_named(tmp_path, text, problem):
    with pytest.raises(FerError, match=problem):
        read_settings(written(tmp_path, text))


def test_without_a_file_it_says_how_to_get_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FerError, match="fer-build init --find DIR"):
        read_settings()


def test_paths_are_seen_from_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    settings = read_settings(written(tmp_path, "work: w\nsources: {rafdb: raf, sfew: /abs}\n"))
    assert settings.work == tmp_path / "w"
    assert [release.root for release in settings.releases] == [tmp_path / "raf", Path("/abs")]


def test_the_nets_may_be_replaced(tmp_path):
    settings = read_settings(written(tmp_path, "models: {centerface: a.onnx, face_mesh: b.onnx}\n"))
    assert settings.models == dict(zip(NETS, (tmp_path / "a.onnx", tmp_path / "b.onnx"), strict=True))


def test_a_limited_build_lies_apart_and_shares_the_paid_replies(tmp_path):
    path = written(tmp_path, "work: w\n")
    full, limited = read_settings(path), read_settings(path, limit=5)
    assert limited.work == full.work / "limited"
    assert limited.store == full.store


def test_sources_come_in_the_recipes_order(tmp_path):
    settings = read_settings(written(tmp_path, "sources: {sfew: a, jaffe: b, ckplus: c, rafdb: d}\n"))
    assert [release.source.name for release in settings.releases] == ["rafdb", "sfew", "ckplus", "jaffe"]


@given(
    st.dictionaries(
        st.sampled_from(load.names("sources")), st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1)
    )
)
def test_what_init_writes_is_what_is_read(tmp_path_factory, roots):
    path = tmp_path_factory.mktemp("init") / "fer-build.yaml"
    path.write_text(config_text({"sources": roots}))
    assert yaml.safe_load(path.read_text())["sources"] == roots


@pytest.mark.parametrize("name", load.names("recipes"))
def test_every_shipped_recipe_reads(name):
    assert load.load_recipe(name).name == name


@pytest.mark.parametrize("name", load.names("sources"))
def test_every_shipped_source_is_consistent(name):
    source = load.load_source(name)
    assert source.name == name
    assert set(source.labels.values()) <= set(source.candidates)
    assert set(source.canonical) <= set(source.candidates)
    words = {source.canonical.get(word, word) for word in source.candidates}
    assert words <= set(CANONICAL) or not words & set(CANONICAL)  # compound expressions have words of their own
    for splits in source.expected.values():
        assert all(set(words) <= set(source.candidates) for words in splits.values())
    assert source.licence.terms.endswith(".")


@pytest.mark.parametrize("file", ["teachers.yaml", "models.yaml"])
def test_every_shipped_entry_reads(file):
    read = {"teachers.yaml": load.load_teacher, "models.yaml": load.load_asset}[file]
    assert [read(name).name for name in load.entries(file)] == load.entries(file)


def test_a_wrong_key_deep_in_a_recipe_is_named():
    with pytest.raises(FerError, match=r"unknown key 'picture.max_pixel' .did you mean 'max_pixels'"):
        load.check({"name": "x", "picture": {"max_pixel": 3}}, Recipe, "x.yaml")
