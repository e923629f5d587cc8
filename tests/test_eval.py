"""`fer-build eval` from end to end: a served model, baselines, files of results; what is told, written and kept."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from pathlib import Path

import pytest
from asked import served, stub
from conftest import fer_build
from trees import put

from ferbuild.builders import shards
from ferbuild.builders.evaluation.asking import Asking, requests
from ferbuild.builders.evaluation.variants import PLAIN, VARIANTS, Asked
from ferbuild.builders.images import decode
from ferbuild.filters import answer
from ferbuild.manifests.load import load_teacher

SETS = {"rafdb": 35, "ferplus": 24, "affectnet": 24, "sfew": 14}
MODEL = "Qwen/Qwen2.5-VL-7B-Instruct"


@pytest.fixture(scope="module")
def project(demo, tmp_path_factory) -> Path:
    """fer-build.yaml on the demo's releases, and a copy of its benchmark and faces: nothing of it is built again."""
    home = tmp_path_factory.mktemp("eval")
    roots = {name: str(demo.home / "releases" / name) for name in SETS}
    (home / "fer-build.yaml").write_text(json.dumps({"teacher": "qwen7b", "sources": roots}))
    for name in ("ferbench", "faces"):
        shutil.copytree(demo.work / name, home / "fer-data" / name)
    return home


@pytest.fixture(scope="module")
def noise(project, tmp_path_factory) -> Path:
    """What every picture of the benchmark shows, for a server that knows it."""
    labels = {}
    for piece in shards.slices(project / "fer-data" / "ferbench", 500):
        for row in piece.read().select(["images", "answer"]).to_pylist():
            if row["images"]:
                labels[hashlib.sha256(row["images"][0]["bytes"]).hexdigest()] = row["answer"]
    path = tmp_path_factory.mktemp("noise") / "labels.json"
    path.write_text(json.dumps(labels))
    return path


def ask(project, port, *words, model=MODEL):
    return fer_build("eval", "--endpoint", f"http://127.0.0.1:{port}/v1", "--model-id", model, *words, cwd=project)


def test_a_served_model_is_scored_and_nothing_is_asked_twice(project, tmp_path):
    log = tmp_path / "log"
    with stub(log, model=MODEL, say="<think>wide</think><answer>Happy.</answer>", usage="400,20") as port:
        ran = ask(project, port, "--json")
        again = ask(project, port, "--json")
    assert (ran.code, sum(served(log).values())) == (0, 97), ran.err
    found = ran.json
    assert {name: one["strict"]["n"] for name, one in found["sets"].items()} == SETS
    happy = {name: one["confusion"]["counts"] for name, one in found["sets"].items()}
    for name, counts in happy.items():
        labels = found["sets"][name]["labels"]
        column = next(at for at, label in enumerate(labels) if label.startswith("happ"))
        assert [sum(row) for row in counts] == [row[column] for row in counts]
        assert found["sets"][name]["strict"]["accuracy"] == pytest.approx(1 / len(labels), abs=1e-6)
        assert found["sets"][name]["official"]["accuracy"] == found["sets"][name]["strict"]["accuracy"]
    assert found["pooled"]["strict"]["n"] == 97 and found["pooled"]["tokens"] == {"read": 97 * 400, "written": 97 * 20}
    assert (found["model"], found["complete"], found["problems"]) == (MODEL.replace("/", "-"), True, [])
    assert "official-sfew" in found["sets"]["sfew"] and found["sets"]["ferplus"]["ceiling"]["n"] > 0
    assert found["disagreements"] == [] and again.json["reused"] and again.json["pooled"] == found["pooled"]
    out = Path(found["out"])
    assert {path.name for path in out.iterdir()} == {"result.json", "predictions.jsonl", "report.md", "index.html"}
    lines = [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]
    assert Counter(line["set"] for line in lines) == SETS and {line["outcome"] for line in lines} == {"ok"}
    assert {"set", "image_path", "true_label", "official", "strict", "outcome"} <= set(lines[0])
    assert "seconds" not in json.loads((out / "result.json").read_text())
    assert str(project) not in (out / "result.json").read_text()


def test_the_clips_and_groups_are_what_is_resampled(project):
    with stub(model="one", say="<answer>fear</answer>") as port:
        out = Path(ask(project, port, "--json", model="one").json["out"])
    clusters: dict[str, Counter[str]] = {}
    for line in map(json.loads, (out / "predictions.jsonl").read_text().splitlines()):
        clusters.setdefault(line["set"], Counter())[line["cluster"]] += 1
    assert not any("/" in name for name in clusters["sfew"])
    faces = {row["id"]: row["group_id"] for row in _rows(project / "fer-data" / "faces", ["id", "group_id"])}
    ids = [row["id"] for row in _rows(project / "fer-data" / "ferbench", ["id"], "rafdb")]
    assert set(clusters["rafdb"]) == {faces[one] for one in ids if one in faces} | (
        set(clusters["rafdb"]) - set(faces.values())
    )


def _rows(folder, columns, split=""):
    pieces = [piece for piece in shards.slices(folder, 500) if split in ("", piece.split)]
    return [row for piece in pieces for row in piece.read().select(columns).to_pylist()]


def test_what_the_server_fails_to_answer_is_an_error_and_is_asked_again(project):
    with stub(model="frail", faults=1.0, kinds="400", patience=99) as port:
        ran = ask(project, port, "--json", "--sets", "sfew", model="frail")
    assert ran.code in (1, 2), ran.err
    if ran.code == 1:
        sfew = ran.json["sets"]["sfew"]
        assert (sfew["strict"]["accuracy"], sfew["strict"]["n"], sfew["official"]["n"]) == (0.0, 14, 0)
        assert sfew["outcomes"]["error"] == 14 and not ran.json["complete"]
        assert [one["kind"] for one in ran.json["problems"]] == ["error"]
    with stub(model="frail", say="<answer>sad</answer>") as port:
        ran = ask(project, port, "--json", "--sets", "sfew", model="frail")
    assert (ran.code, ran.json["sets"]["sfew"]["outcomes"]["ok"]) == (0, 14)


def test_a_noisy_model_by_several_samples(project, noise):
    with stub(model="noisy", noise=noise, right="happiness=0.9") as port:
        ran = ask(project, port, "--json", "--samples", 4, "--sets", "rafdb", model="noisy")
    found = ran.json["sets"]["rafdb"]
    assert (ran.code, found["samples"], list(found["pass_at"])) == (0, 4, ["1", "2", "3", "4"]), ran.err
    rates = list(found["pass_at"].values())
    assert rates == sorted(rates) and rates[0] > 0.5 and found["strict"]["accuracy"] >= rates[0]
    bins = found["calibration"]["bins"]
    assert sum(one["n"] for one in bins) == found["strict"]["n"] - found["strict"]["unknown"]


def test_the_same_asked_otherwise(project, noise):
    """A server that looks the picture up knows it in the same bytes only: what changes them changes its answer."""
    with stub(model="same", say="<answer>happiness</answer>") as port:
        ran = ask(project, port, "--json", "--robust", "--sets", "rafdb", model="same")
    assert ran.code == 0, ran.err
    found = {one["variant"]: one for one in ran.json["robustness"]}
    assert list(found) == list(VARIANTS) and {one["flips"] for one in found.values()} == {0}
    assert {(one["rows"], one["left_out"], one["low"]) for one in found.values()} == {(35, 0, 0.0)}
    assert all(0.05 < one["high"] < 0.1 for one in found.values()), "none in 35 is no proof that none flips"
    wrong = ask(project, 9, "--variant", "ordr", "--sets", "rafdb", model="same")
    assert wrong.code == 2 and "did you mean 'order'" in wrong.err


def test_all_ways_of_asking_share_one_price_and_one_budget(project, tmp_path):
    """35 rows asked in six ways, $0.003 a reply: the estimate is of all, and the budget ends the fourth of them."""
    log, entry = tmp_path / "log", tmp_path / "priced.yaml"
    with stub(log, model="priced", say="<answer>anger</answer>", usage="100,20") as port:
        sampling = {"temperature": 0.0, "max_tokens": 20}
        entry.write_text(json.dumps(
            {"name": "priced", "kind": "http", "model": "priced", "endpoints": [f"http://127.0.0.1:{port}/v1"],
             "sampling": sampling, "prices": {"input": 10, "output": 100}}
        ))  # fmt: skip
        words = ("eval", "--model", entry, "--sets", "rafdb", "--robust", "--json")
        asked = fer_build(*words, "--estimate", cwd=project)
        assert (asked.code, asked.json["estimate"]["requests"], asked.json["estimate"]["left"]) == (0, 210, 210 - 24)
        assert sum(served(log).values()) == 24
        ran = fer_build(*words, "--budget", "0.3", cwd=project)
        assert 0.25 < sum(one["cost"] for one in ran.json["asked"]) <= 0.3, ran.err
        found = {one["variant"]: (one["rows"], one["left_out"]) for one in ran.json["robustness"]}
        assert found["again"] == found["order"] == (35, 0) and found["mirror"] == found["jpeg"] == (0, 35)
        assert found["words"][0] in range(1, 35) and (ran.code, ran.json["complete"]) == (1, False)
        whole = fer_build(*words, cwd=project)
    assert (whole.code, whole.json["complete"], sum(served(log).values())) == (0, True, 210), whole.err


def test_asked_again_no_sample_is_one_that_was_asked_before(project):
    table = shards.slices(project / "fer-data" / "ferbench", 500)[0].read()
    plain = Asking(load_teacher("qwen7b"), None, project / "none.sqlite", samples=3)
    asked, again = (list(requests(table, plain._replace(variant=name))) for name in (PLAIN, "again"))
    assert [one.sample for one in asked[:3]] == [0, 1, 2] and [one.sample for one in again[:3]] == [3, 4, 5]
    assert asked == [one._replace(sample=one.sample - 3) for one in again]


def test_one_model_against_another(project):
    words = ("--json", "--sets", "sfew")
    with stub(model="sad", say="<answer>sad</answer>") as port:
        one = ask(project, port, *words, model="sad").json
    with stub(model="fearful", say="<answer>fear</answer>") as port:
        ran = ask(project, port, *words, "--against", Path(one["out"]).parent, model="fearful")
        again = ask(project, port, *words, "--against", Path(ran.json["out"]).parent, model="fearful")
    (pair,) = ran.json["paired"]
    assert again.code == 0 and "paired" not in again.json, "with itself nothing is compared"
    assert (pair["other"], pair["set"], pair["n"], pair["difference"]) == ("sad", "sfew", 14, 0.0)
    assert pair["b"] == pair["c"] == 2 and pair["p"] == 1.0


def test_files_of_results(run, tmp_path):
    rows = [
        {
            "image_path": f"/RAF-DB/aligned/test_{at:04d}_aligned.jpg",
            "true_label": "anger",
            "prompt": "Which?",
            "candidate_labels": ["surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral"],
            "model_response": "<answer>anger</answer>" if at < 9 else "ERROR: out of memory",
            **({} if at < 9 else {"error": True}),
        }
        for at in range(100)
    ]
    (tmp_path / "rafdb_mine_results.json").write_text(json.dumps(rows))
    ran = run("eval", "--responses", "rafdb_mine_results.json", "--json", "--predictions", "lines.jsonl", "--out", "o")
    found = ran.json["sets"]["rafdb"]
    assert (found["official"]["accuracy"], found["official"]["n"]) == (1.0, 9)
    assert (found["strict"]["accuracy"], found["strict"]["n"], found["strict"]["unknown"]) == (0.09, 100, 91)
    kinds = {one["kind"]: one["count"] for one in ran.json["problems"]}
    assert ran.code == 1 and kinds == {"error": 91, "missing": 3068 - 100}
    lines = [json.loads(line) for line in (tmp_path / "lines.jsonl").read_text().splitlines()]
    assert Counter((line["official"], line["strict"], line["outcome"]) for line in lines) == {
        ("anger", "anger", "ok"): 9,
        (None, "unknown", "error"): 91,
    }
    assert (tmp_path / "o" / "index.html").exists() and not (tmp_path / "fer-data").exists()
    plain = run("eval", "--responses", "rafdb_mine_results.json")
    assert plain.code == 1 and "missing" in plain.out and "--out DIR" in plain.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--responses", "none.json"), "none.json: "),
        (("--endpoint", "http://127.0.0.1:9/v1", "--model-id", "x", "--sets", "rafbd"), "did you mean 'rafdb'"),
        (("--model-id", "x"), "no server is named"),
        (("--model", "qwen8b"), "did you mean"),
        (("--model", "majorty"), "did you mean 'majority'"),
        (("--model", "majority", "--samples", "3"), "always says the same"),
        (("--model", "geometry", "--endpoint", "http://127.0.0.1:9/v1"), "geometry answers without one"),
        (("--model", "majority", "--model-id", "x"), "majority answers without one"),
        (("--model", "majority", "--name", "x"), "is of files of results"),
        (("--model", "majority", "--against", "none"), "none: is no folder"),
        (("--responses", "none.json", "--model", "majority"), "scored as they are"),
        (("--responses", "none.json", "--samples", "3"), "scored as they are"),
        (("--responses", "none.json", "--pictures"), "needs the model and the pictures"),
        (("--endpoint", "http://127.0.0.1:9/v1", "--model-id", "x"), "127.0.0.1:9"),
    ],
)
def test_what_cannot_be_is_told_before_any_work(project, words, said):
    ran = fer_build("eval", *words, cwd=project)
    assert ran.code == 2 and said in ran.err, ran.err


def test_a_checkpoint_comes_with_the_line_that_serves_it(project, tmp_path):
    folder = tmp_path / "my model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    ran = fer_build("eval", "--model", folder, cwd=project)
    assert ran.code == 2 and f"vllm serve '{folder}' --max" in ran.err and f"--model-id '{folder}'" in ran.err


def test_a_picture_goes_to_nobody_elses_server(tmp_path):
    put(tmp_path / "sfew", "Val/Val_Aligned_Faces/Angry/film_000000001_00000001.png")
    (tmp_path / "fer-build.yaml").write_text(json.dumps({"sources": {"sfew": str(tmp_path / "sfew")}}))
    ran = fer_build("eval", "--endpoint", "https://models.invalid/v1", "--model-id", "x", cwd=tmp_path)
    assert ran.code == 2 and "may not be sent there" in ran.err and "--i-may-send" in ran.err


def test_every_variant_changes_one_thing(project):
    rows = _rows(project / "fer-data" / "ferbench", ["id", "images", "choices", "prompt"], "ferplus")
    plain = Asked(rows[0]["choices"], rows[0]["prompt"][0]["content"], rows[0]["images"][0]["bytes"])
    made = {name: change(plain, rows[0]["id"], 0) for name, change in VARIANTS.items()}
    assert made["again"] == plain and made["order"].image == plain.image == made["words"].image
    assert sorted(made["order"].choices) == sorted(plain.choices) != made["order"].choices
    assert ", ".join(made["order"].choices) in made["order"].prompt
    assert ", ".join(made["words"].choices) in made["words"].prompt and "happiness" in made["words"].choices
    for own, other in zip(plain.choices, made["words"].choices, strict=True):
        assert answer.read(f"<answer>{other}</answer>", plain.choices).label == own
    pixels = {name: decode(one.image, max_pixels=10**9) for name, one in made.items()}
    assert (pixels["mirror"][:, ::-1] == pixels["again"]).all() and made["mirror"].prompt == plain.prompt
    assert made["jpeg"].image[:2] == b"\xff\xd8" and pixels["jpeg"].shape == pixels["again"].shape
    others = [VARIANTS["order"](plain, row["id"], 0).choices for row in rows[:5]]
    assert len({tuple(one) for one in others}) > 1


def test_the_score_is_the_same_whatever_the_workers(project, tmp_path):
    folders = []
    for workers in (1, 2):
        ran = fer_build(
            "eval", "--model", "majority", "--workers", workers, "--out", tmp_path / str(workers), cwd=project
        )
        assert ran.code == 0, ran.err
        folders.append({path.name: path.read_bytes() for path in (tmp_path / str(workers)).iterdir()})
    assert folders[0] == folders[1]


def test_status_knows_what_was_scored(project):
    assert fer_build("eval", "--model", "majority", cwd=project).code == 0
    told = fer_build("status", "--json", cwd=project).json["stages"]
    assert told["eval/majority"]["state"] == "built"


def test_a_sheet_is_written_and_what_people_fill_in_is_told(project, tmp_path):
    with stub(model="talks", say="<think>The lip corners are pulled up.</think><answer>happiness</answer>") as port:
        ran = ask(project, port, "--json", "--sets", "rafdb", "--review", 6, "--rationales", model="talks")
    assert ran.code == 0 and ran.json["rationales"]["agrees with the answer"]["n"] > 0, ran.err
    assert ran.json["rationales"]["grounding rate"]["n"] > 0
    folder = Path(ran.json["out"]).with_name("review")
    head, *rows = (folder / "review.csv").read_text().splitlines()
    assert len(rows) == 6 and (folder / "review.html").exists()
    with stub(model="talks") as port:
        again = ask(project, port, "--sets", "rafdb", "--review", 6, "--out", tmp_path / "mine", model="talks")
    assert f"{tmp_path / 'mine-review' / 'review.html'}: the sheet" in again.out, again.err
    assert f"next: fer-build leaderboard {tmp_path}, " in again.out
    names = head.split(",")
    for reviewer, rate in (("ann", "4"), ("ben", "4")):
        filled = []
        for row in rows:
            cells = dict(zip(names, row.split(","), strict=True)) | {"reviewer": reviewer, "faithful 1-5": rate}
            filled.append(",".join(cells.values()))
        (tmp_path / f"{reviewer}.csv").write_text("\n".join([head, *filled]) + "\n")
    shutil.copy(tmp_path / "ann.csv", folder / "review.csv")
    rated = ask(project, 9, "--sets", "ferplus", "--review", 6, model="talks")
    assert rated.code == 2 and "holds ratings" in rated.err, "told before anybody is asked"
    told = fer_build("eval", "--reviewed", "ann.csv", "--reviewed", "ben.csv", cwd=tmp_path)
    assert told.code == 0 and "6 rationales, rated by ann, ben" in told.out and "4.00" in told.out, told.err
    both = fer_build("eval", "--reviewed", "ann.csv", "--reviewed", "ben.csv", "--json", cwd=tmp_path).json
    assert both["reviews"]["faithful"]["value"] == 4 and list(both["reviews"]["kappa"]) == ["ann, ben"]
