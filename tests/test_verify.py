"""`fer-build verify`: whole folders pass, and a copy that breaks one promise fails by exactly the check meant."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import broken
import pyarrow as pa
import pytest
from conftest import fer_build
from hypothesis import given
from hypothesis import strategies as st

from ferbuild.builders import shards
from ferbuild.builders.config import read_settings
from ferbuild.builders.errors import FerError
from ferbuild.builders.publishing import sums, verifying
from ferbuild.builders.publishing.checks.answers import THOUGHT
from ferbuild.builders.publishing.checks.places import PLACE
from ferbuild.builders.publishing.edition import Terms, read
from ferbuild.builders.record import face_id
from ferbuild.filters.answer import read as read_answer

DATASETS = ("cot", "rlvr", "ferbench")


@pytest.fixture(scope="module")
def home(demo, tmp_path_factory) -> Path:
    """A copy of the demo, with an edition of every dataset: ferbench with its pictures, the others without."""
    home = tmp_path_factory.mktemp("published") / "home"
    shutil.copytree(demo.home, home)
    for dataset in DATASETS:
        images = "bytes" if dataset == "ferbench" else "none"
        ran = fer_build("publish", dataset, "--images", images, "--baseline", cwd=home)
        assert ran.code == 0, ran.err
    return home


@pytest.fixture
def around(home):
    return verifying.surroundings(read_settings(home / "fer-build.yaml"), workers=1, tick=None)


def copied(home: Path, name: str, folder: Path) -> Path:
    """A copy of `cot` or `edition/cot` to break."""
    out = folder / Path(name).name
    shutil.copytree(home / "fer-data" / name, out)
    return out


def failed(folder: Path, around) -> list[str]:
    return sorted({fault.check for fault in verifying.verify(folder, around).faults})


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("place", ["", "edition/"])
def test_the_demos_datasets_and_their_editions_pass(home, around, dataset, place):
    done = verifying.verify(home / "fer-data" / f"{place}{dataset}", around)
    assert done.faults == []
    left_out = {name for name, one in done.outcomes.items() if verifying.state(one) == "left out"}
    wanted = {"pixels"} if place and dataset != "ferbench" else set()
    wanted |= {"contamination"} if dataset == "ferbench" else set()
    wanted |= set() if place else {"sums", "croissant", "closed pictures"}
    assert left_out == wanted and done.rows > 0


def test_a_downloaded_copy_passes_where_nothing_else_is(home, tmp_path):
    folder = copied(home, "edition/ferbench", tmp_path)
    (folder / ".gitattributes").write_text("*.arrow filter=lfs\n")
    (folder / ".cache/huggingface").mkdir(parents=True)
    (folder / ".cache/huggingface/x.lock").write_text("")
    ran = fer_build("verify", folder, "--json", cwd=tmp_path)
    assert (ran.code, ran.json["faults"], ran.json["rows"]) == (0, [], 97)


def test_coreutils_accept_the_sums(home):
    for dataset in DATASETS:
        folder = home / "fer-data/edition" / dataset
        done = subprocess.run(["sha256sum", "--strict", "-c", sums.FILE], cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        assert len(done.stdout.splitlines()) == len(set(sums.files(folder)) - {sums.FILE})


def set_first(**values):
    return lambda rows: rows[0].update(values)


def set_face(**values):
    return lambda rows: rows[0]["faces"][0].update(values)


def renamed(source: str, path: str | None = None):
    """Change where the first row's picture comes from, its ids too."""

    def change(rows):
        face = rows[0]["faces"][0]
        face["source"] = source
        face["rel_path"] = path or face["rel_path"]
        face["id"] = rows[0]["id"] = face_id(face["source"], face["rel_path"], face["box"])

    return change


def swapped(rows):
    """Give the first row the picture of a row with another one."""
    other = next(row for row in rows if row["faces"][0]["pixel_hash"] != rows[0]["faces"][0]["pixel_hash"])
    rows[0]["images"] = other["images"]


def said(rows):
    rows[0]["completion"][0]["content"] = "<think>Brows are low.</think><answer>nothing of the kind</answer>"


def home_in_text(rows):
    rows[0]["prompt"][0]["content"] += " See /home/anna/faces/1.png."


LOCAL_ROWS = {
    "an id twice": ("rlvr", lambda rows: rows.__setitem__(1, rows[0]), "ids"),
    "no sha256": ("rlvr", set_face(sha256=None), "provenance"),
    "no label rule": ("cot", set_first(label_rule=None), "provenance"),
    "no prompt version": ("ferbench", set_first(prompt_version=""), "provenance"),
    "no teacher": ("cot", set_first(teacher=""), "provenance"),
    "no parameters": ("cot", set_first(sampling="hot"), "provenance"),
    "a model without a name": ("cot", set_first(baseline=False), "provenance"),
    "no verdicts": ("cot", set_first(verdicts=None), "provenance"),
    "another picture's path": ("rlvr", set_face(rel_path="elsewhere.png"), "provenance"),
    "no picture": ("ferbench", set_first(faces=[], images=None), "provenance"),
    "a home in a prompt": ("rlvr", home_in_text, "words"),
    "a picture called by its path": ("ferbench", lambda rows: rows[0]["images"][0].update(path="/tmp/a.png"), "words"),
    "another answer": ("rlvr", lambda rows: rows[0].update(solution="<answer>joy</answer>"), "answers"),
    "an unknown kind": ("rlvr", set_first(kind="riddle"), "answers"),
    "another rationale": ("cot", said, "answers"),
    "a label that is no choice": ("ferbench", set_first(answer="wrath"), "answers"),
    "an unknown source": ("cot", renamed("nobodys"), "licences"),
    "a benchmark's split": ("rlvr", set_face(split="test"), "contamination"),
    "another picture": ("ferbench", swapped, "pixels"),
    "no bytes": ("ferbench", lambda rows: rows[0]["images"][0].update(bytes=b""), "pixels"),
    "a picture cut short": (
        "ferbench",
        lambda rows: rows[0]["images"][0].update(bytes=rows[0]["images"][0]["bytes"][:200]),
        "pixels",
    ),
    "a lost row": ("rlvr", lambda rows: rows.pop(), "counts"),
}


@pytest.mark.parametrize(("dataset", "change", "check"), LOCAL_ROWS.values(), ids=LOCAL_ROWS)
def test_broken_rows_fail_by_the_check_that_is_meant(home, around, tmp_path, dataset, change, check):
    folder = copied(home, dataset, tmp_path)
    broken.rewrite(folder, change)
    assert failed(folder, around) == [check]


def unboxed(row) -> str:
    return face_id(row["source"], row["rel_path"], None)


def test_a_file_and_a_near_duplicate_of_the_benchmark_are_found(home, around, tmp_path):
    bench = shards.read_stream(broken.first_shard(home / "fer-data/ferbench"))["faces"][0].as_py()[0]
    drops = [row for table in shards.read_drops(home / "fer-data/faces") for row in table.to_pylist()]
    near = next(row for row in drops if row["reason"].startswith("contaminates:") and unboxed(row) == row["id"])
    for at, change in enumerate((set_face(sha256=bench["sha256"]), renamed(near["source"], near["rel_path"]))):
        (tmp_path / str(at)).mkdir()
        folder = copied(home, "rlvr", tmp_path / str(at))
        broken.rewrite(folder, lambda rows, change=change: change([row for row in rows if not row["faces"][0]["box"]]))
        faults = verifying.verify(folder, around).faults
        assert [(fault.check, fault.many) for fault in faults] == [("contamination", 1)]


def test_columns_that_do_not_belong_and_types_that_are_none(home, around, tmp_path):
    added = copied(home, "rlvr", tmp_path)
    broken.rewrite(added, set_first(face_embedding=[0.5]), more=pa.field("face_embedding", pa.list_(pa.float32())))
    faults = verifying.verify(added, around).faults
    assert [fault.check for fault in faults] == ["columns"] and "tell persons apart" in faults[0].problem
    broken.rewrite(added, lambda rows: None, less="face_embedding")
    assert failed(added, around) == []
    broken.rewrite(added, lambda rows: None, less="votes")
    done = verifying.verify(added, around)
    assert {fault.check for fault in done.faults} == {"schema"}
    assert done.outcomes["answers"].note == "not asked, since schema failed"


def test_a_shard_without_its_features(home, around, tmp_path):
    folder = copied(home, "ferbench", tmp_path)
    path = broken.first_shard(folder)
    table = shards.read_stream(path).replace_schema_metadata()
    with pa.OSFile(str(path) + ".new", "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    Path(f"{path}.new").replace(path)
    assert failed(folder, around) == ["features"]


def cut(path: Path, length: int) -> None:
    path.write_bytes(path.read_bytes()[:length])


LAYOUTS = {
    "a shard is gone": lambda folder: broken.first_shard(folder).unlink(),
    "a shard is cut": lambda folder: cut(broken.first_shard(folder), 2000),
    "a shard ends between two batches": lambda folder: cut(broken.first_shard(folder), -8),
    "a foreign shard": lambda folder: (folder / "other").mkdir() or (folder / "other/data.arrow").write_bytes(b""),
    "no state": lambda folder: next(folder.glob("*/state.json")).unlink(),
    "no list of splits": lambda folder: (folder / "dataset_dict.json").unlink(),
    "another split in the state": lambda folder: restate(folder, _split="other"),
}


def restate(folder: Path, **values) -> None:
    path = broken.first_shard(folder).with_name("state.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize("damage", LAYOUTS.values(), ids=LAYOUTS)
def test_a_damaged_folder_fails_by_its_layout_alone(home, around, tmp_path, damage):
    folder = copied(home, "ferbench", tmp_path)
    damage(folder)
    assert failed(folder, around) == ["layout"]


def test_shards_out_of_order(home, around, tmp_path):
    folder = copied(home, "rlvr", tmp_path)
    path = broken.first_shard(folder)
    table = shards.read_stream(path)
    schema = table.schema.remove_metadata()
    names = [f"data-0000{at}-of-00002.arrow" for at in range(2)]
    for at, name in enumerate(names):
        shards.write_stream(path.with_name(name), [table.slice(at * 100, 100 if at == 0 else None)], schema)
    path.unlink()
    broken.seal(folder)
    assert failed(folder, around) == []
    restate(folder, _data_files=[{"filename": name} for name in reversed(names)])
    assert failed(folder, around) == ["layout"]


def test_counts_that_do_not_add_up(home, around, tmp_path):
    for name in ("cot", "edition/cot"):
        folder = copied(home, name, tmp_path / name)
        broken.seal(folder, **{"rows_in" if "/" in name else "in": 265})
        assert failed(folder, around) == ["counts"]


def test_an_edited_card(home, around, tmp_path):
    for name in ("cot", "edition/cot"):
        folder = copied(home, name, tmp_path / name)
        card = folder / "README.md"
        card.write_text(card.read_text().replace("188", "18"))
        assert failed(folder, around) == ["card"]
        if "/" in name:
            sums.write(folder)
            assert failed(folder, around) == ["card"], "sums that were made again do not hide it"


def test_a_path_in_a_mark(home, around, tmp_path):
    folder = copied(home, "cot", tmp_path)
    broken.seal(folder, flags={"teacher": "/home/anna/mine.yaml"})
    assert failed(folder, around) == ["texts"]


def test_edited_croissant(home, around, tmp_path):
    folder = copied(home, "edition/rlvr", tmp_path)
    path = folder / "croissant.json"
    path.write_text(path.read_text().replace("1.0.0", "2.0.0"))
    sums.write(folder)
    assert failed(folder, around) == ["croissant"]


@pytest.mark.parametrize("how", ["other bytes", "not listed", "gone", "no sums", "a line of nothing"])
def test_sums_that_are_wrong(home, around, tmp_path, how):
    folder = copied(home, "edition/rlvr", tmp_path)
    state = broken.first_shard(folder).with_name("state.json")
    if how == "other bytes":
        state.write_text(state.read_text() + "\n")
    elif how == "no sums":
        (folder / sums.FILE).unlink()
    else:
        lines = (folder / sums.FILE).read_text().splitlines(keepends=True)
        more = {"not listed": lines[1:], "gone": [*lines, f"{'0' * 64}  more.txt\n"], "a line of nothing": ["x\n"]}
        (folder / sums.FILE).write_text("".join(more[how]))
    assert failed(folder, around) == ["sums"]


def test_a_picture_in_an_edition_without_pictures(home, around, tmp_path):
    folder = copied(home, "edition/rlvr", tmp_path)
    images = shards.read_stream(broken.first_shard(home / "fer-data/rlvr"))["images"][0].as_py()
    broken.rewrite(folder, set_first(images=images))
    assert failed(folder, around) == ["closed pictures"]


def as_photographs(folder: Path, around, **changes) -> None:
    """Have an edition's RAF-DB rows be no synthetic ones, and edition.json say what then holds."""
    folder_rows = lambda rows: [row.update(synthetic=False) for row in rows if row["faces"][0]["source"] == "rafdb"]  # noqa: E731
    broken.rewrite(folder, folder_rows)
    licence, said = around.sources["rafdb"].licence, read(folder)
    true = Terms(
        title=around.sources["rafdb"].title,
        licence=licence.name,
        terms=licence.terms,
        images=licence.images,
        labels=licence.labels,
        rows=said.sources["rafdb"].rows,
        label_rule="as labelled",
    )
    known = {"sources": {**said.sources, "rafdb": true}, "checked": ["rafdb"], "synthetic": False}
    broken.seal(folder, **(known | changes))


def test_a_picture_of_a_closed_source(home, around, tmp_path):
    folder = copied(home, "edition/ferbench", tmp_path)
    as_photographs(folder, around)
    faults = verifying.verify(folder, around).faults
    assert [(fault.check, fault.many) for fault in faults] == [("closed pictures", 35)]


def test_licences_that_are_misstated_or_unanswered_for(home, around, tmp_path):
    folder = copied(home, "edition/rlvr", tmp_path)
    before = read(folder).sources
    as_photographs(folder, around)
    assert failed(folder, around) == []
    broken.seal(folder, checked=[])
    assert failed(folder, around) == ["licences"]
    broken.seal(folder, checked=["rafdb"], sources=before)
    assert failed(folder, around) == ["licences"], "what an edition says of a source does not open it"
    broken.seal(folder, sources={name: one for name, one in before.items() if name != "sfew"})
    assert failed(folder, around) == ["counts", "licences"]


def test_a_baseline_that_is_not_told(home, around, tmp_path):
    folder = copied(home, "edition/cot", tmp_path)
    broken.seal(folder, baseline=False)
    assert failed(folder, around) == ["licences"]


def test_another_versions_card_is_held_against_its_sum(home, around, tmp_path):
    folder = copied(home, "edition/rlvr", tmp_path)
    broken.seal(folder, tool={"fer-build": "9.9"})
    (folder / "README.md").write_text("worded otherwise")
    sums.write(folder)
    done = verifying.verify(folder, around)
    assert done.faults == [] and "another version" in done.outcomes["card"].note
    (folder / "README.md").write_text("and edited")
    assert failed(folder, around) == ["card"]


def test_the_command_tells_what_is_wrong(home, tmp_path):
    folder = copied(home, "edition/rlvr", tmp_path)
    (folder / "README.md").write_text("mine")
    ran = fer_build("verify", folder, "--json", cwd=home)
    assert ran.code == 1
    fault = {"check": "card", "where": "README.md", "problem": "was edited, or is another build's", "count": 1}
    assert ran.json["faults"] == [fault | {"first": "README.md"}]
    ran = fer_build("verify", folder, cwd=home)
    assert ran.code == 1 and "card: README.md: was edited" in ran.out
    assert fer_build("verify", "rlvr", cwd=home).code == 0


@pytest.mark.parametrize(
    ("named", "problem"),
    [
        ("rlv", "is neither a dataset of the work folder nor a folder"),
        ("faces", "is of the stage faces, which is not verified"),
        ("releases", "says nothing of itself"),
    ],
)
def test_what_is_no_dataset_is_named(home, named, problem):
    ran = fer_build("verify", named, "--json", cwd=home)
    assert ran.code == 2 and ran.json["error"]["problem"] == problem


def test_a_damaged_edition_json_is_no_traceback(home, around, tmp_path):
    folder = copied(home, "edition/rlvr", tmp_path)
    (folder / "edition.json").write_text("{")
    with pytest.raises(FerError, match=r"edition\.json"):
        verifying.verify(folder, around)


@given(
    st.lists(st.sampled_from(["<think>", "</think>", "<answer>", "</answer>", "fear", "not ", "<", " "]), max_size=9)
)
def test_thinking_without_tags_never_decides_an_answer(parts):
    text = "".join(parts)
    short, whole = read_answer(re.sub(THOUGHT, "<think> </think>", text), ["fear"]), read_answer(text, ["fear"])
    assert (short.status == "ok", short.status == "ok" and short.label) == (
        whole.status == "ok",
        whole.status == "ok" and whole.label,
    )


@pytest.mark.parametrize("text", ["see /home/anna/x", "in (/mnt/faces/1.png)", r"C:\data\x", "~/faces", "file:///tmp"])
def test_places(text):
    assert PLACE.search(text)


@pytest.mark.parametrize(
    "text", ["and/or", "https://a.org/data/x", "/RAF-DB/aligned/test_0001.jpg", "fear/anger", "4:3 or 1/2", "AU4: low"]
)
def test_no_places(text):
    assert not PLACE.search(text)
