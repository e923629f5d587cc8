"""Rendered faces: the same bytes for the same scene, and a truth that the picture bears out."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import Ran
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ferbuild.builders.errors import FerError
from ferbuild.builders.measures import PRESENT, Models, load_models, measure_points, pose
from ferbuild.builders.record import CANONICAL
from ferbuild.builders.render import head as head_of
from ferbuild.builders.render import package, raster, release, texture, units
from ferbuild.builders.render.draw import BANDS, draw, draw_at, draw_several, draw_unit, label_units
from ferbuild.builders.render.head import Head, load_head
from ferbuild.builders.render.identity import AGES, draw_identity
from ferbuild.builders.render.jobs import plan
from ferbuild.builders.render.picture import Rendered, render, render_sizes
from ferbuild.builders.render.scene import Crop, Pose, Scene, View, with_unit
from ferbuild.manifests.load import load_units

AHEAD = Pose(0, 0, 0)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    cv2.setNumThreads(1)


@pytest.fixture(scope="module")
def head() -> Head:
    return load_head()


@pytest.fixture(scope="module")
def models() -> Models:
    return load_models()


@pytest.fixture(scope="module")
def rest() -> Scene:
    """A face at rest, looking ahead."""
    return draw(draw_at(1, 1), asked={}, calm=True, pose=AHEAD)


def turned(scene: Scene, yaw: float, pitch: float, roll: float = 0.0) -> Scene:
    return replace(scene, pose=Pose(yaw, pitch, roll))


def truth(face: Rendered) -> dict[tuple[str, str], float]:
    return {(one.unit, one.side): one.intensity for one in face.units}


def rise(face: Rendered, base: Rendered, at: int) -> float:
    """How far landmark `at` goes up, in eye distances."""
    eyes = np.linalg.norm(base.points[1] - base.points[0])
    return float((base.landmarks[at, 1] - face.landmarks[at, 1]) / eyes)


def test_same_scene_same_bytes(head: Head) -> None:
    one, two = (render(head, draw(draw_at(5, 7)), width=96, height=96) for _ in range(2))
    assert one.jpeg == two.jpeg
    assert one.units == two.units
    other = render(head, draw(draw_at(5, 8)), width=96, height=96)
    assert other.jpeg != one.jpeg


def test_jpeg_is_what_rgb_was_decoded_from(head: Head, rest: Scene) -> None:
    face = render(head, rest, width=80, height=100)
    assert face.rgb.shape == (100, 80, 3)
    assert np.abs(np.asarray(Image.open(io.BytesIO(face.jpeg)), int) - face.rgb).max() <= 2  # two JPEG decoders


def test_grey_and_sizes(head: Head, rest: Scene) -> None:
    faces = render_sizes(head, rest, [128, 48], grey=True)
    assert [face.rgb.shape for face in faces] == [(128, 128, 3), (48, 48, 3)]
    assert all((face.rgb[..., 0] == face.rgb[..., 2]).all() for face in faces)
    assert faces[0].units == faces[1].units
    assert np.allclose((faces[0].landmarks + 0.5) / 128, (faces[1].landmarks + 0.5) / 48)


@pytest.mark.parametrize("side", [12, 23, 1025])
def test_size_that_cannot_be_rendered(head: Head, rest: Scene, side: int) -> None:
    with pytest.raises(FerError, match=f"a side of {side} pixels"):
        render(head, rest, width=side, height=96)


def test_smile_raises_the_corners_and_one_side_moves_alone(head: Head, rest: Scene) -> None:
    base = render(head, rest)
    both = render(head, with_unit(rest, "AU12", 0.9))
    assert truth(both)["AU12", "both"] == 0.9
    assert min(rise(both, base, 48), rise(both, base, 54)) > 0.08
    left = render(head, with_unit(rest, "AU12", 0.9, side="left"))
    assert {key: value for key, value in truth(left).items() if key[0] == "AU12"} == {("AU12", "left"): 0.9}
    assert rise(left, base, 54) > 0.08  # the person's left is on the picture's right
    assert abs(rise(left, base, 48)) < 0.01


def test_brows_and_lids_move(head: Head, rest: Scene) -> None:
    base = render(head, rest)
    brow = {unit: render(head, with_unit(rest, unit, 1.0)) for unit in ("AU1", "AU2", "AU4")}
    assert min(rise(brow["AU1"], base, 21), rise(brow["AU1"], base, 22)) > 0.05
    assert min(rise(brow["AU2"], base, 18), rise(brow["AU2"], base, 25)) > 0.06
    assert max(rise(brow["AU4"], base, 20), rise(brow["AU4"], base, 23)) < -0.05
    shut = render(head, with_unit(rest, "AU43", 1.0, side="right"))
    assert rise(shut, base, 37) < -0.1
    assert abs(rise(shut, base, 43)) < 0.005


def test_brow_is_drawn_where_the_brow_landmarks_are(rest: Scene) -> None:
    face = texture.face_map(rest)
    row, column = round((texture.TOP - 7.476) * texture.SCALE), round((0.3 - texture.LEFT) * texture.SCALE)
    assert face[row, column, 0] > 100
    assert face[row - 60, column, 0] == 0
    found = texture.look_up(face, np.array([[0.3, 7.476, 1.4]], np.float32))
    assert found[0, 0] == pytest.approx(face[row, column, 0] / 255, abs=0.12)


@pytest.mark.parametrize("asked", [0.3, 0.6, 0.9])
def test_parted_lips_are_measured_on_the_mesh(head: Head, rest: Scene, asked: float) -> None:
    closed = truth(render(head, rest)).get(("AU25", "both"), 0.0)
    face = truth(render(head, with_unit(rest, "AU25", asked)))
    assert closed < 0.15
    assert face["AU25", "both"] == pytest.approx(asked, abs=0.2)
    assert ("AU26", "both") not in face
    assert ("AU16", "both") not in face


def test_lips_part_by_whatever_parts_them(head: Head, rest: Scene) -> None:
    for unit in ("AU10", "AU16", "AU22", "AU26"):
        assert truth(render(head, with_unit(rest, unit, 1.0)))["AU25", "both"] > 0.3, unit
    jaw = truth(render(head, with_unit(rest, "AU27", 0.5)))
    assert (jaw["AU27", "both"], jaw["AU26", "both"], jaw["AU25", "both"]) == (0.5, 1.0, 1.0)


def intensity(weights: dict[str, float]) -> dict[str, float]:
    return {one.unit: one.intensity for one in units.shown(weights, 0.0)}


def test_press_and_roll_are_not_counted_twice() -> None:
    press, roll = dict.fromkeys(units.PRESS, 0.8), dict.fromkeys(units.ROLL, 0.6)
    assert intensity(press) == {"AU24": 0.8}
    assert intensity(roll) == {"AU28": 0.6}
    assert intensity(press | roll) == {"AU23": 1.0, "AU24": 0.3, "AU28": 0.2}
    assert intensity(units.weights_of({"AU23": 0.7})) == {"AU23": 0.7}


def test_jaw_is_drop_then_stretch() -> None:
    assert intensity({"jawOpen": 0.225}) == {"AU26": 0.5}
    assert intensity({"jawOpen": 0.75}) == {"AU26": 1.0, "AU27": 0.5}
    assert units.with_unit({"jawOpen": 0.75}, "AU27", 0) == {"jawOpen": 0.45}


SETTABLE = sorted(set(units.names()) - {"AU25", "AU26", "AU27"})


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(st.sampled_from(SETTABLE), st.integers(1, 100).map(lambda n: n / 100), max_size=5),
    st.sampled_from(SETTABLE),
    st.integers(0, 100).map(lambda n: n / 100),
)
def test_setting_one_unit_changes_no_other(others: dict[str, float], unit: str, value: float) -> None:
    lips = {"AU23", "AU24", "AU28"}
    if len(lips & {*others, unit}) > 1:  # they share a movement: a sum beyond 1 is cut
        others = {name: amount for name, amount in others.items() if name not in lips}
    before = units.weights_of(others)
    after = intensity(units.with_unit(before, unit, value))
    expected = {name: amount for name, amount in (others | {unit: value}).items() if amount}
    assert after == pytest.approx(expected, abs=0.002)


def test_counterfactual_changes_only_where_the_unit_is(head: Head, rest: Scene) -> None:
    quiet = replace(rest, photo=replace(rest.photo, blur=0.0))
    one, two = render(head, quiet), render(head, with_unit(quiet, "AU12", 0.9))
    assert asdict(with_unit(quiet, "AU12", 0.9)) | {"weights": {}} == asdict(quiet) | {"weights": {}}
    brows = int(one.landmarks[17:27, 1].min())
    assert (one.rgb[: brows - 24] == two.rgb[: brows - 24]).all()
    assert (one.rgb[brows:] != two.rgb[brows:]).any()
    assert render(head, with_unit(with_unit(quiet, "AU12", 0.9), "AU12", 0)).jpeg == one.jpeg


def test_turned_heads_go_where_they_should(head: Head, rest: Scene) -> None:
    def nose(scene: Scene) -> np.ndarray:
        face = render(head, scene, framing=View(0.25, 0.5, 0.5))
        return face.points[2] - (face.points[0] + face.points[1]) / 2

    ahead = nose(rest)
    assert nose(turned(rest, 25, 0))[0] > ahead[0] + 5  # to the person's left, the picture's right
    assert nose(turned(rest, 0, 15))[1] < ahead[1] - 2  # up
    leaning = render(head, turned(rest, 0, 0, 12), framing=View(0.25, 0.5, 0.5)).points
    slope = np.degrees(np.arctan2(*(leaning[1] - leaning[0])[::-1]))
    assert slope == pytest.approx(12, abs=3)


def test_pose_has_the_sign_of_the_measured_one(head: Head, rest: Scene, models: Models) -> None:
    found = []
    for turn in (Pose(0, 0, 0), Pose(20, 0, 0), Pose(0, 12, 0), Pose(0, 0, 12)):
        face = render(head, turned(rest, *turn), framing=View(0.28, 0.5, 0.45))
        assert face.pose == turn
        seen = models.detector.find(face.rgb)[0]
        found.append(pose(models.mesh.find(face.rgb, seen.points).points.astype(float)))
    assert found[1].yaw - found[0].yaw == pytest.approx(20, abs=6)
    assert found[2].pitch - found[0].pitch == pytest.approx(12, abs=6)
    assert found[3].roll - found[0].roll == pytest.approx(12, abs=3)


def test_crop_is_level_but_for_its_tilt(head: Head, rest: Scene) -> None:
    leaning = replace(turned(rest, 0, 0, 20), camera=replace(rest.camera, tilt=0.0, zoom=1.0, shift=(0.0, 0.0)))
    face = render(head, leaning, width=200, height=200, framing=Crop(0.3, 0.4))
    eyes = face.points[:2]
    assert face.pose.roll == 0
    assert (eyes[1, 0] - eyes[0, 0]) / 200 == pytest.approx(0.3, abs=0.02)
    assert eyes.mean(0)[1] / 200 == pytest.approx(0.4, abs=0.02)
    assert abs(eyes[1, 1] - eyes[0, 1]) < 6


def test_detector_and_mesh_find_every_frontal_face(head: Head, models: Models) -> None:
    lost = []
    for number in range(60):
        face = render(head, draw(draw_at(900, number), band="frontal"))
        found = models.detector.find(face.rgb)
        if not found or models.mesh.find(face.rgb, found[0].points).presence <= PRESENT:
            lost.append(number)
            continue
        off = np.abs(found[0].points - face.points).max() / np.linalg.norm(face.points[1] - face.points[0])
        assert off < 0.45, number
    assert lost == []


def test_measures_follow_the_units(head: Head, models: Models) -> None:
    wanted = {"AU1": ("brow_inner", 1), "AU4": ("brow_inner", -1), "AU12": ("corner_lift", 1), "AU43": ("eye_open", -1)}
    moves: dict[str, list[float]] = {unit: [] for unit in wanted}
    for number in range(5):
        scene = draw(draw_at(31, number), asked={}, calm=True, pose=AHEAD)
        base = measured(head, models, scene)
        for unit, (name, way) in wanted.items():
            face = measured(head, models, with_unit(scene, unit, 1.0))
            moves[unit] += [way * (face[f"{name}_{side}"] - base[f"{name}_{side}"]) for side in ("left", "right")]
    assert {unit for unit, found in moves.items() if min(found) <= 0} == set()


def measured(head: Head, models: Models, scene: Scene) -> dict[str, float]:
    rgb = render(head, scene).rgb
    return measure_points(models.mesh.find(rgb, models.detector.find(rgb)[0].points).points)


@pytest.mark.parametrize("label", CANONICAL)
def test_labels_show_their_prototype(label: str) -> None:
    prototype = load_units().prototypes[label]
    members = {one.removesuffix(".one") for one in (*prototype.emfacs, *prototype.compound, *prototype.variants)}
    for seed in range(20):
        asked, form = label_units(draw_at(3, seed), label, (0.5, 1.1))
        core = prototype.compound if form == "compound" else prototype.emfacs
        named = {key.partition(".")[0] for key in asked}
        assert {one.removesuffix(".one") for one in core} & set(units.names()) <= named <= members
        assert all(0.3 <= amount <= 1 for amount in asked.values())
        sides = {key.partition(".")[2] for key in asked}
        assert len(sides) == 1 if label == "contempt" else True


def test_units_drawn_together_do_not_foretell_each_other() -> None:
    names = units.names()
    drawn = [{key.partition(".")[0] for key in draw_several(draw_at(4, seed))} for seed in range(3000)]
    table = np.array([[name in one for name in names] for one in drawn], float)
    links = np.abs(np.corrcoef(table.T) - np.eye(len(names)))
    assert table.mean(0).min() > 0.03
    assert links.max() < 0.12


def test_single_units_come_on_one_side_and_on_both() -> None:
    keys = [next(iter(draw_unit(draw_at(6, seed), "AU12"))) for seed in range(40)]
    alone = [key for seed, key in enumerate(keys) if len(draw_unit(draw_at(6, seed), "AU12")) == 1]
    assert {"AU12.left", "AU12.right"} == set(alone)
    assert 10 < len(alone) < 30


def test_people_differ_and_are_grown_up(head: Head) -> None:
    people = [draw_identity(draw_at(8, seed)) for seed in range(30)]
    assert all(AGES[0] <= one.age <= AGES[1] for one in people)
    assert all(set(one.shapes) <= set(head.shapes) for one in people)
    marks = np.stack([render(head, draw(draw_at(8, 0), asked={}, calm=True, identity=one, pose=AHEAD), width=64,
                             height=64).landmarks for one in people])  # fmt: skip
    assert marks.std(0).mean() > 0.6


@pytest.mark.parametrize("band", BANDS)
def test_bands_hold(band: str) -> None:
    yaws = [abs(draw(draw_at(2, seed), asked={}, band=band).pose.yaw) for seed in range(30)]
    assert max(yaws) <= BANDS[band][0]
    assert min(yaws) >= {"frontal": 0, "turned": 15, "side": 30, "profile": 45}[band]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: draw(draw_at(0), label="hapiness"),
        lambda: draw(draw_at(0), asked={"AU99": 1.0}),
        lambda: draw(draw_at(0), asked={"AU17.left": 1.0}),
        lambda: draw(draw_at(0), asked={"AU11": 1.0}),
        lambda: draw(draw_at(0), band="frontl"),
        lambda: units.with_unit({}, "AU12", 1, "middle"),
    ],
)
def test_unknown_words_are_told(wrong: Callable[[], object]) -> None:
    with pytest.raises(FerError):
        wrong()


def test_rasteriser_is_exact_and_nearest_wins() -> None:
    screen = np.array([[2, 2, 5], [2, 30, 5], [30, 2, 5], [2, 2, 4], [2, 12, 4], [12, 2, 4]], np.float32)
    depth = np.full((32, 32), raster.FAR, np.float32)
    seen = raster.rasterise(screen, np.array([[0, 1, 2], [3, 4, 5]], np.int32), depth)
    y, x = np.divmod(seen.at, 32)
    place = np.einsum("ij,ijk->ik", seen.share, screen[np.array([[0, 1, 2], [3, 4, 5]])[seen.triangle]])
    assert np.abs(place[:, 0] - (x + 0.5)).max() < 1e-3
    assert np.abs(place[:, 1] - (y + 0.5)).max() < 1e-3
    inside = (x + y + 1) < 13.9
    assert set(seen.triangle[inside]) == {1}
    assert set(seen.triangle[(x + y + 1) > 14.1]) == {0}
    assert depth[3, 3] == pytest.approx(4, abs=1e-4)
    back = raster.rasterise(screen, np.array([[0, 2, 1]], np.int32), np.full((32, 32), raster.FAR, np.float32))
    assert len(back.at) == 0


def archive(path: Path, **members: str) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, text in members.items():
            file.writestr(name, text)
    return path


@pytest.fixture
def load_from(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Head]:
    """Loads the head from another package than the one that is fetched."""

    def load(path: Path) -> Head:
        monkeypatch.setattr(head_of, "fetch", lambda name: path)
        return load_head.__wrapped__()

    return load


def test_package_without_the_mesh(tmp_path: Path, load_from: Callable[[Path], Head]) -> None:
    with pytest.raises(FerError, match=r"holds no .*base\.obj"):
        load_from(archive(tmp_path / "a.whl", thing="x"))


def test_package_that_is_no_zip(tmp_path: Path, load_from: Callable[[Path], Head]) -> None:
    path = tmp_path / "a.whl"
    path.write_bytes(b"<html>blocked</html>")
    with pytest.raises(FerError, match="cannot be read"):
        load_from(path)


@pytest.mark.parametrize("text", ["v 1 2 3\nvt 0 0\ng body\nf 1/1 1/1 1/1 1/1\n", "", "v 1 2 x\n", "v 1 2\n"])
def test_another_mesh_is_refused(tmp_path: Path, load_from: Callable[[Path], Head], text: str) -> None:
    with pytest.raises(FerError, match=r"vertices and|is damaged"):
        load_from(archive(tmp_path / "a.whl", **{package.MESH: text}))


@pytest.mark.parametrize(
    ("text", "problem"),
    [("1 2 3\n", "number and three"), ("99999 0 0 1\n", "vertices that the mesh lacks"), ("1 a b c\n", "is damaged")],
)
def test_damaged_target_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    path = archive(tmp_path / "a.whl", **{f"{package.FACE_UNITS}/jawOpen.target": text})
    with package.opened(path) as file, pytest.raises(FerError, match=problem):
        package.read_face_units(file)


def test_no_targets_at_all(tmp_path: Path) -> None:
    with package.opened(archive(tmp_path / "a.whl", thing="x")) as file, pytest.raises(FerError, match="no targets"):
        package.read_shapes(file)


ORDER = release.Order(10, seed=3, sizes=(32, 64), kinds=("labels", "pairs"))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_release_is_the_same_whatever_the_workers(tmp_path: Path) -> None:
    one = release.build(tmp_path / "one", ORDER, workers=1)
    two = release.build(tmp_path / "two", ORDER, workers=2)
    assert contents(one.out) == contents(two.out)
    assert len(one.files) == 10
    assert one.labels["none"] == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_release_says_that_it_is_synthetic(tmp_path: Path) -> None:
    out = release.build(tmp_path / "out", replace(ORDER, count=12, kinds=("labels",))).out
    rows = [json.loads(line) for line in (out / "annotations.jsonl").read_text().splitlines()]
    assert {row["file"].rpartition(".")[2] for row in rows} == {"jpg", "png"}
    for row in rows:
        with Image.open(out / row["file"]) as picture:
            comment = picture.info["comment"].decode() if picture.format == "JPEG" else picture.info["Comment"]
            assert comment.startswith("synthetic")
            assert picture.size == (row["width"], row["height"])
            assert picture.mode == ("L" if row["grey"] else "RGB")
    assert "**Synthetic.**" in (out / "README.md").read_text()
    assert all(row["synthetic"] and row["units"] is not None and row["identity"]["shapes"] for row in rows)


def test_no_person_is_in_two_splits() -> None:
    jobs = plan(400, 0, (48, 512), ("labels",))
    homes = {job.person: {other.split for other in jobs if other.person == job.person} for job in jobs}
    assert all(len(splits) == 1 for splits in homes.values())
    assert {job.split for job in jobs} == {"train", "validation", "test"}
    assert min(job.size for job in jobs) == 48
    assert all(len({job.label for job in jobs if job.person == person}) == 8 for person in homes)


def test_earlier_release_is_replaced_and_foreign_folder_refused(tmp_path: Path) -> None:
    small = replace(ORDER, count=2)
    release.build(tmp_path / "out", small)
    again = release.build(tmp_path / "out", replace(small, seed=4))
    assert len([name for name in contents(again.out) if name.startswith("images/")]) == 2
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    with pytest.raises(FerError, match="holds no rendered faces"):
        release.build(tmp_path / "mine", small)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "mine"


def test_command_writes_release_and_sheet(run: Callable[..., Ran], tmp_path: Path) -> None:
    words = ("render", "--count", 3, "--out", "faces", "--size", "40-60", "--workers", 1, "--sheet", "sheet.png")
    done = run(*words, "--json")
    assert done.code == 0, done.err
    assert done.json["splits"] == {"train": 3}
    assert Image.open(tmp_path / "sheet.png").size[0] > 900


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--count", 0), "--count"),
        (("--count", 2, "--size", 12), "sides go from 24"),
        (("--count", 2, "--size", "big"), "is no size"),
        (("--count", 2, "--size", "300-100"), "cannot be rendered"),
        (("--count", 2, "--expressions", "joy"), "'joy'"),
    ],
)
def test_bad_options(run: Callable[..., Ran], tmp_path: Path, words: tuple[object, ...], said: str) -> None:
    done = run("render", "--out", "faces", *words)
    assert done.code == 2
    assert said in done.err
    assert not (tmp_path / "faces").exists()
