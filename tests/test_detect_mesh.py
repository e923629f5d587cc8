"""CenterFace and the face mesh on two portraits: whole, cut tight, small, grey, turned; and pictures without a face."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from ferbuild.builders import assets
from ferbuild.builders.detect import CenterFace, Detection, open_detector, planes, shrunk
from ferbuild.builders.errors import FerError
from ferbuild.builders.images import Pixels, decode
from ferbuild.builders.mesh import SIDE, FaceMesh, Mesh, open_mesh, region, shown

pytestmark = pytest.mark.network
NAMES = ("astronaut", "grace_hopper")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    cv2.setNumThreads(1)


@pytest.fixture(scope="module")
def detector() -> CenterFace:
    return CenterFace(assets.fetch("centerface"))


@pytest.fixture(scope="module")
def mesh() -> FaceMesh:
    return open_mesh(assets.fetch("face_mesh"))


@pytest.fixture(scope="module")
def portraits() -> dict[str, Pixels]:
    return {name: decode(assets.fetch(name).read_bytes(), max_pixels=10**6) for name in NAMES}


def crop(rgb: Pixels, face: Detection, side: int, *, loose: float = 1.05) -> Pixels:
    """Cut the face square, as the releases do, grey as three equal channels."""
    x0, y0, x1, y1 = face.box
    half = max(x1 - x0, y1 - y0) / 2 * loose
    left, top = round((x0 + x1) / 2 - half), round((y0 + y1) / 2 - half)
    cut = rgb[max(0, top) : top + round(2 * half), max(0, left) : left + round(2 * half)]
    grey = cv2.cvtColor(cv2.resize(cut, (side, side), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    return np.repeat(grey[..., None], 3, 2)


def same(first: list[Detection], second: list[Detection]) -> bool:
    return len(first) == len(second) and all(
        a.score == b.score and a.box == b.box and np.array_equal(a.points, b.points)
        for a, b in zip(first, second, strict=True)
    )


@pytest.mark.parametrize("name", NAMES)
def test_one_face_in_a_portrait(name: str, detector: CenterFace, portraits: dict[str, Pixels]) -> None:
    found = detector.find(portraits[name])
    assert len(found) == 1
    eye, other, nose, corner, _ = found[0].points
    assert found[0].score > 0.8
    assert eye[0] < nose[0] < other[0]
    assert eye[1] < nose[1] < corner[1]
    x0, y0, x1, y1 = found[0].box
    assert np.all((found[0].points > (x0, y0)) & (found[0].points < (x1, y1)))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("side", [400, 224, 100, 48])
@pytest.mark.parametrize("loose", [0.95, 1.05, 1.3])
def test_one_face_in_a_grey_crop(
    name: str, side: int, loose: float, detector: CenterFace, mesh: FaceMesh, portraits: dict[str, Pixels]
) -> None:
    face = detector.find(portraits[name])[0]
    small = crop(portraits[name], face, side, loose=loose)
    found = detector.find(small)
    assert len(found) == 1
    assert mesh.find(small, found[0].points).presence > 0.9


def test_points_of_a_crop_are_those_of_the_portrait(detector: CenterFace, portraits: dict[str, Pixels]) -> None:
    rgb = portraits["astronaut"]
    whole = detector.find(rgb)[0]
    cut = np.ascontiguousarray(rgb[40:200, 150:310])
    inside = detector.find(cut)[0].points + np.float32([150, 40])
    assert np.abs(inside - whole.points).max() < 4  # of 43 pixels between the eyes


def textures() -> list[Pixels]:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (side, side, 3), np.uint8) for side in (48, 100, 300)]
    smooth = [cv2.GaussianBlur(one, (0, 0), 6) for one in noise]
    flat = [np.full((64, 64, 3), value, np.uint8) for value in (0, 128, 255)]
    stripes = np.repeat(np.uint8(np.arange(200) // 10 % 2 * 255)[None, :, None], 200, 0).repeat(3, 2)
    return [*noise, *smooth, *flat, stripes]


def test_no_face_where_there_is_none(detector: CenterFace, portraits: dict[str, Pixels]) -> None:
    sky = np.ascontiguousarray(portraits["astronaut"][:200, 330:])
    uniform = np.ascontiguousarray(portraits["grace_hopper"][400:, 150:400])
    assert [len(detector.find(rgb)) for rgb in [*textures(), sky, uniform]] == [0] * 12


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (900, 1), (2, 3), (33, 500), (700, 20)])
def test_odd_shapes(shape: tuple[int, int], detector: CenterFace) -> None:
    assert detector.find(np.zeros((*shape, 3), np.uint8)) == []


def test_several_faces_best_first(detector: CenterFace, portraits: dict[str, Pixels]) -> None:
    a, b = (np.ascontiguousarray(portraits[name][:500, :512]) for name in NAMES)
    found = detector.find(np.hstack([a, b, a[:, ::-1]]))
    assert len(found) == 3
    assert [face.score for face in found] == sorted((face.score for face in found), reverse=True)


def test_two_sizes_one_after_another_equal_fresh_nets(portraits: dict[str, Pixels]) -> None:
    path = assets.fetch("centerface")
    rgb = portraits["grace_hopper"]
    pictures = [
        rgb,
        np.ascontiguousarray(rgb[:400, 50:]),
        cv2.resize(rgb, (90, 100)),
        rgb[100:360, 120:400].copy(),
        rgb,
    ]
    used = CenterFace(path)
    assert all(same(used.find(picture), CenterFace(path).find(picture)) for picture in pictures)


@pytest.mark.parametrize("name", NAMES)
def test_mesh_lies_on_the_face(name: str, detector: CenterFace, mesh: FaceMesh, portraits: dict[str, Pixels]) -> None:
    face = detector.find(portraits[name])[0]
    found = mesh.find(portraits[name], face.points)
    assert found.presence > 0.99
    assert found.points.shape == (468, 3)
    assert found.points.dtype == np.float32
    eye = np.linalg.norm(face.points[1] - face.points[0])
    five = [found.points[list(at), :2].mean(0) for at in ((33, 133), (362, 263), (4,), (61,), (291,))]
    assert np.abs(np.array(five) - face.points).max() < 0.2 * eye


def test_mesh_is_absent_from_a_texture(mesh: FaceMesh) -> None:
    spots = np.array([[40, 40], [60, 40], [50, 50], [42, 62], [58, 62]], np.float32)
    assert max(mesh.find(rgb, spots).presence for rgb in textures()) < 0.5


def test_mesh_turns_with_the_picture(detector: CenterFace, mesh: FaceMesh, portraits: dict[str, Pixels]) -> None:
    rgb = portraits["astronaut"]
    upright = mesh.find(rgb, detector.find(rgb)[0].points)
    turn = cv2.getRotationMatrix2D((226.0, 120.0), 25, 1.0)
    turned = cv2.warpAffine(rgb, turn, (512, 512), borderMode=cv2.BORDER_REPLICATE)
    found: Mesh = mesh.find(turned, detector.find(turned)[0].points)
    expected = upright.points[:, :2] @ turn[:, :2].T + turn[:, 2]
    assert np.linalg.norm(found.points[:, :2] - expected, axis=1).mean() < 2  # of 43 pixels between the eyes


def test_region_holds_the_points_level_and_central() -> None:
    points = np.array([[100, 100], [140, 120], [112, 130], [90, 140], [125, 158]], np.float32)
    seen = points @ region(points)[:, :2].T + region(points)[:, 2]
    assert np.allclose(seen.mean(0), SIDE / 2)
    assert seen[0, 1] == pytest.approx(seen[1, 1])
    assert np.all((seen > 0) & (seen < SIDE))


def test_points_that_coincide_have_a_region() -> None:
    assert np.isfinite(region(np.full((5, 2), 7, np.float32))).all()


@pytest.mark.parametrize("opens", [open_detector, open_mesh])
def test_files_that_are_no_such_model(opens: object, tmp_path: Path) -> None:
    assert callable(opens)
    junk = tmp_path / "junk.bin"
    junk.write_bytes(bytes(range(256)) * 20)
    other = assets.fetch("face_mesh" if opens is open_detector else "centerface")
    for path in (junk, other, tmp_path / "nowhere"):
        with pytest.raises(FerError, match="cannot be read" if not path.exists() else "cannot be run as a"):
            opens(path)


def test_weights_are_named_by_their_hash(detector: CenterFace) -> None:
    assert (detector.name, detector.sha256[:12]) == ("centerface", "09189deaaf86")


SIDES = ((400, 400), (358, 358), (97, 311), (700, 900))
"""Heights and widths; the last is too large to be copied for its speed."""


@pytest.mark.parametrize("shape", SIDES)
@pytest.mark.parametrize("factor", [0.25, 0.3, 0.5, 0.71, 0.99])
def test_a_picture_is_shrunk_as_by_opencv(shape: tuple[int, int], factor: float) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    size = round(shape[1] * factor), round(shape[0] * factor)
    assert np.array_equal(shrunk(rgb, size), cv2.resize(rgb, size, interpolation=cv2.INTER_AREA))


@pytest.mark.parametrize("shape", SIDES)
@pytest.mark.parametrize("span", [20.0, 90.0, 240.0])
def test_the_mesh_is_shown_what_opencv_makes_of_three_channels(shape: tuple[int, int], span: float) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    points = np.array([[0, 0], [1, 0.1], [0.5, 0.5], [0.1, 1], [0.9, 1.1]], np.float32) * span + 30
    crop = cv2.warpAffine(rgb, region(points), (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)
    assert np.array_equal(shown(rgb, region(points)), cv2.dnn.blobFromImage(crop, 1 / 255))
    assert np.array_equal(planes(crop), cv2.dnn.blobFromImage(crop))
