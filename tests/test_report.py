"""The report of a work folder: every figure is what the shards and stage.json hold, whatever is missing or damaged."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from conftest import fer_build
from hypothesis import given
from hypothesis import strategies as st
from test_cot_samples import stored, two_of_three  # noqa: F401  a fixture is used by its name
from test_cot_served import project  # noqa: F401  likewise

from ferbuild.builders import shards
from ferbuild.builders.build import Build
from ferbuild.builders.config import read_settings
from ferbuild.builders.evaluation.page import place
from ferbuild.builders.mark import read_mark
from ferbuild.builders.record import CANONICAL, DROPS
from ferbuild.builders.replies import Attempt, Record, Reply, asking
from ferbuild.builders.reporting import asked, doubts, dropped, gather, pictures, texts, words
from ferbuild.builders.reporting.page import CONTENTS, coded, page
from ferbuild.builders.reporting.write import write

FOLDERS = {"faces": "faces", "measure": "measures", "cot": "cot", "rlvr": "rlvr", "bench": "ferbench"}
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)> \u202e{{ 7 * 7 }}"


def build_of(home: Path) -> Build:
    return Build(read_settings(home / "fer-build.yaml"))


@pytest.fixture(scope="module")
def found(demo) -> dict:
    return gather.gather(build_of(demo.home), demo.work / "report")


@pytest.fixture
def copy(demo, tmp_path) -> Path:
    """The demo's folder, to change: its releases are those of the demo."""
    home = tmp_path / "copy"
    shutil.copytree(demo.work, home / "fer-data")
    config = (demo.home / "fer-build.yaml").read_text().replace("releases/", f"{demo.home}/releases/")
    (home / "fer-build.yaml").write_text(config)
    return home


def rows_of(folder: Path, *names: str) -> list[dict]:
    files = [path for paths in shards.split_files(folder).values() for path in paths]
    return [row for path in files for row in shards.read_stream(path).select(list(names)).to_pylist()]


def drops_of(folder: Path) -> list[dict]:
    return [row for table in shards.read_drops(folder) for row in table.to_pylist()]


def test_every_stage_tells_what_its_own_file_says(demo, found) -> None:
    assert [one["stage"] for one in found["stages"]] == [*FOLDERS]
    for one in found["stages"]:
        mark = read_mark(demo.work / FOLDERS[one["stage"]])
        assert (one["in"], one["kept"], one["reasons"]) == (mark.rows_in, mark.kept, mark.dropped)
        assert one["in"] == one["kept"] + one["dropped"]
        assert (one["state"], one["faults"], one["unchecked"], one["key"]) == ("built", [], "", mark.key)
    assert found["problems"] == []


@pytest.mark.parametrize("stage", ["faces", "cot", "rlvr", "bench"])
def test_the_balance_counts_every_row_once(demo, found, stage) -> None:
    one, folder = found["balance"][stage], demo.work / FOLDERS[stage]
    labels = Counter(row["canonical"] for row in rows_of(folder, "canonical"))
    assert dict(zip(one["labels"], one["totals"], strict=True)) == labels
    assert one["labels"] == [label for label in CANONICAL if label in labels], "in the order that all datasets share"
    splits = Counter()
    for column in one["columns"]:
        assert column["rows"] == sum(column["counts"])
        splits[column["split"]] += column["rows"]
    assert splits == read_mark(folder).splits and one["rows"] == sum(splits.values())


def test_sources_are_those_of_the_pictures(demo, found) -> None:
    rows = Counter(row["faces"][0]["source"] for row in rows_of(demo.work / "cot", "faces"))
    assert {column["source"]: column["rows"] for column in found["balance"]["cot"]["columns"]} == rows


@pytest.mark.parametrize("stage", [*FOLDERS])
def test_the_drops_are_counted_and_shown_with_examples(demo, found, stage) -> None:
    one, rows = found["drops"][stage], drops_of(demo.work / FOLDERS[stage])
    assert {reason["reason"]: reason["rows"] for reason in one["reasons"]} == Counter(row["reason"] for row in rows)
    counts = [reason["rows"] for reason in one["reasons"]]
    assert counts == sorted(counts, reverse=True) and one["rows"] == len(rows)
    for reason in one["reasons"]:
        assert len(reason["examples"]) == min(dropped.EACH, reason["rows"]) and reason["meaning"]
        known = {row["id"]: row for row in rows if row["reason"] == reason["reason"]}
        for row in reason["examples"]:
            assert row["rel_path"] == known[row["id"]]["rel_path"] and row["label"] == known[row["id"]]["label"]


def test_the_agreement_is_over_all_replies_kept_and_dropped(demo, found) -> None:
    one, kept = found["agreement"]["cot"], rows_of(demo.work / "cot", "canonical", "answer")
    drops = drops_of(demo.work / "cot")
    assert one["answered"] == len(kept) + len(drops) == 264
    assert one["agreeing"] == len(kept) == sum(row["agreeing"] for row in one["classes"])
    grid = one["confusion"]
    assert sum(map(sum, grid["counts"])) == one["answered"]
    silent = sum("<answer>" not in row["detail"] for row in drops)
    assert sum(counts[-1] for counts in grid["counts"]) == silent == 14 and grid["answers"][-1] == "no answer"
    wrong = Counter(
        re.search("<answer>(.*)</answer>", row["detail"])[1] for row in drops if "<answer>" in row["detail"]
    )
    shared = {"happy": "happiness", "sad": "sadness", "angry": "anger"}
    said = Counter({shared.get(word, word): 0 for word in wrong})
    for word, count in wrong.items():
        said[shared.get(word, word)] += count
    columns = {answer: sum(counts[at] for counts in grid["counts"]) for at, answer in enumerate(grid["answers"][:-1])}
    agreed = Counter(row["canonical"] for row in kept)
    assert Counter(columns) == said + agreed
    for row in one["classes"]:
        assert 0 <= row["low"] <= row["share"] <= row["high"] <= 1
    table = read_mark(demo.work / "cot").tables["keep rate"]
    assert sum(cell["in"] for cell in one["keep_rates"]["source"]) == sum(cell["in"] for cell in table)
    assert sum(cell["kept"] for cell in one["keep_rates"]["size"]) == 62


def test_what_is_not_the_teachers_own_word_is_left_out(demo, copy) -> None:
    """Of a near copy the drop names another row, and nobody answered where the teacher gave up."""
    rows = drops_of(demo.work / "cot")
    rows[0] |= {"reason": "near copy of many others", "detail": rows[1]["id"]}
    rows[1] |= {"reason": "teacher gave up", "detail": "the next run asks again"}
    write_drops(copy / "fer-data" / "cot", rows)
    one = gather.gather(build_of(copy), copy)["agreement"]["cot"]
    assert one["answered"] == 262
    assert one["left_out"] == {"hinted": 0, "near copy of many others": 1, "teacher gave up": 1}


def test_the_rationales_are_measured_without_their_tags_and_answers(demo, found) -> None:
    one = found["rationales"]["cot"]
    said = [row["completion"][0]["content"] for row in rows_of(demo.work / "cot", "completion")]
    lengths = sorted(len(re.sub("<answer>.*?</answer>|<[^<>]*>", " ", text).split()) for text in said)
    teacher = one["teachers"][0]
    assert (teacher["least"], teacher["most"]) == (lengths[0], lengths[-1])
    assert teacher["mean"] == round(sum(lengths) / len(lengths), 1)
    for bar in teacher["histogram"]:
        assert bar["rows"] == sum(bar["from"] <= length <= bar["to"] for length in lengths)
    assert sum(row["rows"] for row in one["classes"]) == one["rationales"] == len(said)
    assert (one["styles"], one["hinted"], one["truncated"]) == ({"think": 62}, 0, 0)
    told = demo.result["grounding"][0]
    assert one["grounding"] == [told | {"dataset": "cot"}]


def test_duplicates_and_contamination_are_those_of_the_drops(demo, found) -> None:
    one, rows = found["duplicates"], drops_of(demo.work / "faces")
    reasons = Counter(row["reason"] for row in rows)
    assert one["dropped"] == {name: reasons[name] for name in ("near duplicate", "duplicate", "labels disagree")}
    shown = {row["id"]: row for row in rows if row["reason"].startswith("contaminates:")}
    assert one["contaminating"] == len(shown) == 3 and {pair["row"]["id"] for pair in one["pairs"]} == shown.keys()
    faces = {row["id"]: row for row in rows_of(demo.work / "faces", "id", "rel_path", "label")}
    for pair in one["pairs"]:
        gone = shown[pair["row"]["id"]]
        assert gone["reason"] == f"contaminates:ferbench/{pair['set']}" and gone["detail"] == pair["other"]["id"]
        assert pair["other"]["rel_path"] == faces[gone["detail"]]["rel_path"]
    for group in one["largest"]:
        assert group["size"] == len(group["members"]) and group["members"][0]["became"] == "kept"


def test_scores_lead_to_pages_that_are_there(demo, found) -> None:
    models = {one["model"]: one for one in found["scores"]["models"]}
    assert models.keys() == demo.result["eval"].keys()
    for name, one in models.items():
        assert one["accuracy"] == demo.result["eval"][name]["pooled"]["strict"]["accuracy"]
        assert (demo.work / "report" / one["page"]).resolve().is_file()
    shares = [one["accuracy"] for one in found["scores"]["models"]]
    assert shares == sorted(shares, reverse=True)


def test_versions_name_all_that_decides_the_bytes(demo, found) -> None:
    one = found["versions"]
    assert one["keys"] == {name: read_mark(demo.work / folder).key for name, folder in FOLDERS.items()}
    detectors = {row["detector"]["sha256"] for row in rows_of(demo.work / "measures", "detector") if row["detector"]}
    assert {row["sha256"] for row in one["models"] if row["use"] == "measured"} == detectors
    rows = rows_of(demo.work / "cot", "prompt_version", "grounding_version", "teacher", "sampling")
    assert {row["prompt_version"] for row in rows} == {
        row["version"] for row in one["prompts"] if row["dataset"] == "cot"
    }
    assert [(row["teacher"], row["sampling"]) for row in one["teachers"]] == [("geometry", "{}")]
    assert {row["source"]: row["label_rule"] for row in one["label_rules"]}["ferplus"] == "argmax8"
    assert {"pyarrow", "pillow", "opencv-python", "simplejpeg"} <= one["packages"].keys()


def test_a_baseline_is_asked_nothing_and_doubts_no_label(found) -> None:
    assert found["replies"]["absent"]["why"] == "no teacher was ever asked: nothing was paid for"
    assert found["suspects"]["cot"]["suspects"] is None and "baseline" in found["suspects"]["cot"]["why"]


# ---- the page


def test_the_demo_ends_with_its_report(demo) -> None:
    path = Path(demo.result["report"])
    assert path.resolve() == (demo.work / "report" / "index.html").resolve() and path.stat().st_size > 50_000


def test_the_page_needs_nothing_and_forbids_everything(demo) -> None:
    text = (demo.work / "report" / "index.html").read_text()
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    assert policy in text and "<script" not in text and "data:image" not in text
    assert not re.search(r"(?:src|href)=\"(?!#|\.\./eval/)", text)
    assert not re.search(r"https?://", text) and str(demo.home) not in text
    for name in CONTENTS:
        assert f'id="{name}"' in text and f'href="#{name}"' in text


def test_the_same_folder_gives_the_same_bytes_wherever_it_lies(demo, copy) -> None:
    first = write(build_of(copy)).page
    assert first.read_bytes() == (demo.work / "report" / "index.html").read_bytes()
    assert write(build_of(copy)).page.read_bytes() == first.read_bytes()


def test_json_says_what_the_page_shows(demo, found, tmp_path) -> None:
    ran = fer_build("report", "--config", demo.config, "--out", tmp_path / "r", "--json", cwd=tmp_path)
    assert (ran.code, ran.json["out"], ran.json["pictures"]) == (0, str(tmp_path / "r" / "index.html"), 0), ran.err
    more = ("out", "pictures", "scores")  # pages are elsewhere, seen from another folder
    assert {name: one for name, one in ran.json.items() if name not in more} == {
        name: one for name, one in found.items() if name not in more
    }
    text = (tmp_path / "r" / "index.html").read_text()
    for one in found["stages"]:
        assert f"{one['stage']}: {one['in']:,} in, {one['kept']:,} kept, {one['dropped']:,} dropped" in text
    for title in (words.agreeing, words.confused):
        assert title(found["agreement"]["cot"]) in text


def test_the_terminal_tells_the_counts_and_where_the_page_is(demo, tmp_path) -> None:
    ran = fer_build("report", "--config", demo.config, "--out", tmp_path / "r", cwd=tmp_path)
    assert ran.code == 0 and ran.out.rstrip().endswith(str(tmp_path / "r" / "index.html"))
    assert "in 264 = kept 62 + dropped 202" in ran.out


# ---- what is missing, stale or damaged


def test_nothing_built_is_said_with_what_to_do(run, tmp_path) -> None:
    ran = run("report", "--json")
    assert (ran.code, ran.json["error"]["problem"]) == (2, "nothing is built here yet")
    assert "fer-build demo" in ran.json["error"]["hint"] and not (tmp_path / "fer-data" / "report").exists()


def test_a_missing_stage_is_named_with_its_command(copy) -> None:
    work = copy / "fer-data"
    for folder in ("cot", "rlvr", "ferbench", "measures", "eval"):
        shutil.rmtree(work / folder)
    ran = fer_build("report", "--json", cwd=copy)
    assert (ran.code, ran.json["problems"]) == (0, []), ran.err
    states = {one["stage"]: (one["state"], one["command"]) for one in ran.json["stages"]}
    assert states["cot"] == ("missing", "fer-build cot") and states["bench"] == ("missing", "fer-build bench")
    assert ran.json["agreement"]["cot"]["absent"]["command"] == "fer-build cot"
    text = (work / "report" / "index.html").read_text()
    assert "Rlvr is not built." in text and "<code>fer-build rlvr</code>" in text and "fer-build eval" in text


def test_it_works_without_a_config_and_without_the_releases(copy) -> None:
    (copy / "fer-build.yaml").unlink()
    ran = fer_build("report", "--json", cwd=copy)
    assert ran.code == 0, ran.err
    assert {one["unchecked"] for one in ran.json["stages"]} == {"fer-build.yaml: no sources"}
    assert ran.json["agreement"]["cot"]["answered"] == 264, "the shipped manifests know the labels"
    assert "could not be told: fer-build.yaml: no sources" in (copy / "fer-data/report/index.html").read_text()


def test_a_stale_stage_is_told_and_nothing_is_built_for_it(copy) -> None:
    before = {path: path.read_bytes() for path in (copy / "fer-data").rglob("stage.json")}
    (copy / "fer-build.yaml").write_text((copy / "fer-build.yaml").read_text().replace("seed: 0", "seed: 1"))
    ran = fer_build("report", "--json", cwd=copy)
    states = {one["stage"]: one["state"] for one in ran.json["stages"]}
    assert ran.code == 0 and states["cot"] == "stale" and states["faces"] == "built"
    assert {path: path.read_bytes() for path in (copy / "fer-data").rglob("stage.json")} == before


def test_a_sum_that_does_not_hold_is_a_fault(copy) -> None:
    path = copy / "fer-data" / "cot" / "stage.json"
    path.write_text(path.read_text().replace('"kept": 62,\n  "dropped"', '"kept": 61,\n  "dropped"'))
    ran = fer_build("report", "--json", cwd=copy)
    faults = [one["problem"] for one in ran.json["problems"] if one["where"] == "cot"]
    assert ran.code == 1 and "in 264 is not kept 61 + dropped 202" in faults
    assert "kept 61 is not the 62 rows of its splits" in faults
    assert "does not hold" in (copy / "fer-data/report/index.html").read_text()


def test_drops_that_differ_from_the_count_are_a_fault(demo, copy) -> None:
    write_drops(copy / "fer-data" / "faces", drops_of(demo.work / "faces")[1:])
    ran = fer_build("report", "--json", cwd=copy)
    assert ran.code == 1
    assert [one["problem"] for one in ran.json["problems"]] == [
        "stage.json counts 27 drops, reason by reason, and the 26 that lie there are others"
    ]


def test_damaged_drops_are_named_and_the_rest_is_told(copy) -> None:
    path = copy / "fer-data" / "cot" / "drops" / "data-00000-of-00001.arrow"
    path.write_bytes(path.read_bytes()[:100])
    ran = fer_build("report", "--json", cwd=copy)
    assert ran.code == 1 and "Traceback" not in ran.err
    told = [one for one in ran.json["problems"] if one["where"] == "cot"]
    assert "cot/drops/data-00000-of-00001.arrow: cannot be read as a shard" in told[0]["problem"]
    assert "absent" in ran.json["drops"]["cot"] and ran.json["drops"]["faces"]["rows"] == 27
    assert "things to mend" in (copy / "fer-data/report/index.html").read_text()


def test_drops_that_are_gone_are_named(copy) -> None:
    shutil.rmtree(copy / "fer-data" / "faces" / "drops")
    ran = fer_build("report", "--json", cwd=copy)
    told = {one["where"]: one["problem"] for one in ran.json["problems"]}
    assert ran.code == 1 and told["duplicates"] == "drops: is missing, and with it what was dropped"
    assert "the 0 that lie there" in told["faces"]


def test_a_damaged_shard_is_named(copy) -> None:
    path = next((copy / "fer-data" / "rlvr" / "train").glob("*.arrow"))
    path.write_bytes(path.read_bytes()[:-20_000])
    ran = fer_build("report", "--json", cwd=copy)
    state = next(one for one in ran.json["stages"] if one["stage"] == "rlvr")
    assert (ran.code, state["state"], state["faults"]) == (1, "damaged", ["a shard is missing or cut"])
    assert "damaged" in ran.json["balance"]["rlvr"]["absent"]["why"] and ran.json["balance"]["cot"]["rows"] == 62


# ---- what files say is only text, and never too much of it


def write_drops(folder: Path, rows: list[dict]) -> None:
    shutil.rmtree(folder / "drops")
    table = pa.Table.from_pylist(rows, schema=DROPS)
    shards.write_stream(folder / "drops" / "data-00000-of-00001.arrow", [table], DROPS)


def test_hostile_text_is_escaped_everywhere(demo, copy) -> None:
    rows = drops_of(demo.work / "cot")
    for row in rows[:5]:
        row |= dict.fromkeys(("source", "rel_path", "label", "reason", "detail"), HOSTILE)
    write_drops(copy / "fer-data" / "cot", rows)
    text = write(build_of(copy)).page.read_text()
    assert "<script" not in text and "<img" not in text and "\u202e" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text and "{{ 7 * 7 }}" in text


@given(st.text(), st.text())
def test_code_in_meanings_is_escaped(before, inside) -> None:
    told = str(coded(f"{before}`{inside}`"))
    assert "<" not in told.replace("<code>", "").replace("</code>", "")


def test_the_page_stays_small_whatever_the_drops_hold(demo, copy) -> None:
    rows = drops_of(demo.work / "cot") * 3
    long = dict.fromkeys(("source", "rel_path", "label", "detail"), "&<\"'" * 5000)
    write_drops(
        copy / "fer-data" / "cot", [row | long | {"reason": f"{'&' * 900} {at}"} for at, row in enumerate(rows)]
    )
    written = write(build_of(copy))
    assert written.page.stat().st_size < 5_000_000
    one = written.found["drops"]["cot"]
    assert len(one["reasons"]) == dropped.REASONS and one["left_out"] == len(rows) - dropped.REASONS
    assert "rarer reasons left out" in written.page.read_text()


def test_examples_do_not_depend_on_order_or_shards(demo, copy) -> None:
    folder, rows = copy / "fer-data" / "cot", drops_of(demo.work / "cot")
    first = dropped.read(folder, 5).examples
    shutil.rmtree(folder / "drops")
    for at, some in enumerate((rows[100:], rows[:100][::-1])):
        path = folder / "drops" / f"data-{at:05d}-of-00002.arrow"
        shards.write_stream(path, [pa.Table.from_pylist(some, schema=DROPS)], DROPS)
    assert dropped.read(folder, 5).examples == first != dropped.read(folder, 6).examples


# ---- pictures


def test_pictures_are_shown_only_where_they_are_asked_for(demo, tmp_path) -> None:
    ran = fer_build("report", "--config", demo.config, "--out", tmp_path, "--pictures", "--json", cwd=tmp_path)
    text = (tmp_path / "index.html").read_text()
    assert ran.code == 0 and ran.json["pictures"] > 20
    assert len(set(re.findall(r'src="(data:image/jpeg;base64,[^"]+)"', text))) >= ran.json["pictures"] - 3
    assert "has to stay on this machine" in text and "people's faces" in " ".join(ran.err.split())
    pair = ran.json["duplicates"]["pairs"][0]
    for row in (pair["row"], pair["other"]):
        assert f'alt="Face of row {row["id"]}"' in text, "the dropped one from its release, the other from the shards"


def test_pictures_have_a_budget(demo, found, monkeypatch) -> None:
    every, none = pictures.of(build_of(demo.home), found)
    monkeypatch.setattr(pictures, "MOST_LETTERS", 20_000)
    some, left = pictures.of(build_of(demo.home), found)
    assert none == 0 and 0 < len(some) < len(every) and len(some) + left == len(every)
    assert sum(map(len, some.values())) <= 20_000
    assert f"{left:,} further pictures had no room" in page(found, some, without_room=left)


def test_pictures_of_kept_faces_are_shown_where_the_releases_are_elsewhere(copy) -> None:
    (copy / "fer-build.yaml").unlink()
    ran = fer_build("report", "--pictures", "--json", cwd=copy)
    assert ran.code == 0 and 0 < ran.json["pictures"] < 20


# ---- replies, suspects


def fill(path: Path, times: list[str], attempts: list[str] = ()) -> None:
    usage = {"prompt_tokens": 1_000_000, "completion_tokens": 100_000, "total_tokens": 1_100_000}
    got = [
        Record(
            f"{at:064x}", "mine", "m", Reply("x", "stop", "truncated" if at == 1 else "ok"), usage, 1000 * at, "", when
        )
        for at, when in enumerate(times)
    ]
    lost = [
        Attempt(f"{at:064x}", "mine", "m", "HTTP 429", "", json.dumps(usage), 5, "", when)
        for at, when in enumerate(attempts)
    ]
    with asking(path) as store:
        store.put(got, lost)


@pytest.fixture
def priced(tmp_path, copy) -> Path:
    entry = "kind: http\nmodel: m\nprices: {input: 2.0, output: 10.0}\n"
    (copy / "mine.yaml").write_text(entry)
    config = (copy / "fer-build.yaml").read_text()
    (copy / "fer-build.yaml").write_text(config.replace("teacher: geometry", f"teacher: {copy}/mine.yaml"))
    return copy


def test_replies_are_told_over_time_with_what_was_paid_for_nothing(priced) -> None:
    times = [f"2026-11-02T{hour:02d}:30:00.000+00:00" for hour in (9, 9, 12)]
    fill(priced / "fer-data" / "replies.sqlite", times, ["2026-11-02T11:59:59.999+00:00"])
    ran = fer_build("report", "--json", cwd=priced)
    one = ran.json["replies"]
    assert ran.code == 0 and one["requests"] == 3, ran.err
    teacher = one["teachers"][0]
    assert (teacher["outcomes"], teacher["faults"]) == ({"ok": 2, "truncated": 1}, {"HTTP 429": 1})
    assert (teacher["cost"], teacher["cost_fruitless"]) == (12.0, 3.0), "four times 2 dollars read and 1 written"
    assert teacher["latency_ms"] == {"p50": 1000, "p95": 1000}
    time = one["over_time"]
    assert (time["bin"], time["from"], time["to"]) == ("hour", "2026-11-02 09:30", "2026-11-02 12:30")
    assert [(bar["replies"], bar["fruitless"], bar["cost_until"]) for bar in time["bins"]] == [
        (2, 0, 6.0), (0, 0, 6.0), (0, 1, 9.0), (1, 0, 12.0),
    ]  # fmt: skip
    text = (priced / "fer-data/report/index.html").read_text()
    assert "At most 2 replies in an hour" in text and "$12.00" in text and "HTTP 429 1" in text


@pytest.mark.parametrize(
    ("last", "name", "bars"),
    [
        ("2026-11-02T09:00:30", "minute", 1),
        ("2026-11-02T10:59:59", "minute", 120),
        ("2026-11-02T11:00:00", "hour", 3),
        ("2026-11-20T09:00:00", "day", 19),
        ("2027-11-02T09:00:00", "week", 53),
        ("2046-11-02T09:00:00", "four weeks", 261),
    ],
)
def test_the_span_chooses_how_wide_a_bar_is(tmp_path, last, name, bars) -> None:
    fill(tmp_path / "replies.sqlite", [f"{at}.000+00:00" for at in ("2026-11-02T09:00:00", last)])
    time = asked.over_time(asked._read(tmp_path / "replies.sqlite", {})[0])
    assert (time["bin"], len(time["bins"])) == (name, bars)
    assert sum(bar["replies"] for bar in time["bins"]) == 2


def test_a_damaged_store_is_named(copy) -> None:
    (copy / "fer-data" / "replies.sqlite").write_bytes(b"no database at all" * 100)
    ran = fer_build("report", "--json", cwd=copy)
    assert ran.code == 1 and ran.json["problems"][0]["where"] == "replies"
    assert "replies.sqlite: the store of replies fails" in ran.json["problems"][0]["problem"]


@pytest.mark.network
def test_suspects_are_the_faces_on_which_samples_agree_otherwise(stored) -> None:  # noqa: F811
    stored.fill(two_of_three, samples=3)
    assert stored.cot("--samples", 3).code == 0
    ran = fer_build("report", "--json", cwd=stored.home)
    one = ran.json["suspects"]["cot"]
    told = fer_build("suspects", "--samples", 3, "--json", cwd=stored.home).json
    assert one["suspects"] == len(told["suspects"]) > 0 and one["looked_at"] == told["looked at"]
    assert [row["id"] for row in one["rows"]] == [row["id"] for row in told["suspects"]][: len(one["rows"])]
    assert all(row["share"] == 1.0 and row["label"] != row["teacher"] for row in one["rows"])
    assert ran.json["rationales"]["cot"]["not_grounded"].startswith("its claims were not checked")
    text = (stored.work / "report" / "index.html").read_text()
    assert "labels are called into question" in text and "annotators: " in text


def test_of_too_many_faces_a_command_tells(stored, monkeypatch) -> None:  # noqa: F811
    stored.fill(two_of_three, samples=3)
    assert stored.cot("--samples", 3).code == 0
    monkeypatch.setattr(doubts, "MOST", 1)
    build = Build(read_settings(stored.home / "fer-build.yaml"))
    one = doubts.of(build, read_mark(stored.work / "cot"))
    assert (one["suspects"], one["command"]) == (None, "fer-build suspects --out suspects.csv")
    assert "faces are too many" in one["why"]


# ---- words and bars


@given(st.integers(1, 10**9))
def test_an_axis_has_a_few_round_marks(most) -> None:
    marks = words.steps(most)
    assert 2 <= len(marks) <= 7 and marks[0] == 0 and most / 2 <= marks[-1] <= most
    assert all(0 <= float(place(mark / most)[:-1]) <= 100 for mark in marks)


@given(st.dictionaries(st.integers(0, 5_000), st.integers(1, 99), min_size=1))
def test_bars_and_quantiles_hold_every_rationale(lengths) -> None:
    known = dict(sorted(lengths.items()))
    width, bars = texts.histogram(known)
    assert sum(bar["rows"] for bar in bars) == sum(known.values()) and len(bars) <= max(texts.BARS, 11)
    assert bars[0]["rows"] and bars[-1]["rows"] and all(bar["to"] - bar["from"] == width - 1 for bar in bars)
    every = [length for length, count in known.items() for _ in range(count)]
    for share in texts.SHARES:
        found = texts.quantile(known, share)
        assert sum(one <= found for one in every) >= share * len(every) > sum(one < found for one in every)
