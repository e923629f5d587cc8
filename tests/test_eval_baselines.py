"""Baselines of `fer-build eval`: what each says of a row, what it learnt from, and what it refuses to do."""

from __future__ import annotations

import io
import json
import pickle
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tiny_onnx import mean_net

from ferbuild.builders import geometry, measures, nets, shards
from ferbuild.builders.align import TEMPLATE
from ferbuild.builders.build import Build
from ferbuild.builders.config import Settings, read_settings
from ferbuild.builders.detect import Detection
from ferbuild.builders.errors import FerError
from ferbuild.builders.evaluation import gradients, linear, probe
from ferbuild.builders.evaluation.baselines import Geometry, Majority, program_of
from ferbuild.builders.evaluation.classifier import Classifier, open_classifier
from ferbuild.builders.evaluation.linear import Linear
from ferbuild.builders.evaluation.posed import best, posed, said, spoken
from ferbuild.builders.evaluation.probe import Probe, as_faced
from ferbuild.builders.files import file_sha256
from ferbuild.builders.record import CANONICAL, FERBENCH
from ferbuild.filters import answer
from ferbuild.manifests.load import load_calibration

SETS = ("rafdb", "ferplus", "affectnet", "sfew")
EIGHT = ["neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt"]
RED, GREEN, BLUE, WHITE = (250, 20, 10), (10, 250, 20), (20, 10, 250), (255, 255, 255)


def png(rgb: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.asarray(rgb, np.uint8)).save(out, "png")
    return out.getvalue()


def flat(colour: tuple[int, int, int], side: int = 40) -> bytes:
    return png(np.tile(np.array(colour, np.uint8), (side, side, 1)))


def bench(*rows: tuple[str, list[str], bytes | None]) -> pa.Table:
    """Return FERBENCH rows of (source, choices, picture)."""
    made = [
        {
            "id": f"{at}",
            "images": [{"bytes": picture, "path": "a.png"}] if picture else None,
            "choices": choices,
            "answer": choices[0],
            "faces": [{"id": f"{at}", "source": source, "rel_path": f"{at}.png"}],
        }
        for at, (source, choices, picture) in enumerate(rows)
    ]
    return pa.Table.from_pylist(made, schema=FERBENCH)


def rows_of(work: Path, name: str) -> pa.Table:
    return shards.read_stream(shards.split_files(work / "ferbench")[name][0])


@pytest.fixture(scope="module")
def work(demo, tmp_path_factory) -> Path:
    """The demo's faces and benchmark in a work folder of this module's own."""
    folder = tmp_path_factory.mktemp("baselines") / "fer-data"
    for name in ("faces", "ferbench"):
        shutil.copytree(demo.work / name, folder / name)
    return folder


@pytest.fixture
def chosen(demo, work) -> Settings:
    return read_settings(demo.config, work=work)


@pytest.fixture
def build(chosen) -> Build:
    return Build(chosen)


def prepared(name: str, build: Build) -> Any:
    """Return a program as a worker process gets it."""
    program = program_of(name, build)
    assert program is not None
    program.prepare(build)
    return pickle.loads(pickle.dumps(program))


def right(texts: list[str], rows: pa.Table) -> int:
    """Count the texts that the shared parser reads as the label."""
    readings = [answer.read(text, choices) for text, choices in zip(texts, rows["choices"].to_pylist(), strict=True)]
    return sum(
        one.status == "ok" and one.label == label
        for one, label in zip(readings, rows["answer"].to_pylist(), strict=True)
    )


# Words


@pytest.mark.parametrize(
    ("choices", "own", "expected"),
    [
        (["angry", "Happy"], {}, {"anger": "angry", "happiness": "Happy"}),
        (["afraid", "fear"], {}, {"fear": "afraid"}),
        (["joyful", "sad"], {"joyful": "happiness"}, {"happiness": "joyful", "sadness": "sad"}),
        (["angrily disgusted"], {}, {"angrily disgusted": "angrily disgusted"}),
    ],
)
def test_a_choice_stands_for_a_label(choices, own, expected):
    assert spoken(choices, own) == expected


def test_the_best_choice_is_told_in_the_sets_own_words():
    scores = {"anger": 0.5, "happiness": 0.2, "contempt": 0.9}
    assert best(scores, ["happy", "angry", "surprise"], {}) == "angry"
    assert best({"anger": 0.5, "fear": 0.5}, ["fear", "anger"], {}) == "fear"
    assert best(scores, ["surprise"], {}) is None
    assert said("angry") == "<answer>angry</answer>"
    assert answer.read(said(None), ["angry"]).status == "empty"


@given(st.permutations(CANONICAL), st.sampled_from(CANONICAL))
def test_what_is_said_is_read_as_it_is_meant(choices, label):
    text = said(best({label: 1.0}, choices, {}))
    assert answer.read(text, choices) == (label, "ok")


# Which name means what


def test_a_name_that_is_no_baseline_is_a_teachers(build, tmp_path):
    assert program_of("qwen7b", build) is None
    (tmp_path / "mine.yaml").write_text("kind: http\nmodel: m\n")
    assert program_of(str(tmp_path / "mine.yaml"), build) is None
    (tmp_path / "meshed.yaml").write_text("kind: geometry\n")
    found = program_of(str(tmp_path / "meshed.yaml"), build)
    assert isinstance(found, Geometry) and found.name == "meshed"


@pytest.mark.parametrize("name", ["majority", "geometry", "probe"])
def test_a_program_has_the_name_it_is_asked_for_by_and_a_version_that_json_holds(build, name):
    program = program_of(name, build)
    assert program.name == name
    assert json.loads(json.dumps(program.version)) == json.loads(json.dumps(program_of(name, build).version))
    assert program.version["baseline"] == name


def test_no_baseline_loads_scikit_learn_before_it_fits():
    script = "import sys, ferbuild.builders.evaluation.baselines\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"sklearn", "pandas", "torch"} & set(done.stdout.split())


# Majority


def counts(build: Build, source: str) -> Counter[str]:
    listing = next(one for one in build.listings if one.source.name == source)
    return Counter(row["canonical"] for row in listing.rows.to_pylist() if row["split"] == "train")


def test_the_majority_is_the_commonest_label_of_the_training_faces(build):
    program = prepared("majority", build)
    for source, label in program.labels.items():
        seen = counts(build, source)
        assert seen[label] == max(seen.values())
        ties = [word for word in seen if seen[word] == seen[label]]
        manifest = next(r.source for r in build.settings.releases if r.source.name == source)
        order = [manifest.canonical.get(word, word) for word in manifest.candidates]
        assert label == min(ties, key=order.index)
    assert set(program.labels) == set(SETS)


def test_the_majority_says_one_word_a_set(build, work):
    program = prepared("majority", build)
    words = {name: {*program.answer(rows_of(work, name))} for name in SETS}
    assert words == {
        "rafdb": {"<answer>anger</answer>"},
        "ferplus": {"<answer>happy</answer>"},
        "affectnet": {"<answer>happiness</answer>"},
        "sfew": {"<answer>happy</answer>"},
    }
    assert [right(program.answer(rows_of(work, name)), rows_of(work, name)) for name in SETS] == [5, 3, 3, 2]


def test_a_source_without_training_faces_has_no_majority(build, caplog):
    program = Majority({"rafdb": "fear"}, {"rafdb": {}, "sfew": {}})
    program.prepare(build)
    assert "sfew: has no training faces" in caplog.text
    with pytest.raises(FerError, match="sfew: has no training faces") as caught:
        program.answer(bench(("rafdb", EIGHT, None), ("sfew", EIGHT, None)))
    assert "--sets" in caught.value.hint
    with pytest.raises(FerError, match="has no training faces"):
        Majority({}, {"rafdb": {}, "sfew": {}}).prepare(build)


def test_a_benchmark_split_is_nobodys_training_split(build):
    """A manifest whose benchmark is its training split has none to learn from."""
    listing = build.listings[0]
    marked = listing.source.benchmark.model_copy(update={"split": "train"})
    source = listing.source.model_copy(update={"benchmark": marked})
    release = replace(build.settings.releases[0], source=source)
    closed = Build(replace(build.settings, releases=(release, *build.settings.releases[1:])))
    closed.__dict__["listings"] = (replace(listing, source=source), *build.listings[1:])
    assert set(program_of("majority", closed).labels) == set(SETS) - {source.name}


# Geometry


def test_geometry_says_what_the_teacher_would_say_of_the_picture(build, work):
    program = prepared("geometry", build)
    rows = rows_of(work, "sfew").slice(0, 4)
    models = nets.opened(program.nets)
    expected = [
        geometry.answer(measures.measure_picture(one.picture, models), one.choices, load_calibration())
        for one in posed(rows)
    ]
    assert program.answer(rows) == expected
    assert all("<think>" in text for text in expected)


def test_geometry_says_nothing_where_there_is_no_face(build):
    program = prepared("geometry", build)
    assert (
        program.answer(bench(("sfew", EIGHT, flat(GREEN)), ("sfew", EIGHT, None), ("sfew", EIGHT, b"GIF"))) == [""] * 3
    )


# What the probe sees


def test_gradients_are_those_of_scikit_image():
    feature = pytest.importorskip("skimage.feature", reason="scikit-image is of the extra [bench]")
    rng = np.random.default_rng(1)
    for grey in (rng.random((64, 64)), np.kron(rng.random((8, 8)), np.ones((8, 8))), np.tri(64)):
        found = feature.hog(grey, orientations=9, pixels_per_cell=(8, 8), cells_per_block=(2, 2), block_norm="L2-Hys")
        assert gradients.gradients(grey) == pytest.approx(found, abs=1e-6)


@pytest.mark.parametrize(("turn", "direction"), [(False, 0), (True, 4)])
def test_an_edge_has_its_direction(turn, direction):
    edge = np.zeros((64, 64))
    edge[:, 28:] = 1
    found = gradients.gradients(edge.T if turn else edge).reshape(7, 7, 2, 2, 9)
    found = found.transpose(1, 0, 3, 2, 4) if turn else found
    assert {*np.nonzero(found)[-1]} == {direction}
    assert {*np.nonzero(found.sum((0, 2, 3, 4)))[0]} == {2, 3}, "blocks that hold the column of cells at 24 to 32"
    assert found[0, 3, :, 0, direction] == pytest.approx(0.5**0.5, rel=1e-4)


@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_any_picture_is_described(width, height, seed):
    rgb = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    found = gradients.describe(rgb)
    assert found.shape == (gradients.COUNT,) and found.dtype == np.float32
    assert np.isfinite(found).all()


def test_a_plain_picture_shows_nothing():
    assert abs(gradients.describe(np.full((50, 50, 3), 77, np.uint8))).max() < 1e-9


def test_light_does_not_matter():
    rgb = np.random.default_rng(3).integers(0, 100, (64, 64, 3), dtype=np.uint8)
    brighter = gradients.describe((rgb + 100).astype(np.uint8))
    assert gradients.describe(rgb) == pytest.approx(brighter, abs=0.1)


# The linear model


def blobs(count: int, labels: int, *, apart: float = 3.0, seed: int = 0) -> tuple[Any, Any, Any]:
    """Return numbers, labels and places of faces around one middle a label."""
    rng = np.random.default_rng(seed)
    which = np.arange(count) % labels
    numbers = rng.normal(size=(count, 12)) + apart * rng.normal(size=(labels, 12))[which] + 50
    return numbers.astype(np.float32), np.array(CANONICAL)[which], np.arange(count) // labels


def guess(model: Linear, numbers: Any) -> list[str]:
    return [max(scores, key=scores.get) for scores in map(model.scores, numbers)]


@pytest.mark.parametrize("labels", [2, 3, 8])
def test_what_can_be_told_apart_is_told_apart(labels):
    numbers, names, places = blobs(240, labels, apart=6.0)
    before = numbers.copy()
    model = linear.fit(numbers, names, places)
    assert guess(model, before) == names.tolist()
    assert model.weights.shape == (labels, 12) and model.rows == 240
    assert model.strength in linear.STRENGTHS


def test_the_folded_model_is_scikit_learns():
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    numbers, names, places = blobs(200, 5, apart=0.5)
    before = numbers.copy()
    model = linear.fit(numbers, names, places)
    scaler = StandardScaler().fit(before)
    peer = LogisticRegression(C=model.strength, class_weight="balanced", max_iter=500)
    peer.fit(scaler.transform(before), names)
    odds = peer.decision_function(scaler.transform(before))
    for one, expected in zip(before, odds, strict=True):
        scores = model.scores(one)
        assert [scores[label] for label in peer.classes_] == pytest.approx(expected, abs=1e-3)


def test_a_rare_label_weighs_as_much_as_a_common_one():
    """Of two labels that cannot be told apart neither is said more often because it is common."""
    rng = np.random.default_rng(5)
    numbers = rng.normal(size=(2000, 6)).astype(np.float32)
    names = np.array(["fear"] * 100 + ["happiness"] * 1900)
    model = linear.fit(numbers.copy(), names, np.r_[np.arange(100), np.arange(1900)])
    share = np.mean([word == "fear" for word in guess(model, rng.normal(size=(2000, 6)).astype(np.float32))])
    assert 0.3 < share < 0.7


def test_with_too_few_faces_to_choose_by_the_strength_is_the_middle_one():
    assert linear.fit(*blobs(8, 2)).strength == linear.MIDDLE


def test_a_column_that_never_changes_is_no_trouble():
    numbers, names, places = blobs(60, 3)
    numbers[:, 4] = 7
    model = linear.fit(numbers, names, places)
    assert np.isfinite(model.weights).all() and not model.weights[:, 4].any()


def test_a_written_model_is_the_same_one(tmp_path):
    models = {"a.b": linear.fit(*blobs(60, 3)), "c": linear.fit(*blobs(80, 2, seed=1))}
    file = tmp_path / "eval" / "probe.npz"
    linear.write(file, "k1", models)
    first = file.read_bytes()
    found = linear.read(file, "k1")
    assert list(found) == ["a.b", "c"]
    for name, model in models.items():
        for one, other in zip(model, found[name], strict=True):
            assert np.array_equal(one, other)
    linear.write(file, "k1", models)
    assert file.read_bytes() == first
    assert linear.read(file, "k2") is None
    assert linear.read(tmp_path / "none.npz", "k1") is None
    for data in (b"", b"PK\x03\x04", first[:200], first[:-30], np.random.default_rng(0).bytes(500)):
        file.write_bytes(data)
        assert linear.read(file, "k1") is None


# The probe


RANKED = st.lists(
    st.tuples(st.integers(0, 2**64 - 1), st.sampled_from("abc")), max_size=60, unique_by=lambda one: one[0]
)


@given(RANKED, st.integers(1, 40))
def test_faces_are_drawn_as_evenly_as_there_are_faces(drawn, most):
    ranked = [(rank, label, at // 7, at % 7) for at, (rank, label) in enumerate(drawn)]
    given_most, probe.MOST = probe.MOST, most
    try:
        found = probe._evenly(ranked)
        assert found == probe._evenly(ranked[::-1])
    finally:
        probe.MOST = given_most
    assert len(found) == min(most, len(ranked))
    assert [one[:2] for one in found] == sorted(one[:2] for one in found)
    had, got = Counter(label for _, label, *_ in ranked), Counter(one.label for one in found)
    for label in had:
        assert sorted(one.place for one in found if one.label == label) == list(range(got[label]))
        for other in had:
            assert got[label] == had[label] or got[label] >= got[other] - 1


def test_a_benchmark_picture_becomes_the_face_that_training_has(build, work):
    """Byte for byte what the faces stage stores of the same picture: AffectNet's, which it cuts out, too."""
    how = probe._facings(build)
    stored = {}
    for split in ("validation", "test"):
        for file in shards.split_files(work / "faces")[split]:
            for row in shards.read_stream(file).select(["id", "image", "crop"]).to_pylist():
                stored[row["id"]] = row
    assert how["affectnet"].crop == "box"
    cut = 0
    for name in SETS:
        rows = rows_of(work, name)
        for one, row in zip(posed(rows), rows["id"].to_pylist(), strict=True):
            expected = probe.decode(stored[row]["image"]["bytes"], max_pixels=10**9)
            assert np.array_equal(as_faced(one.picture, one.box, how[name]), expected)
            cut += stored[row]["crop"] is not None
    assert cut == rows_of(work, "affectnet").num_rows


def test_a_box_that_misses_the_picture_leaves_all_of_it(build):
    how = probe._facings(build)["affectnet"]
    picture = np.arange(30 * 20 * 3, dtype=np.uint8).reshape(30, 20, 3)
    for box in ([100, 100, 120, 120], [5, 5, 5, 9], [float("nan")] * 4, None):
        assert np.array_equal(as_faced(png(picture), box, how), picture)
    inside = as_faced(png(picture), [4, 6, 14, 26], how)
    assert inside.shape == (20, 10, 3)


def test_the_probe_is_fitted_once(chosen, work, monkeypatch):
    (work / "eval" / "probe.npz").unlink(missing_ok=True)
    told = []
    program = prepared("probe", Build(chosen, tick=lambda *one: told.append(one), began=told.append))
    assert told[-1] == ("probe", 264, 264) and "probe" in told
    assert program.file == work / "eval" / "probe.npz"
    models = linear.read(program.file, program.key)
    assert {name: one.rows for name, one in models.items()} == {
        "rafdb": 98, "ferplus": 66, "affectnet": 64, "sfew": 36,
    }  # fmt: skip
    assert set(models["rafdb"].labels) == set(CANONICAL) - {"contempt"}
    texts = {name: program.answer(rows_of(work, name)) for name in SETS}
    for name, found in texts.items():
        readings = [answer.read(text, rows_of(work, name)["choices"][0].as_py()) for text in found]
        assert {one.status for one in readings} == {"ok"}
    assert right(texts["rafdb"], rows_of(work, "rafdb")) >= 11, "chance gives 5 of 35"

    before = program.file.read_bytes()
    monkeypatch.setattr(linear, "fit", lambda *_: pytest.fail("fitted again"))
    again = prepared("probe", Build(chosen))
    assert {name: again.answer(rows_of(work, name)) for name in SETS} == texts
    assert program.file.read_bytes() == before


def test_the_probe_does_not_depend_on_workers_or_on_the_rows_beside(chosen, work):
    program = prepared("probe", Build(chosen))
    before = program.file.read_bytes()
    program.file.unlink()
    prepared("probe", Build(replace(chosen, workers=2)))
    assert program.file.read_bytes() == before
    rows = rows_of(work, "sfew")
    one_by_one = [text for at in range(rows.num_rows) for text in program.answer(rows.slice(at, 1))]
    assert program.answer(rows) == one_by_one


def test_another_seed_or_a_damaged_file_is_fitted_anew(chosen):
    program = prepared("probe", Build(chosen))
    before = program.file.read_bytes()
    other = program_of("probe", Build(replace(chosen, seed=7)))
    assert other.version != program.version
    program.file.write_bytes(before[:1000])
    prepared("probe", Build(chosen))
    assert program.file.read_bytes() == before


def test_a_source_that_the_probe_could_not_learn_is_refused(chosen, tmp_path, monkeypatch):
    file = tmp_path / "probe.npz"
    linear.write(file, "k", {"rafdb": linear.fit(*blobs(60, 3))})
    program = Probe("k", file, {"rafdb": {}, "sfew": {}}, probe._facings(Build(chosen)))
    with pytest.raises(FerError, match="sfew: has no training faces"):
        program.answer(bench(("sfew", EIGHT, flat(RED))))
    assert program.answer(bench(("sfew", EIGHT, None))) == [""]
    with pytest.raises(FerError, match="is gone"):
        replace(program, key="other").answer(bench(("rafdb", EIGHT, flat(RED))))
    monkeypatch.setattr(probe, "_fit_all", lambda build: {})
    with pytest.raises(FerError, match="has no training faces"):
        replace(program, key="third").prepare(Build(chosen))


def test_boxes_on_enlarged_pictures_are_refused(chosen):
    recipe = chosen.recipe.model_copy(update={"picture": chosen.recipe.picture.model_copy(update={"enlarge_to": 224})})
    build = Build(replace(chosen, recipe=recipe))
    with pytest.raises(FerError, match="recipe default: enlarges the pictures of affectnet"):
        program_of("probe", build).prepare(build)


# Classifiers of the user's own


COLOURS = [[1.0, 0, 0], [0, 1, 0], [0, 0, 1]]
"""Three numbers: how red, how green and how blue a picture is."""
ENTRY = {
    "file": "net.onnx",
    "labels": ["angry", "happy", "Sad"],
    "input": {"width": 32, "height": 32},
    "crop": "none",
    "licence": "mine alone",
}


@pytest.fixture
def written(tmp_path):
    """Write a classifier's entry beside a net that tells colours apart."""
    mean_net(tmp_path / "net.onnx", COLOURS)

    def write(**changes: Any) -> str:
        path = tmp_path / "mine.yaml"
        open_classifier.cache_clear()
        path.write_text(json.dumps({name: value for name, value in (ENTRY | changes).items() if value is not None}))
        return str(path)

    return write


SEEN = bench(
    ("rafdb", EIGHT, flat(RED)),
    ("ferplus", ["sad", "happy", "angry"], flat(GREEN)),
    ("sfew", ["angry", "happy"], flat(BLUE)),
    ("sfew", ["fear", "surprise"], flat(RED)),
    ("affectnet", EIGHT, None),
)


def test_the_highest_number_among_the_choices_is_the_answer(build, written):
    program = prepared(written(), build)
    assert (type(program), program.name, program.nets) == (Classifier, "mine", None)
    assert program.answer(SEEN) == [
        "<answer>anger</answer>",
        "<answer>happy</answer>",
        "<answer>angry</answer>",  # sadness is highest and is not asked for; red is a little ahead of green here
        "",
        "",
    ]


def test_a_number_that_is_no_expression_is_passed_over(build, written):
    program = prepared(written(labels=["-", "contempt", "fearful"]), build)
    assert program.answer(SEEN)[:2] == ["<answer>contempt</answer>", ""]


def test_an_output_in_any_order_and_any_form(build, written):
    program = prepared(written(labels=["surprised", "Neutral", "disgust"]), build)
    texts = program.answer(bench(*(("rafdb", EIGHT, flat(colour)) for colour in (RED, GREEN, BLUE))))
    assert texts == ["<answer>surprise</answer>", "<answer>neutral</answer>", "<answer>disgust</answer>"]


@pytest.mark.parametrize("activation", ["none", "softmax", "sigmoid"])
def test_the_activation_changes_no_answer(build, written, activation):
    assert prepared(written(activation=activation), build).answer(SEEN)[0] == "<answer>anger</answer>"


def test_numbers_that_are_none_are_passed_over(build, written, tmp_path):
    path = written()
    mean_net(tmp_path / "net.onnx", [[-1.0, 0, 0], [0, 1, 0], [0, 0, -1]], last=("Log",))
    open_classifier.cache_clear()
    assert prepared(path, build).answer(SEEN)[:2] == ["<answer>happiness</answer>", "<answer>happy</answer>"]
    mean_net(tmp_path / "net.onnx", [[-1.0, 0, 0]] * 3, last=("Log",))
    open_classifier.cache_clear()
    assert prepared(path, build).answer(SEEN)[:2] == ["", ""]


class Finder:
    """A detector that finds a face at the left and a smaller one at the right, where the picture is wide."""

    def find(self, rgb: Any) -> list[Detection]:
        if rgb.shape[1] < 400:
            return []
        points = (TEMPLATE + 100).astype(np.float32)
        return [
            Detection(0.5, (320, 150, 340, 170), points + 200),
            Detection(0.4, (100, 100, 212, 212), points),
        ]


@pytest.mark.parametrize("crop", ["box", "points", {"by": "box", "margin": 0.0}])
def test_the_face_is_cut_out_as_the_entry_says(build, written, monkeypatch, crop):
    picture = np.tile(np.array(BLUE, np.uint8), (300, 400, 1))
    picture[100:212, 100:212] = RED
    picture[150:170, 320:340] = GREEN
    monkeypatch.setattr(nets, "some_of", lambda settings, names: nets.Nets((("centerface", Path("x")),)))
    monkeypatch.setattr(nets, "finder", lambda by: Finder())
    rows = bench(("rafdb", EIGHT, png(picture)), ("rafdb", EIGHT, flat(RED)))
    assert prepared(written(crop=crop), build).answer(rows) == ["<answer>anger</answer>", ""]
    assert prepared(written(crop="none"), build).answer(rows) == ["<answer>sadness</answer>", "<answer>anger</answer>"]


def test_a_net_that_fails_on_a_picture_leaves_that_one_blank(build, written, monkeypatch, caplog):
    class Broken(Finder):
        def find(self, rgb: Any) -> list[Detection]:
            raise RuntimeError("no kernel")

    monkeypatch.setattr(nets, "some_of", lambda settings, names: nets.SHIPPED)
    monkeypatch.setattr(nets, "finder", lambda by: Broken())
    assert prepared(written(crop="box"), build).answer(SEEN.slice(0, 2)) == ["", ""]
    assert caplog.text.count("nothing can be said of a picture of") == 2


def test_everything_that_changes_an_answer_is_in_the_version(build, written, tmp_path):
    first = program_of(written(about="x", terms="y"), build).version
    assert program_of(written(licence="other"), build).version == first
    assert first["sha256"] == file_sha256(tmp_path / "net.onnx")
    assert first["nets"] == {}
    changed = [
        {"labels": ["happy", "angry", "sad"]},
        {"input": {"width": 32, "height": 32, "colour": "bgr"}},
        {"crop": "box"},
    ]
    versions = [program_of(written(**one), build).version for one in changed]
    assert all(one != first for one in versions)
    assert set(versions[-1]["nets"]) == {"centerface"}
    path = written()
    mean_net(tmp_path / "net.onnx", COLOURS[::-1])
    open_classifier.cache_clear()
    assert program_of(path, build).version != first


@pytest.mark.parametrize(
    ("changes", "problem", "hint"),
    [
        ({"labels": ["angry", "hapy", "sad"]}, "labels: no expression is called 'hapy'", "did you mean 'happy'"),
        ({"labels": ["angry", "anger", "sad"]}, "labels: anger stands twice", "`-`"),
        ({"labels": ["angry", "sad"]}, "gives 3 numbers, `labels` names 2", "`-` for one that is none of the eight"),
        ({"labels": None}, r"mine\.yaml: labels: Field required", ""),
        ({"label": ["a"]}, "unknown key 'label'", "did you mean 'labels'"),
        ({"licence": None}, "licence: Field required", ""),
        ({"crop": "mesh"}, r"crop\.by", ""),
        ({"activation": "tanh"}, "activation", ""),
        ({"name": "probe"}, "bears the name probe, which the tool has", "another `name`"),
        ({"name": "qwen7b"}, "bears the name qwen7b", "another `name`"),
        ({"name": "a/b"}, "name: ", ""),
        ({"sha256": "0" * 64}, "has sha256", "correct `file` or `sha256`"),
        ({"file": "none.onnx"}, "cannot be read", ""),
        ({"output": "score"}, "has no output 'score'", "did you mean 'scores'"),
        ({"input": {"width": 48, "height": 48}}, "takes picture", "says 1 x 3 x 48 x 48"),
        ({"input": {"width": 32, "height": 32, "std": [0.1, 0.2]}}, r"input\.std has 2 numbers", "one, or 3"),
        ({"crop": "points", "input": {"width": 32, "height": 64}}, "an aligned face is square", "by: box"),
    ],
)
def test_an_entry_that_does_not_hold_together(build, written, changes, problem, hint):
    with pytest.raises(FerError, match=problem) as caught:
        program_of(written(**changes), build)
    assert hint in caught.value.hint
