"""What is told of rationales: on replies whose figures can be worked out by hand, on the demo's texts and pictures."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml
from calibrated import MAYBE, YES, every_unit, measured, scored
from conftest import REPO, Demo
from hypothesis import given, settings
from hypothesis import strategies as st
from reasoned import FROWN, LABELS, SMILE, faces, row, table, thought

from ferbuild.builders import bench, lift, measure, shards, stage
from ferbuild.builders.build import Build
from ferbuild.builders.config import read_settings
from ferbuild.builders.evaluation import bench_measures, rationale
from ferbuild.builders.evaluation.answers import ANSWERS
from ferbuild.builders.evaluation.bench_measures import judge_all, judged_of, measure_batch, measure_bench
from ferbuild.builders.evaluation.clustered import NOTHING, Draws, Figure, quantile, ratio, share
from ferbuild.builders.evaluation.rationale import ABOUT, Rationales, as_json, partners, rationales
from ferbuild.builders.evaluation.reasoning import concluded, reasoning_of, replies
from ferbuild.builders.intervals import wilson
from ferbuild.builders.looking import FAILED
from ferbuild.builders.mark import read_mark
from ferbuild.builders.measures import MEASURES
from ferbuild.builders.nets import SHIPPED
from ferbuild.filters.grounding import read_claims
from ferbuild.filters.units import Judged
from ferbuild.manifests.load import load_calibration

FACES = "grounding rate", "contradicted", "coverage", "rationales judged", "lift"


def told(*rows: Mapping[str, Any], **options: Any) -> Rationales:
    return rationales(table(*rows), **{"resamples": 200} | options)


def value(found: Rationales, name: str) -> tuple[float | None, int]:
    return found.figures[name].value, found.figures[name].n


@pytest.mark.parametrize(
    ("reply", "reasoning"),
    [
        ("<think>a b</think><answer>fear</answer>", "<think>a b</think>"),
        ("a b <answer>fear</answer> because c", "a b "),
        ("<answer>fear</answer> because c", ""),
        ("<answer>fear</answer><think>a b</think>", "a b"),
        ("a b</think>\n<ANSWER>fear</ANSWER>", "a b</think>\n"),
        ("a <answer>fear</answer> wait: b <answer>anger</answer> c", "a <answer>fear</answer> wait: b "),
        ("<think></think><answer>fear</answer>", ""),
        ("fear", ""),
        ("**Fear.**", ""),
        ("<think>a b</think>\nfear", "<think>a b</think>"),
        ("it may be fear", "it may be fear"),
        ("<think>a b", "<think>a b"),
        ("a b <answer>fea", "a b "),
        ("", ""),
    ],
)
def test_reasoning_is_what_stands_before_the_answer(reply: str, reasoning: str) -> None:
    found = reasoning_of(reply, LABELS)
    assert found.text == reasoning
    assert reply[found.start : found.start + len(found.text)] == found.text


def test_a_text_that_is_all_answer_has_no_reasoning() -> None:
    assert reasoning_of("It is a kind of fear.", LABELS, bare=True).text == ""


@pytest.mark.parametrize(
    ("text", "given", "verdict"),
    [
        ("The brows are up. So the expression is surprise.", "surprise", "agrees"),
        ("The brows are up. So the expression is surprise.", "fear", "otherwise"),
        ("The brows are up and the mouth is open.", "surprise", "none"),
        ("It may be surprise or fear.", "surprise", "none"),
        ("So it is surprise or fear.", "surprise", "none"),
        ("So this is anger. Sadness would raise the inner brows.", "anger", "agrees"),
        ("So it is sadness. But fear fits as well.", "fear", "none"),
        ("So it looks like sadness. But I would go with fear.", "fear", "agrees"),
        ("So the face is angry.", "anger", "agrees"),
    ],
)
def test_what_a_reasoning_concludes(text: str, given: str, verdict: str) -> None:
    assert concluded(f"<think>{text}</think>", given, LABELS) == verdict


def test_good_rationales_agree_with_their_own_answer_and_with_no_other() -> None:
    cases = yaml.safe_load((REPO / "tests" / "trace_cases.yaml").read_text())["clean"]
    choices = [*LABELS, "contempt"]
    own = [concluded(case["text"], case["answer"], choices) for case in cases]
    assert own.count("agrees") >= 0.8 * len(cases)
    assert "otherwise" not in own
    for case, label in itertools.product(cases, choices):
        if label != case["answer"]:
            assert concluded(case["text"], label, choices) != "agrees"


def test_figures_of_the_texts_alone() -> None:
    found = told(
        row(0, thought("The lip corners are pulled up strongly. So it is happiness.")),
        row(1, thought("The brows are lowered. So it is anger.")),
        row(2, thought("The left brow is raised, and the mouth is open.")),
        row(3, "<answer>happiness</answer>"),
        row(4, "", error=True),
        row(5, [], error=False),
        row(6, ""),
        row(7, "Die Mundwinkel sind nach oben gezogen, und die Augen lachen mit. <answer>happiness</answer>"),
    )
    assert value(found, "without reasoning") == (2 / 6, 6)  # the bare label and the empty reply
    assert value(found, "in English") == (3 / 4, 4)
    assert value(found, "words, median") == (10.0, 4)  # 8, 10, 10, 11
    assert value(found, "words, 90th percentile") == (11.0, 4)
    assert value(found, "near copies") == (0.0, 4)
    assert value(found, "agrees with the answer") == (1 / 3, 3)
    assert value(found, "concludes otherwise") == (1 / 3, 3)
    assert value(found, "no conclusion") == (1 / 3, 3)
    assert value(found, "claims") == (4 / 3, 3)
    assert value(found, "regions") == (4 / 3, 3)
    assert value(found, "claims with a side") == (1 / 4, 4)
    assert value(found, "claims with a strength") == (1 / 4, 4)
    assert not set(FACES) & set(found.figures)
    assert found.notes == [rationale.UNREAD]


def test_only_answers_that_count_are_held_against_the_reasoning() -> None:
    said = "So it is happiness. "
    found = told(
        row(0, said + "<answer>happiness</answer>"),
        row(1, said + "<answer>joy and pride</answer>"),
        row(2, said),
        row(3, said + "<answer>fear</answer> no, <answer>happiness</answer>"),
    )
    assert value(found, "agrees with the answer") == (1.0, 2)


def test_labels_are_read_in_the_words_of_the_set() -> None:
    found = told(row(0, thought("So the face shows happiness.", "happy"), choices=["happy", "sad", "angry"]))
    assert value(found, "agrees with the answer") == (1.0, 1)


def test_a_template_is_seen_in_its_copies() -> None:
    long = (
        "The brows are {}, the eyes are open, the cheeks are flat, the lips are closed and the chin is at rest today."
    )
    copies = [thought(long.format(word)) for word in ("low", "low", "high")]
    found = told(*(row(at, text) for at, text in enumerate([*copies, thought(SMILE), thought(FROWN)])))
    assert value(found, "near copies") == (3 / 5, 5)


def test_of_several_samples_the_first_is_read() -> None:
    found = told(row(0, [thought(SMILE), thought(f"{SMILE} {FROWN} It is so."), ""]))
    assert value(found, "words, median") == (6.0, 1)
    assert found.notes == ["Of several samples a row the first was read.", rationale.UNREAD]


def test_nothing_said_gives_no_figure() -> None:
    found = told(row(0, "", error=True), judged={})
    assert set(found.figures.values()) == {NOTHING}
    assert list(found.figures) == list(ABOUT)
    assert as_json(found)["lift"] == {"value": None, "low": None, "high": None, "n": 0}


def test_claims_against_the_faces() -> None:
    """Of four claims on faces that are known two are borne out, one is denied, and one cannot be told."""
    judged = faces(f0={"AU12": YES}, f1={"AU4": MAYBE}, f2={"AU4": YES})
    found = told(
        row(0, thought(f"{SMILE} {FROWN}")), row(1, thought(FROWN)), row(2, thought(FROWN)),
        row(3, thought("It is so.")), row(4, thought(SMILE)), row(5, thought(SMILE), id=None),
        judged=judged,
    )  # fmt: skip
    assert value(found, "grounding rate") == (2 / 3, 3)
    assert value(found, "contradicted") == (1 / 3, 3)
    assert value(found, "coverage") == (3 / 5, 5)
    assert value(found, "rationales judged") == (2 / 5, 5)
    assert found.notes == [
        "Rationales of no known face, in no figure on faces: 1.",
        "Rationales of faces that cannot be judged, of which no claim is: 2.",
    ]


def test_what_is_said_of_the_own_face_alone_lifts() -> None:
    judged = faces(f0={"AU12": YES}, f1={"AU4": YES})
    found = told(row(0, thought(SMILE)), row(1, thought(FROWN)), judged=judged)
    assert value(found, "grounding rate") == (1.0, 2)
    assert value(found, "lift") == (1.0, 2)
    swapped = told(row(0, thought(FROWN)), row(1, thought(SMILE)), judged=judged)
    assert value(swapped, "lift") == (-1.0, 2)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.booleans(), min_size=2, max_size=12), st.integers(0, 5))
def test_what_is_said_of_every_face_lifts_nothing(smiles: list[bool], seed: int) -> None:
    judged = faces(**{f"f{at}": {"AU12": YES} if smile else {} for at, smile in enumerate(smiles)})
    found = told(*(row(at, thought(SMILE)) for at in range(len(smiles))), judged=judged, seed=seed, resamples=20)
    assert value(found, "grounding rate") == (pytest.approx(sum(smiles) / len(smiles)), len(smiles))
    assert value(found, "lift") == (0.0, len(smiles))


def test_the_other_face_is_of_the_same_set_and_label_and_of_another_clip() -> None:
    judged = faces(**{f"f{at}": {} for at in range(8)})
    some = list(
        replies(
            table(
                row(0, SMILE), row(1, SMILE), row(2, SMILE, canonical="fear"), row(3, SMILE, set="ferplus"),
                row(4, SMILE, set="sfew", cluster="clip"), row(5, SMILE, set="sfew", cluster="clip"),
                row(8, SMILE), row(9, SMILE, id=None),
            )
        )
    )  # fmt: skip
    assert partners(some, judged, 0) == {some[0].key: some[1].key, some[1].key: some[0].key}


def test_faces_without_a_place_in_the_calibration_are_left_out() -> None:
    rows = {"a": scored({}), "small": measured(eye_distance=5.0), "turned": measured(yaw=80.0), "none": {}}
    assert set(judge_all(rows, every_unit())) == {"a"}


def test_claims_are_read_in_as_many_as_are_asked_for() -> None:
    rows = [row(at, thought(f"{SMILE} {FROWN}" if at % 3 else SMILE)) for at in range(60)]
    found = told(*rows, most=20, seed=1)
    assert found.figures["claims"].n == 20
    assert found.figures["words, median"].n == 60
    assert found.notes[0] == "Claims were read in 20 of 60 rationales, which the seed drew."
    assert told(*rows[::-1], most=20, seed=1).figures["claims"].value == found.figures["claims"].value
    assert told(*rows, most=60).notes == [rationale.UNREAD]
    assert len({told(*rows, most=20, seed=seed).figures["claims"].value for seed in range(8)}) > 1


def test_the_same_seed_gives_the_same_figures() -> None:
    rows = [row(at, thought(SMILE if at % 3 else f"{FROWN} So it is anger.")) for at in range(30)]
    judged = faces(**{f"f{at}": {"AU12": YES} if at % 2 else {} for at in range(30)})
    one, same, other = (told(*rows, judged=judged, seed=seed) for seed in (3, 3, 4))
    assert as_json(one) == as_json(same)
    assert as_json(one) != as_json(other)
    assert {name: one.figures[name].value for name in ABOUT if name != "lift"} == {
        name: other.figures[name].value for name in ABOUT if name != "lift"
    }


def test_every_figure_is_described_and_its_value_lies_in_its_interval() -> None:
    rows = [row(at, thought(SMILE if at % 3 else f"{FROWN} So it is anger.")) for at in range(60)]
    judged = faces(**{f"f{at}": {"AU12": YES} if at % 2 else {} for at in range(60)})
    found = told(*rows, judged=judged)
    assert list(as_json(found)) == list(ABOUT)
    for name, one in as_json(found).items():
        assert one["low"] <= one["value"] <= one["high"], name


def test_a_ratio_and_its_interval_are_those_of_a_plain_bootstrap() -> None:
    rng = np.random.default_rng(2)
    whole = rng.integers(1, 6, 300)
    part = rng.binomial(whole, 0.7)
    clusters = [f"c{at // 3}" for at in range(300)]
    found = ratio(part.tolist(), whole.tolist(), clusters, Draws(0, 4000))
    assert found.value == part.sum() / whole.sum() and found.n == whole.sum()
    sums = np.stack([part, whole]).reshape(2, 100, 3).sum(-1)
    drawn = [sums[:, rng.integers(0, 100, 100)].sum(1) for _ in range(4000)]
    low, high = np.percentile([one / all_ for one, all_ in drawn], [2.5, 97.5])
    assert (found.low, found.high) == (pytest.approx(low, abs=0.006), pytest.approx(high, abs=0.006))


def test_clusters_widen_an_interval() -> None:
    flags = [at % 10 < 5 for at in range(200)]
    alone = share(flags, [str(at) for at in range(200)], Draws(0))
    held = share(flags, [str(at // 5) for at in range(200)], Draws(0))
    assert alone.value == held.value == 0.5
    width = (held.high or 0) - (held.low or 0)
    assert width > 2 * ((alone.high or 0) - (alone.low or 0))


@pytest.mark.parametrize("flag", [True, False])
def test_rows_that_all_say_the_same_have_an_interval_too(flag: bool) -> None:
    found = share([flag] * 12, [str(at // 2) for at in range(12)], Draws(0))
    assert found == Figure(float(flag), *wilson(float(flag), 6), 12)


def test_claims_that_are_all_borne_out_are_no_certainty() -> None:
    found = share([2, 0, 1, 3], list("abcc"), Draws(0), whole=[2, 0, 1, 3])
    assert found == Figure(1.0, *wilson(1.0, 2), 6)
    assert share([2, 0], list("ab"), Draws(0, 4000), whole=[2, 2]).value == 0.5


def test_nothing_has_no_figure() -> None:
    assert ratio([], [], [], Draws(0)) == ratio([0], [0], ["a"], Draws(0)) == quantile([], 0.5, [], Draws(0)) == NOTHING
    assert share([], [], Draws(0)) == NOTHING


def test_a_resample_without_anything_has_no_interval() -> None:
    assert ratio([1, 0], [1, 0], ["a", "b"], Draws(0)) == Figure(1.0, None, None, 1)


@settings(deadline=None)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=40), st.sampled_from([0.5, 0.9]))
def test_quantiles_are_values_that_are_there(values: list[int], at: float) -> None:
    found = quantile(values, at, [str(number) for number in range(len(values))], Draws(0, 20))
    assert found.value == np.quantile(values, at, method="inverted_cdf")
    assert found.n == len(values)


def demo_answers(demo: Demo) -> pa.Table:
    """Return the demo's chains of thought as though they were answers to a benchmark."""
    paths = shards.split_files(demo.work / "cot")["train"]
    names = ["id", "label", "canonical", "answer", "completion", "faces"]
    rows = [one for path in paths for one in shards.read_stream(path).select(names).to_pylist()]
    return table(
        *(
            row(
                at, one["completion"][0]["content"], set=one["faces"][0]["source"], id=one["id"],
                true_label=one["label"], canonical=one["canonical"], choices=[*dict.fromkeys([*LABELS, one["label"]])],
            )
            for at, one in enumerate(rows)
        )
    )  # fmt: skip


@pytest.fixture(scope="module")
def demo_judged(demo: Demo) -> dict[str, dict[str, Judged]]:
    mark = read_mark(demo.work / "measures")
    assert mark is not None
    ids = demo_answers(demo)["id"].to_pylist()
    return judge_all(measure.read_measures(demo.work / "measures", mark.key, "train", ids), load_calibration(None))


def test_the_demos_rationales_are_grounded_as_its_cot_stage_found(
    demo: Demo, demo_judged: dict[str, dict[str, Judged]]
) -> None:
    answers = demo_answers(demo)
    found = rationales(answers, judged=demo_judged, resamples=200)
    stored = lift.report([demo.work / "cot"])[0].total
    assert value(found, "grounding rate") == (stored.support, stored.supported + stored.contradicted)
    assert found.figures["coverage"].value == pytest.approx(1 - stored.not_judged / stored.claims)
    assert found.figures["claims"].value == pytest.approx(stored.claims / stored.rationales)
    assert value(found, "agrees with the answer") == (1.0, answers.num_rows)
    assert found.figures["without reasoning"].value == 0.0
    assert (found.figures["lift"].value or 0) > 0
    assert found.notes == []


def test_other_peoples_texts_are_worse_grounded(demo: Demo, demo_judged: dict[str, dict[str, Judged]]) -> None:
    """The same texts, each on the next face: a figure that does not fall for it measures nothing."""
    answers = demo_answers(demo)
    texts = answers["texts"].to_pylist()
    shifted = answers.set_column(
        answers.schema.get_field_index("texts"), ANSWERS.field("texts"), [texts[7:] + texts[:7]]
    )
    own, other = (rationales(one, judged=demo_judged, resamples=200).figures for one in (answers, shifted))
    assert (own["grounding rate"].low or 0) > (other["grounding rate"].high or 1)
    assert (own["lift"].low or 0) > (other["lift"].value or 0)


@pytest.fixture(scope="module")
def built(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """The demo's releases, with a work folder of its own in which the benchmark's measures are."""
    build = Build(read_settings(demo.config, work=tmp_path_factory.mktemp("work")))
    measure_bench(build, demo.work / "ferbench")
    return build


def bench_rows(demo: Demo) -> list[dict[str, Any]]:
    files = [path for paths in shards.split_files(demo.work / "ferbench").values() for path in paths]
    return [one for path in files for one in shards.read_stream(path).to_pylist()]


def test_every_picture_of_the_benchmark_is_measured_once(
    demo: Demo, built: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    ferbench = demo.work / "ferbench"
    out = built.settings.work / "ferbench-measures"
    tables = [shards.read_stream(path) for paths in shards.split_files(out).values() for path in paths]
    found = {one["id"]: one for part in tables for one in part.to_pylist()}
    rows = bench_rows(demo)
    assert list(found) == [one["id"] for one in rows]
    assert sum(one["measures"] is not None for one in found.values()) > 0.8 * len(rows)
    monkeypatch.setattr(bench_measures, "measure_picture", None)
    again = measure_bench(built, ferbench)
    assert (again.reused, again.kept, again.findings) == (True, len(rows), {})
    judged = judged_of(built, ferbench, [one["id"] for one in rows[:20]])
    assert 14 < len(judged) <= 20 and set(judged) <= {one["id"] for one in rows[:20]}


def test_questions_in_other_words_measure_nothing_anew(demo: Demo, built: Build, tmp_path: Path) -> None:
    """The key is that of the pictures: the benchmark with the published prompts has the same."""
    paths = shards.split_files(demo.work / "ferbench")
    for name, (path,) in paths.items():
        rows = [one | {"prompt_version": "file:other"} for one in shards.read_stream(path).to_pylist()]
        whole = pa.Table.from_pylist(rows, schema=shards.read_stream(path).schema)
        shards.write_stream(tmp_path / name / path.name, [whole], whole.schema)
    (tmp_path / "dataset_dict.json").write_text((demo.work / "ferbench" / "dataset_dict.json").read_text())
    same = bench_measures.plan(built, tmp_path)
    assert same.key == bench_measures.plan(built, demo.work / "ferbench").key
    assert stage.current(same) is not None


def test_a_picture_that_cannot_be_measured_is_kept_and_one_on_which_a_net_fails_is_told(
    demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(data: bytes, models: object) -> dict[str, Any]:
        raise ValueError("no such layer")

    whole = shards.slices(demo.work / "ferbench", 5)[0].read()
    rows = whole.to_pylist()
    rows[1]["images"] = None  # the file could not be read
    shards.write_stream(tmp_path / "data.arrow", [pa.Table.from_pylist(rows, schema=whole.schema)], whole.schema)
    piece = shards.Slice(tmp_path / "data.arrow", "rafdb", 0, 5)
    found = measure_batch(piece, by=SHIPPED, bases={})
    assert found.findings == {}
    assert found.kept["rafdb"].schema == MEASURES
    assert [one is None for one in found.kept["rafdb"]["faces_found"].to_pylist()] == [at == 1 for at in range(5)]
    monkeypatch.setattr(bench_measures, "measure_picture", fails)
    found = measure_batch(piece, by=SHIPPED, bases={})
    assert found.findings == {FAILED: 4}
    assert found.kept["rafdb"]["faces_found"].null_count == found.kept["rafdb"].num_rows == 5


def test_enlarged_pictures_are_measured_as_they_were(demo: Demo, tmp_path: Path) -> None:
    """A 48 pixel face, enlarged for models to see, must not be judged by the limits for large faces."""
    recipe = yaml.safe_load((REPO / "manifests" / "recipes" / "default.yaml").read_text())
    (tmp_path / "large.yaml").write_text(yaml.safe_dump({**recipe, "name": "large", "picture": {"enlarge_to": 224}}))
    config = yaml.safe_load(demo.config.read_text())
    roots = {name: str(demo.home / folder) for name, folder in config["sources"].items()}
    (tmp_path / "fer-build.yaml").write_text(yaml.safe_dump({**config, "sources": roots, "recipe": "large.yaml"}))
    build = Build(read_settings(tmp_path / "fer-build.yaml"))
    large = bench.run(build).out
    bases = bench_measures._bases(build)
    piece = next(one for one in shards.slices(large, 3) if one.split == "ferplus")
    shown = [one[0]["bytes"] for one in piece.read()["images"].to_pylist()]
    own = measure_batch(piece, by=SHIPPED, bases=bases).kept["ferplus"]["width"].to_pylist()
    assert own == [48, 48, 48]
    assert [pixels[:1] for pixels in shown] == [b"\xff"] * 3, "what models see is enlarged, and stored anew"
    assert measure_batch(piece, by=SHIPPED, bases={}).kept["ferplus"]["width"].to_pylist() == [224] * 3


def test_claims_of_the_reasoning_are_those_of_the_whole_reply() -> None:
    """Tags around it add nothing, so that the figures and the columns of `cot` speak of the same claims."""
    text = thought(f"{SMILE} {FROWN}")
    found = reasoning_of(text, LABELS)
    assert [one._replace(start=0, end=0) for one in read_claims(found.text)] == [
        one._replace(start=0, end=0) for one in read_claims(text)
    ]
