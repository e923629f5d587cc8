"""The gate before an edition, and how one is made: whole or not at all, the same bytes each time."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import yaml
from conftest import fer_build

from ferbuild.builders import shards
from ferbuild.builders.build import Build
from ferbuild.builders.config import read_settings
from ferbuild.builders.errors import FerError
from ferbuild.builders.publishing import census, gate, making, sums
from ferbuild.builders.publishing.census import Census, Seen
from ferbuild.builders.publishing.edition import Edition, read
from ferbuild.builders.publishing.gate import Asked
from ferbuild.manifests import load

REPO = Path(__file__).parent.parent
SOURCES = {name: load.load_source(name) for name in load.names("sources")}


def project(demo, tmp_path: Path) -> Path:
    """Return a copy of the demo that may be changed, without what was scored in it."""
    home = tmp_path / "project"
    shutil.copytree(demo.home, home, ignore=shutil.ignore_patterns("eval", "report", "edition", ".lock"))
    return home


def build_of(home: Path) -> Build:
    return Build(read_settings(home / "fer-build.yaml"))


def make(home: Path, dataset: str, **asked) -> tuple[Path, Edition]:
    return making.make(build_of(home), dataset, Asked(**asked))


def rows_of(folder: Path) -> list[dict]:
    files = shards.split_files(folder)
    return [row for paths in files.values() for path in paths for row in shards.read_stream(path).to_pylist()]


@pytest.fixture(scope="module")
def home(demo, tmp_path_factory) -> Path:
    return project(demo, tmp_path_factory.mktemp("publish"))


def seen(*, synthetic: bool = False, licence: str = "L") -> Seen:
    return Seen(3, synthetic, {licence}, {"as labelled"})


def judge(sources: dict[str, Seen], *, columns=("id",), models=(), **asked) -> list[str]:
    found = Census(sources=sources, models=set(models))
    return gate.refuse("rlvr", columns, found, gate.terms_of(found, SOURCES), Asked(**asked))


@pytest.mark.parametrize("name", [name for name, source in SOURCES.items() if source.licence.labels == "unsettled"])
def test_unsettled_labels_take_the_users_word_for_each_source(name):
    with pytest.raises(FerError) as err:
        judge({name: seen(), "ferplus": seen()})
    assert SOURCES[name].licence.terms in err.value.problem
    assert err.value.hint.endswith(f"--i-have-checked {name}")
    assert judge({name: seen(), "ferplus": seen()}, checked=(name,)) == [name]


def test_closed_labels_are_refused_whatever_the_user_says(monkeypatch):
    jaffe = SOURCES["jaffe"]
    shut = jaffe.model_copy(update={"licence": jaffe.licence.model_copy(update={"labels": "closed"})})
    monkeypatch.setitem(SOURCES, "jaffe", shut)
    with pytest.raises(FerError, match="may not be published") as err:
        judge({"jaffe": seen()}, checked=("jaffe",))
    assert jaffe.licence.terms in err.value.problem


@pytest.mark.parametrize("name", [name for name, source in SOURCES.items() if source.licence.images == "closed"])
def test_closed_pictures_are_refused_with_the_term(name):
    checked = (name,) if SOURCES[name].licence.labels == "unsettled" else ()
    with pytest.raises(FerError) as err:
        judge({name: seen(), "rendered": seen()}, images="bytes", checked=checked)
    assert "--images bytes" in err.value.where
    assert SOURCES[name].licence.terms in err.value.problem


def test_open_pictures_may_go():
    assert judge({"rendered": seen()}, images="bytes") == []


def test_a_synthetic_release_in_a_closed_layout_is_open_and_says_so():
    terms = gate.terms_of(Census(sources={"rafdb": seen(synthetic=True, licence="CC0-1.0")}), SOURCES)["rafdb"]
    assert (terms.images, terms.labels, terms.synthetic, terms.licence) == ("open", "open", True, "CC0-1.0")
    assert judge({"rafdb": seen(synthetic=True)}, images="bytes") == []


def test_a_source_without_a_manifest_has_no_known_licence():
    with pytest.raises(FerError, match="source rafbd: its licence is not known") as err:
        judge({"rafbd": seen()})
    assert "did you mean 'rafdb'" in err.value.hint


def test_a_word_for_a_source_that_takes_no_part_is_a_slip():
    with pytest.raises(FerError, match="no row is of this source") as err:
        judge({"rafdb": seen()}, checked=("rafbd",))
    assert err.value.hint == "did you mean 'rafdb'?"


@pytest.mark.parametrize("column", sorted(gate.IDENTITY))
def test_nothing_that_tells_a_person_again_is_published(column):
    with pytest.raises(FerError, match=f"the column {column} can tell a person again"):
        judge({"rendered": seen()}, columns=("id", column))


@pytest.mark.parametrize("model", ["/home/me/models/qwen", "~/qwen", "C:\\models\\qwen"])
def test_a_model_named_by_a_path_is_not_published(model):
    with pytest.raises(FerError, match="name the model by a path"):
        judge({"rendered": seen()}, models=(model,))


def test_the_baselines_text_goes_only_where_it_is_asked_for():
    found = Census(sources={"rendered": seen()}, baseline=True)
    with pytest.raises(FerError, match="embedded geometry baseline"):
        gate.refuse("cot", ("id",), found, gate.terms_of(found, SOURCES), Asked())
    assert gate.refuse("cot", ("id",), found, gate.terms_of(found, SOURCES), Asked(baseline=True)) == []


def test_a_census_counts_a_row_of_two_pictures_once_for_each_source(home):
    table = shards.read_stream(shards.split_files(home / "fer-data/rlvr")["train"][0])
    at = table.schema.get_field_index("faces")
    faces = table["faces"].to_pylist()
    pairs = [[*one, *two] for one, two in zip(faces, [*faces[1:], faces[0]], strict=True)]
    found = Census()
    census._add_sources(
        found.sources, table.set_column(at, table.schema.field(at), pa.array(pairs, table["faces"].type))
    )
    want: dict[str, int] = {}
    for pair in pairs:
        for name in {face["source"] for face in pair}:
            want[name] = want.get(name, 0) + 1
    assert {name: one.rows for name, one in found.sources.items()} == want


def test_an_edition_holds_the_rows_without_pictures_and_no_drops(home):
    out, edition = make(home, "rlvr")
    local = [row | {"images": None} for row in rows_of(home / "fer-data/rlvr")]
    assert rows_of(out) == local
    assert not (out / "drops").exists() and not (out / "stage.json").exists()
    first, there = shards.split_files(out)["train"][0], shards.split_files(home / "fer-data/rlvr")["train"][0]
    assert shards.read_stream(first).schema == shards.read_stream(there).schema
    assert read(out) == edition
    assert edition.rows == {"train": len(local)} and edition.synthetic and not edition.checked
    assert edition.rows_in == edition.kept + sum(edition.dropped.values())


def test_an_edition_with_pictures_has_the_local_shards(home):
    out, edition = make(home, "ferbench", images="bytes")
    assert edition.shards == edition.local
    assert rows_of(out) == rows_of(home / "fer-data/ferbench")


def test_the_same_dataset_gives_the_same_bytes(home):
    out, _ = make(home, "rlvr")
    before = {name: (out / name).read_bytes() for name in sums.files(out)}
    make(home, "rlvr")
    assert {name: (out / name).read_bytes() for name in sums.files(out)} == before
    assert not any(path.name.startswith(".rlvr") for path in out.parent.iterdir())


def test_no_file_of_an_edition_names_this_machine(home):
    out, _ = make(home, "cot", baseline=True)
    for name in sums.files(out):
        data = (out / name).read_bytes()
        assert str(home).encode() not in data and socket.gethostname().encode() not in data


def test_sha256sum_accepts_the_sums(home):
    out, _ = make(home, "rlvr")
    assert subprocess.run(["sha256sum", "--check", "--quiet", "--strict", "SHA256SUMS"], cwd=out).returncode == 0
    assert set(sums.read(out)) | {"SHA256SUMS"} == set(sums.files(out))


def test_the_baselines_rationales_are_marked(home):
    out, edition = make(home, "cot", baseline=True)
    assert edition.baseline and edition.teacher is not None and edition.teacher.baseline
    assert all(row["baseline"] for row in rows_of(out))
    with pytest.raises(FerError, match="say --baseline"):
        make(home, "cot")


def test_datasets_reads_an_edition(home, tmp_path):
    import datasets

    out, edition = make(home, "rlvr")
    for found in (datasets.load_dataset(str(out), cache_dir=str(tmp_path)), datasets.load_from_disk(str(out))):
        assert {split: len(rows) for split, rows in found.items()} == edition.rows
        assert found["train"][0]["images"] is None and found["train"][0]["faces"][0]["rel_path"]


def test_datasets_3_reads_an_edition(home, tmp_path):
    legacy = REPO / ".venv-datasets3" / "bin" / "python"
    if not legacy.exists():
        pytest.skip(f"no {legacy}: `make test` builds it where it can be installed")
    out, edition = make(home, "rlvr")
    script = (
        "import sys, datasets\n"
        "for found in (datasets.load_dataset(sys.argv[1]), datasets.load_from_disk(sys.argv[1])):\n"
        "    print(datasets.__version__, len(found['train']), found['train'][0]['images'])\n"
    )
    env = os.environ | {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([legacy, "-c", script, str(out)], capture_output=True, text=True, env=env)
    assert done.stdout == f"3.6.0 {edition.rows['train']} None\n" * 2, done.stderr


def test_an_unknown_dataset_is_guessed(home):
    with pytest.raises(FerError, match="did you mean 'ferbench'"):
        make(home, "ferbnch")


def test_what_is_not_built_or_stale_names_its_command(home, tmp_path):
    with pytest.raises(FerError, match=r"is not built \(run `fer-build cot --style direct` first\)"):
        make(home, "cot-direct")
    build = build_of(home)
    other = build.settings.recipe.model_copy(update={"shard_bytes": 10_000_000})
    stale = Build(replace(build.settings, recipe=other))
    with pytest.raises(FerError, match=r"is stale: .*\(run `fer-build rlvr` first\)"):
        making.make(stale, "rlvr", Asked())


@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_a_damaged_local_shard_is_not_published(demo, tmp_path, damage):
    home = project(demo, tmp_path)
    path = shards.split_files(home / "fer-data/rlvr")["train"][0]
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(FerError, match=r"is damaged: a shard is missing or cut \(run `fer-build rlvr` first\)"):
        make(home, "rlvr")
    assert not (home / "fer-data/edition/rlvr").exists()


def test_an_incomplete_dataset_is_not_published(demo, tmp_path):
    home = project(demo, tmp_path)
    mark = home / "fer-data/cot/stage.json"
    mark.write_text(json.dumps(json.loads(mark.read_text()) | {"complete": False}))
    with pytest.raises(FerError, match="still owes replies"):
        make(home, "cot", baseline=True)


def test_shards_grow_until_an_upload_is_one_commit(home, monkeypatch, caplog):
    monkeypatch.setattr(making, "MOST_FILES", making.OTHER_FILES + 2 + 1)
    build = build_of(home)
    size = making.shards.roomy(shards.split_files(home / "fer-data/rlvr"), 1000, census.weigh_without_pictures, 2)
    assert size > 1000 and size % 1000 == 0
    monkeypatch.setattr(making.shards, "roomy", lambda files, wanted, weigh, most: wanted * 2**most)
    making.make(build, "rlvr", Asked())
    assert "an upload has fewer than" in caplog.text


def test_a_folder_of_somebody_else_is_left_alone(demo, tmp_path):
    home = project(demo, tmp_path)
    theirs = home / "fer-data/edition/rlvr/thesis.txt"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("mine")
    with pytest.raises(FerError, match="was not made by fer-build"):
        make(home, "rlvr")
    assert theirs.read_text() == "mine"


def test_a_run_killed_in_the_middle_leaves_nothing_that_looks_whole(demo, tmp_path):
    home = project(demo, tmp_path)
    script = (
        "import os, sys\n"
        "from test_publish import make\n"
        "from pathlib import Path\n"
        "from ferbuild.builders.publishing import making\n"
        "making.sums.write = lambda folder: os._exit(9)\n"
        "make(Path(sys.argv[1]), 'rlvr')\n"
    )
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    assert subprocess.run([sys.executable, "-c", script, str(home)], env=env).returncode == 9
    assert [path.name for path in (home / "fer-data/edition").iterdir()] == [".rlvr.new"]
    assert not (home / "fer-data/edition/.rlvr.new/SHA256SUMS").exists()
    out, _ = make(home, "rlvr")
    assert [path.name for path in out.parent.iterdir()] == ["rlvr"]


def test_a_full_disk_leaves_the_earlier_edition(demo, tmp_path):
    """A file size limit plays the full disk: the kernel refuses the write just the same."""
    home = project(demo, tmp_path)
    out, before = make(home, "rlvr")
    script = f"ulimit -f 40; exec {Path(sys.executable).with_name('fer-build')} publish rlvr --json"
    done = subprocess.run(["bash", "-c", script], cwd=home, capture_output=True, text=True)
    assert done.returncode == 2 and "File too large" in json.loads(done.stdout)["error"]["problem"]
    assert read(out) == before


def test_releases_that_are_no_synthetic_ones_meet_the_gate(demo, tmp_path):
    home = project(demo, tmp_path)
    for mark in home.glob("releases/**/RELEASE.yaml"):
        mark.write_text(yaml.safe_dump(yaml.safe_load(mark.read_text()) | {"synthetic": False}))
    ran = fer_build("publish", "rlvr", "--json", cwd=home)
    assert ran.code == 2 and "is stale" in ran.json["error"]["problem"]
    assert fer_build("rlvr", cwd=home).code == 0
    ran = fer_build("publish", "rlvr", "--json", cwd=home)
    flags = [word for name in ("affectnet", "rafdb", "sfew") for word in ("--i-have-checked", name)]
    assert ran.code == 2 and ran.json["error"]["hint"].endswith(" ".join(flags))
    ran = fer_build("publish", "rlvr", *flags, "--images", "bytes", "--json", cwd=home)
    assert ran.code == 2 and "forbid copying, publishing or passing on any portion" in ran.json["error"]["problem"]
    ran = fer_build("publish", "rlvr", *flags, "--json", cwd=home)
    assert ran.code == 0, ran.err
    assert "on your own word" in ran.err
    edition = read(home / "fer-data/edition/rlvr")
    assert edition.checked == ["affectnet", "rafdb", "sfew"] and not edition.synthetic
    assert edition.sources["ferplus"].labels == "open" and edition.sources["rafdb"].images == "closed"
    assert all(row["images"] is None for row in rows_of(home / "fer-data/edition/rlvr"))


@pytest.mark.parametrize("fault", ["{", '{"form": 1}', "[]", '{"form": 2}'])
def test_a_damaged_edition_json_is_named(tmp_path, fault):
    (tmp_path / "edition.json").write_text(fault)
    with pytest.raises(FerError, match=r"edition\.json"):
        read(tmp_path)


def test_an_edition_cannot_name_files_outside_its_folder(home, tmp_path):
    _, edition = make(home, "rlvr")
    said = edition.as_json()
    said["local"] = {"../../data-00000-of-00001.arrow": next(iter(said["local"].values()))}
    (tmp_path / "edition.json").write_text(json.dumps(said))
    with pytest.raises(FerError, match="should match pattern"):
        read(tmp_path)


def test_pictures_that_are_left_out_leave_no_bytes(home):
    table = shards.read_stream(shards.split_files(home / "fer-data/rlvr")["train"][0])
    bare = census.without_pictures(table)
    assert bare.schema == table.schema and bare["images"].null_count == table.num_rows
    assert bare.drop_columns(["images"]).equals(table.drop_columns(["images"]))
    weights = [census.weigh_without_pictures(batch) for batch in table.to_batches()]
    assert 0 < sum(weights) < table.nbytes - pc.sum(pc.binary_length(
        pc.struct_field(pc.list_flatten(table["images"]), "bytes"))).as_py() + 1  # fmt: skip
