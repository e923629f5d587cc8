"""Measures on moved mesh points, on mirrored and turned faces, and on pictures from bytes to a row of the schema."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ferbuild.builders import assets, measures
from ferbuild.builders.detect import Detection, Floats
from ferbuild.builders.distances import ABOUT, MIDLINE, SIDED, Points, levelled, measure_points, pose
from ferbuild.builders.images import PictureError, Pixels, decode
from ferbuild.builders.measures import MEASURES, main_face, overlap
from ferbuild.builders.mesh import Mesh

NAMES = ("astronaut", "grace_hopper")


@pytest.fixture(scope="module")
def models() -> measures.Models:
    cv2.setNumThreads(1)
    return measures.load_models()


@pytest.fixture(scope="module")
def pictures() -> dict[str, Pixels]:
    return {name: decode(assets.fetch(name).read_bytes(), max_pixels=10**6) for name in NAMES}


@pytest.fixture(scope="module")
def mesh(models: measures.Models, pictures: dict[str, Pixels]) -> Points:
    rgb = pictures["astronaut"]
    return models.mesh.find(rgb, models.detector.find(rgb)[0].points).points.astype(np.float64)


def moved(mesh: Points, points: list[int], out: float, down: float) -> dict[str, float]:
    """Measure the mesh with some points moved by so many eye distances, sideways and down, level with the eyes."""
    copy = levelled(mesh)
    copy[points, :2] += (out, down)
    return measure_points(copy)


def png(rgb: Pixels) -> bytes:
    out = io.BytesIO()
    Image.fromarray(rgb).save(out, "png")
    return out.getvalue()


def raised(side: str) -> dict[str, float]:
    """Return what a lip corner a tenth of an eye distance higher changes."""
    return {f"corner_lift_{side}": 0.1, f"corner_drop_{side}": -0.1, f"corner_curve_{side}": 0.1}


@pytest.mark.network
@pytest.mark.parametrize(
    ("points", "out", "down", "changes"),
    [
        (
            [61],
            0,
            -0.1,
            {"corner_lift_right": 0.1, "corner_drop_right": -0.1, "corner_curve_right": 0.1, "mouth_skew": -0.1},
        ),
        (
            [291],
            0,
            -0.1,
            {"corner_lift_left": 0.1, "corner_drop_left": -0.1, "corner_curve_left": 0.1, "mouth_skew": 0.1},
        ),
        ([291], 0.1, 0, {"corner_out_left": 0.1, "mouth_width": 0.1}),
        ([55, 107], 0, -0.1, {"brow_inner_right": 0.1}),
        ([55, 107], 0.1, 0, {"brow_in_right": -0.1, "brow_gap": -0.1}),
        ([276, 300], 0, 0.1, {"brow_outer_left": -0.1}),
        ([159, 158, 160], 0, -0.05, {"eye_open_right": 0.05, "upper_lid_right": 0.05}),
        ([374, 380, 373], 0, 0.05, {"eye_open_left": 0.05}),
        ([50, 101], 0, -0.05, {"cheek_drop_right": -0.05}),
        ([425, 427], 0.05, 0, {"furrow_out_left": 0.05}),
        ([358], 0, -0.05, {"nostril_drop_left": -0.05}),
        ([14, 17, 152], 0, 0.2, {"lip_gap": 0.2, "jaw_drop": 0.2}),
        ([0], 0, -0.03, {"upper_lip": 0.03, "upper_lip_nose": -0.03}),
        ([17], 0, 0.03, {"lower_lip": 0.03, "chin_lip": -0.03}),
        ([178, 181], 0, 0.1, {"lip_gap_side_right": 0.1}),
        ([39, 81], 0, -0.1, {"lip_gap_side_right": 0.1, "lip_rise_side_right": -0.1}),
    ],
)
def test_a_moved_point_changes_its_measures_only(
    points: list[int], out: float, down: float, changes: dict[str, float], mesh: Points
) -> None:
    before, after = measure_points(mesh), moved(mesh, points, out, down)
    found = {name: after[name] - before[name] for name in ABOUT if abs(after[name] - before[name]) > 1e-6}
    assert found == pytest.approx(changes, abs=1e-6)


@pytest.mark.network
def test_dropped_jaw_does_not_lift_the_corners(mesh: Points) -> None:
    jaw = [14, 17, 84, 314, 87, 317, 152, 148, 377, 178, 402, 181, 405, 18]
    before, after = measure_points(mesh), moved(mesh, jaw, 0, 0.3)
    for name in ("corner_lift", "corner_curve", "corner_drop", "corner_out"):
        assert after[f"{name}_left"] == pytest.approx(before[f"{name}_left"])


@pytest.mark.network
@given(
    angle=st.floats(-180, 180),
    scale=st.floats(0.1, 20),
    shift=st.tuples(st.floats(-500, 500), st.floats(-500, 500)),
)
def test_measures_do_not_depend_on_place_size_and_roll(
    mesh: Points, angle: float, scale: float, shift: tuple[float, float]
) -> None:
    turn = np.radians(angle)
    rotation = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    other = scale * mesh @ rotation.T + (*shift, 0)
    assert measure_points(other) == pytest.approx(measure_points(mesh), abs=1e-6)
    before, after = pose(mesh), pose(other)
    assert (after.yaw, after.pitch) == pytest.approx((before.yaw, before.pitch), abs=1e-6)
    assert (after.roll - before.roll - angle + 180) % 360 - 180 == pytest.approx(0, abs=1e-6)


@pytest.mark.network
def test_pose_of_a_turned_mesh(mesh: Points) -> None:
    """Turned by known angles about its own axes: to the person's left, up."""
    before = pose(mesh)
    turn = np.radians(20)
    left = np.array([[np.cos(turn), 0, -np.sin(turn)], [0, 1, 0], [np.sin(turn), 0, np.cos(turn)]])
    up = np.array([[1, 0, 0], [0, np.cos(turn), np.sin(turn)], [0, -np.sin(turn), np.cos(turn)]])
    assert pose(mesh @ left.T).yaw - before.yaw == pytest.approx(20, abs=1.5)
    assert pose(mesh @ up.T).pitch - before.pitch == pytest.approx(20, abs=1.5)
    nose_left = (mesh @ left.T)[4, 0] - (mesh @ left.T)[[234, 454], 0].mean()
    assert nose_left > mesh[4, 0] - mesh[[234, 454], 0].mean()


@pytest.mark.network
@pytest.mark.parametrize("name", NAMES)
def test_frontal_portraits(name: str, models: measures.Models) -> None:
    row = measures.measure_picture(assets.fetch(name).read_bytes(), models)
    assert row["faces_found"] == 1
    assert row["presence"] > 0.99
    assert max(abs(row["yaw"]), abs(row["pitch"]), abs(row["roll"])) < 8
    table = pa.Table.from_pylist([{"id": "x"} | row], schema=MEASURES)
    assert table.column("measures").null_count == 0
    assert set(table.to_pylist()[0]["measures"]) == set(ABOUT)
    assert all(value is not None for value in table.to_pylist()[0]["measures"].values())
    assert len(row["landmarks"]) == 10


@pytest.mark.network
@pytest.mark.parametrize("name", NAMES)
def test_mirrored_picture_swaps_the_sides(name: str, models: measures.Models, pictures: dict[str, Pixels]) -> None:
    row = measures.measure_pixels(pictures[name], models)
    mirrored = measures.measure_pixels(np.ascontiguousarray(pictures[name][:, ::-1]), models)
    swapped = {"left": "right", "right": "left"}
    for measure in SIDED:
        for side, other in swapped.items():
            found = mirrored["measures"][f"{measure}_{other}"]
            assert found == pytest.approx(row["measures"][f"{measure}_{side}"], abs=0.05), measure
    assert mirrored["measures"]["mouth_skew"] == pytest.approx(-row["measures"]["mouth_skew"], abs=0.02)
    assert mirrored["roll"] == pytest.approx(-row["roll"], abs=2)
    assert mirrored["yaw"] == pytest.approx(-row["yaw"], abs=3)


def models_row(rgb: Pixels, models: measures.Models) -> dict[str, float]:
    row = measures.measure_pixels(rgb, models)
    assert row["faces_found"] == 1
    return dict(row["measures"])


@pytest.mark.network
@pytest.mark.parametrize("angle", [-25, 15, 30])
def test_turned_picture_gives_the_roll_and_nearly_the_same_measures(
    angle: int, models: measures.Models, pictures: dict[str, Pixels]
) -> None:
    rgb = pictures["astronaut"]
    turn = cv2.getRotationMatrix2D((226.0, 120.0), -angle, 1.0)  # OpenCV turns against the clock
    turned = cv2.warpAffine(rgb, turn, (512, 512), borderMode=cv2.BORDER_REPLICATE)
    before, after = (measures.measure_pixels(one, models) for one in (rgb, turned))
    assert after["roll"] - before["roll"] == pytest.approx(angle, abs=2)
    assert after["measures"] == pytest.approx(before["measures"], abs=0.06)


@pytest.mark.network
def test_no_face_gives_nulls(models: measures.Models) -> None:
    row = measures.measure_picture(png(np.full((80, 60, 3), 90, np.uint8)), models)
    detector = {"name": "centerface", "sha256": models.detector.sha256, "terms": "MIT"}
    assert row == dict.fromkeys(MEASURES.names[2:]) | {
        "width": 60,
        "height": 80,
        "faces_found": 0,
        "detector": detector,
    }
    assert pa.Table.from_pylist([{"id": "x"} | row], schema=MEASURES).num_rows == 1


@pytest.mark.network
def test_bytes_that_are_no_picture(models: measures.Models) -> None:
    with pytest.raises(PictureError):
        measures.measure_picture(b"nothing", models)


class OneFace:
    """A detector that sees a face everywhere."""

    name = "everywhere"
    sha256 = "0" * 64
    terms = ""

    def find(self, rgb: Pixels) -> list[Detection]:
        height, width = rgb.shape[:2]
        spots = np.array([[0.3, 0.3], [0.7, 0.3], [0.5, 0.5], [0.35, 0.75], [0.65, 0.75]], np.float32)
        return [Detection(0.9, (0, 0, width, height), spots * np.float32([width, height]))]


@pytest.mark.network
def test_mesh_that_is_not_there_measures_nothing(models: measures.Models) -> None:
    rng = np.random.default_rng(0)
    row = measures.measure_pixels(rng.integers(0, 256, (90, 90, 3), np.uint8), measures.Models(OneFace(), models.mesh))
    assert (row["faces_found"], row["det_score"], row["detector"]["name"]) == (1, 0.9, "everywhere")
    assert row["presence"] < 0.5
    assert [row[name] for name in ("measures", "yaw", "pitch", "roll")] == [None] * 4


def test_mesh_of_no_size_measures_nothing() -> None:
    assert measures._judged(Mesh(np.zeros((468, 3), np.float32), 1.0)) == {}


def face(x0: float, y0: float, side: float, score: float = 0.9) -> Detection:
    points: Floats = np.zeros((5, 2), np.float32)
    return Detection(score, (x0, y0, x0 + side, y0 + side), points)


def test_main_face_is_the_largest_central_one() -> None:
    central, corner, tiny = face(40, 40, 20), face(0, 0, 24, 0.99), face(48, 48, 5, 0.99)
    found, second = main_face([corner, tiny, central], 100, 100)
    assert found is central
    assert second == pytest.approx(24**2 * 0.24 / 20**2)
    large = face(0, 0, 60)
    assert main_face([central, large], 100, 100)[0] is large
    assert main_face([central], 100, 100) == (central, None)


def test_an_annotated_box_says_which_face_is_meant() -> None:
    central, corner, tiny = face(40, 40, 20), face(0, 0, 24, 0.99), face(48, 48, 5, 0.99)
    assert main_face([central, corner, tiny], 100, 100, box=[2, 2, 22, 22])[0] is corner
    assert main_face([central, corner, tiny], 100, 100, box=[47, 47, 54, 54])[0] is tiny, "shared area by that of both"
    assert main_face([central, corner, tiny], 100, 100, box=[80, 80, 99, 99])[0] is central, "none overlaps it"
    assert main_face([central, tiny], 100, 100, box=[48, 48, 53, 53])[1] == 1.0, "the other one outweighs it"


@pytest.mark.parametrize(
    ("other", "shared"),
    [((0, 0, 10, 10), 1), ((5, 0, 15, 10), 1 / 3), ((10, 0, 20, 10), 0), ((20, 20, 30, 30), 0), ((2, 2, 7, 7), 0.25)],
)
def test_overlap(other: tuple[int, int, int, int], shared: float) -> None:
    assert overlap((0, 0, 10, 10), other) == pytest.approx(shared) == overlap(other, (0, 0, 10, 10))


def test_every_measure_is_explained() -> None:
    assert len(ABOUT) == 2 * len(SIDED) + len(MIDLINE)
    assert all(ABOUT.values())
    assert [field.name for field in MEASURES.field("measures").type] == list(ABOUT)


@pytest.mark.network
def test_grey_48_pixels_are_near_the_large_picture(models: measures.Models, pictures: dict[str, Pixels]) -> None:
    cut = np.ascontiguousarray(pictures["grace_hopper"][110:350, 145:385])
    large = models_row(cut, models)
    grey = cv2.cvtColor(cv2.resize(cut, (48, 48), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    small = models_row(np.repeat(grey[..., None], 3, 2), models)
    assert small == pytest.approx(large, abs=0.1)
