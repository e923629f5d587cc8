"""Faces that a detector finds: cut out, aligned, told of in columns; and what becomes of those it does not find."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from ferbuild.builders import assets, faces, looking, measure, nets, shards
from ferbuild.builders.align import align, template
from ferbuild.builders.build import Build
from ferbuild.builders.config import Settings, read_settings
from ferbuild.builders.detect import Detection
from ferbuild.builders.facing import FACED, Facing, face_table
from ferbuild.builders.framing import frame
from ferbuild.builders.images import Pixels, decode
from ferbuild.builders.looking import Look
from ferbuild.builders.measures import MEASURES, Models
from ferbuild.builders.reasons import PICTURES, SOURCES
from ferbuild.builders.record import LISTED
from ferbuild.builders.shards import Slice
from ferbuild.manifests.recipe import Picture
from ferbuild.manifests.schema import Crop

EXACT = Picture(crop_format="png")
UPRIGHT = EXACT.model_copy(update={"align": "similarity"})
LOOK, POSE = Look(nets.SHIPPED), Look(nets.SHIPPED, pose=True)
LOOKED = ["faces_found", "second_face", "det_score", "landmarks", "yaw", "pitch", "roll", "detector", "aligned"]


def png(rgb: Pixels) -> bytes:
    return cv2.imencode(".png", rgb[:, :, ::-1])[1].tobytes()


def pixels_of(row: Mapping[str, Any]) -> Pixels:
    return decode(row["image"]["bytes"], max_pixels=10**8)


def portrait(name: str) -> Pixels:
    return decode(assets.fetch(name).read_bytes(), max_pixels=10**6)


@pytest.fixture(scope="module")
def astronaut() -> Pixels:
    return portrait("astronaut")


@pytest.fixture(scope="module")
def pair(astronaut: Pixels) -> Pixels:
    """Two people side by side; her eyes are near x = 226, his near 512 + 255."""
    return np.hstack([astronaut, portrait("grace_hopper")[:512]])


HIS_BOX = [660.0, 130.0, 880.0, 380.0]
NOISE = np.random.default_rng(5).integers(0, 256, (90, 90, 3), np.uint8)


def faced(
    folder: Path,
    pictures: Mapping[str, bytes],
    crop: Crop = "as_is",
    *,
    picture: Picture = EXACT,
    checks: Sequence[str] = (),
    look: Look | None = LOOK,
    box: list[float] | None = None,
) -> list[dict[str, Any]]:
    """Write the pictures and return their FACED rows."""
    rows = []
    for name, data in pictures.items():
        (folder / name).write_bytes(data)
        row = {"id": name, "source": "mine", "split": "train", "rel_path": name, "size": len(data), "box": box}
        rows.append(row | {"synthetic": False})
    listed = pa.Table.from_pylist(rows, schema=LISTED)
    return face_table(listed, Facing(folder, crop, picture, tuple(checks), look)).to_pylist()


def five(row: Mapping[str, Any]) -> np.ndarray:
    return np.array(row["landmarks"]).reshape(5, 2)


def test_where_nobody_looks_the_columns_are_null(tmp_path: Path, astronaut: Pixels) -> None:
    [row] = faced(tmp_path, {"a.png": png(astronaut)}, look=None)
    assert [row[name] for name in LOOKED] == [None] * len(LOOKED)
    assert (row["reason"], row["findings"], row["crop"]) == (None, [], None)


@pytest.mark.network
def test_what_is_found_on_a_face_crop_is_told_and_drops_nothing_by_itself(tmp_path: Path, astronaut: Pixels) -> None:
    crop = np.ascontiguousarray(astronaut[40:200, 150:310])
    pictures = {"face.png": png(crop), "noise.png": png(NOISE)}
    face, noise = faced(tmp_path, pictures, checks=["blank"], look=POSE)
    assert (face["faces_found"], face["second_face"], face["reason"]) == (1, None, None)
    assert face["det_score"] > 0.8
    assert abs(face["yaw"]) < 8 and abs(face["pitch"]) < 8 and abs(face["roll"]) < 8
    assert face["detector"] == {"name": "centerface", "sha256": face["detector"]["sha256"], "terms": "MIT"}
    assert face["image"]["bytes"] == pictures["face.png"], "looking changes nothing"
    assert (noise["faces_found"], noise["reason"]) == (0, None)
    assert [noise[name] for name in ("det_score", "landmarks", "yaw", "aligned")] == [None] * 4
    assert noise["detector"] == face["detector"], "somebody looked, and found none"


@pytest.mark.network
def test_checks_drop_by_what_was_found(tmp_path: Path, astronaut: Pixels) -> None:
    turned = cv2.warpAffine(astronaut, cv2.getRotationMatrix2D((226.0, 120.0), 70, 1.0), (512, 512))
    pictures = {
        "one": png(astronaut),
        "two": png(np.hstack([astronaut, astronaut[:, ::-1]])),
        "none": png(NOISE),
        "turned": png(turned),
    }
    found = faced(tmp_path, pictures, checks=["no_face", "several_faces", "extreme_pose"], look=POSE)
    assert [row["reason"] for row in found] == [None, "several faces", "no face", "extreme pose"]
    assert [row["faces_found"] for row in found] == [1, 2, 0, 1]
    assert found[1]["second_face"] == pytest.approx(1, abs=0.2)
    assert found[3]["roll"] == pytest.approx(-70, abs=8)


@pytest.mark.network
def test_the_annotated_box_is_cut_out_and_its_face_is_meant(tmp_path: Path, pair: Pixels) -> None:
    scene = np.hstack([pair[:, 100:320], pair[:, 640:1000]])  # her face, and his right beside it
    box = [HIS_BOX[0] - 420, HIS_BOX[1], HIS_BOX[2] - 420, HIS_BOX[3]]
    (row,) = faced(tmp_path, {"a.png": png(scene)}, "box", box=box)
    assert row["crop"] == box
    assert (row["width"], row["height"]) == (220, 250)
    assert np.array_equal(pixels_of(row), scene[130:380, 240:460])
    assert row["faces_found"] == 2, "the other one stands within half a box of it"
    assert np.all((five(row) > 0) & (five(row) < (220, 250)))
    (hers,) = faced(tmp_path, {"b.png": png(scene)}, "box", box=[60.0, 50.0, 200.0, 220.0])
    assert np.all((five(hers) > 0) & (five(hers) < (140, 170)))


@pytest.mark.network
@pytest.mark.parametrize(
    "box", [[1000.0, 10.0, 1100.0, 200.0], [-50.0, 0.0, 0.0, 90.0], [0.0, float("nan"), 90.0, 90.0]]
)
def test_a_box_beside_the_picture_is_told_whether_faces_are_looked_for_or_not(
    tmp_path: Path, astronaut: Pixels, box: list[float]
) -> None:
    for look, picture in ((None, EXACT), (POSE, UPRIGHT)):
        (row,) = faced(tmp_path, {"a.png": png(astronaut)}, "box", box=box, look=look, picture=picture)
        assert (row["reason"], row["image"]) == ("box outside the picture", None)


@pytest.mark.network
def test_a_detector_cuts_out_the_main_face_with_a_margin(tmp_path: Path, pair: Pixels) -> None:
    pictures = {"pair.png": png(pair), "noise.png": png(NOISE)}
    tight, wide = (
        faced(tmp_path, pictures, "detect", picture=EXACT.model_copy(update={"margin": margin}))
        for margin in (0.0, 0.5)
    )
    face, noise = tight
    x0, y0, x1, y1 = (round(value) for value in face["crop"])
    assert 512 < x0 < x1 < 1024, "his is larger and nearer to the middle"
    assert np.array_equal(pixels_of(face), pair[y0:y1, x0:x1])
    assert np.all((five(face) > 0) & (five(face) < (face["width"], face["height"])))
    assert wide[0]["width"] == pytest.approx(2 * face["width"], abs=2)
    assert np.allclose(five(wide[0]) + wide[0]["crop"][:2], five(face) + face["crop"][:2])
    assert (noise["reason"], noise["findings"], noise["crop"]) == ("no face", ["no face"], None)
    assert noise["image"]["bytes"] == pictures["noise.png"], "a benchmark keeps it"


@pytest.mark.network
@pytest.mark.parametrize("angle", [0, 25])
@pytest.mark.parametrize(("side", "margin"), [(224, 0.1), (112, 0.0)])
def test_aligned_faces_lie_alike(tmp_path: Path, astronaut: Pixels, angle: int, side: int, margin: float) -> None:
    turn = cv2.getRotationMatrix2D((226.0, 120.0), angle, 1.0)
    picture = cv2.warpAffine(astronaut, turn, (512, 512), borderMode=cv2.BORDER_REPLICATE)
    policy = UPRIGHT.model_copy(update={"side": side, "margin": margin})
    plain, face = (faced(tmp_path, {"a.png": png(picture)}, picture=how, look=POSE)[0] for how in (EXACT, policy))
    assert (face["width"], face["height"], face["image"]["path"]) == (side, side, "a.png.png")
    assert np.abs(five(face) - template(side, margin=margin)).max() < side / 20
    matrix = np.array(face["aligned"]).reshape(2, 3)
    assert np.allclose(five(plain) @ matrix[:, :2].T + matrix[:, 2], five(face), atol=0.01)
    assert abs(face["roll"]) < 4 and plain["roll"] == pytest.approx(-angle, abs=4)
    assert face["yaw"] == plain["yaw"]
    own = align(picture, five(plain).astype(np.float32), side, margin=margin)
    assert np.abs(pixels_of(face).astype(int) - own).mean() < 0.5, "as unit models get it"
    x0, y0, x1, y1 = face["crop"]
    corners = np.array([[x0, y0], [x1, y0], [x0, y1], [x1, y1]]) @ matrix[:, :2].T + matrix[:, 2]
    assert corners.min() <= 0 and corners.max() >= side, "the crop holds all of it"


@pytest.mark.network
def test_a_face_that_is_not_found_is_stored_as_it_is(tmp_path: Path) -> None:
    (row,) = faced(tmp_path, {"a.png": png(NOISE)}, picture=UPRIGHT)
    assert (row["aligned"], row["faces_found"], row["reason"], row["width"]) == (None, 0, None, 90)
    assert row["image"]["bytes"] == png(NOISE)


@pytest.mark.parametrize("scale", [1.9, 2.0, 5.3, 9.0])
def test_a_large_face_is_shrunk_by_areas(scale: float) -> None:
    """A board of black and white pixels becomes grey; four neighbours of each point would leave some of it."""
    rows, columns = np.mgrid[: round(120 * scale), : round(120 * scale)]
    board = np.repeat(np.uint8((rows + columns) % 2 * 255)[..., None], 3, 2)
    policy = UPRIGHT.model_copy(update={"side": 112, "margin": 0.0})
    spots = ((template(112) + 3.3) * scale + (scale - 1) / 2).astype(np.float32)
    made = frame(b"", board, None, Detection(1.0, (0, 0, 1, 1), spots), policy)
    inside = made.cut.pixels[2:-2, 2:-2].astype(float)
    assert inside.mean() == pytest.approx(127.5, abs=2)
    assert inside.std() < 10
    assert np.allclose(spots @ made.map[:, :2].T + made.map[:, 2], template(112), atol=1e-3)


@pytest.mark.parametrize("scale", [2.5, 4.0, 7.7])
def test_a_shrunk_face_lies_where_its_map_says(scale: float) -> None:
    """A white dot at each of the five points comes out on the template."""
    spots = ((template(112) + 3.3) * scale).astype(np.float32)
    picture = np.zeros((round(120 * scale), round(120 * scale), 3), np.uint8)
    for x, y in spots:
        cv2.circle(
            picture, (round(float(x) * 16), round(float(y) * 16)), round(3 * scale * 16), (255, 255, 255), -1, 8, 4
        )
    policy = UPRIGHT.model_copy(update={"side": 112, "margin": 0.0})
    crop = frame(b"", picture, None, Detection(1.0, (0, 0, 1, 1), spots), policy).cut.pixels
    for x, y in template(112):
        around = crop[round(y) - 5 : round(y) + 6, round(x) - 5 : round(x) + 6, 0].astype(float)
        ys, xs = np.mgrid[-5:6, -5:6]
        centre = np.array([(xs * around).sum(), (ys * around).sum()]) / around.sum() + (round(x), round(y))
        assert np.hypot(*(centre - (x, y))) < 0.1


def cut_jpeg(rgb: Pixels) -> bytes:
    data = cv2.imencode(".jpg", rgb[:, :, ::-1])[1].tobytes()
    return data[: len(data) * 3 // 4]


def test_a_cut_file_is_dropped_or_stored_anew_with_what_there_is(tmp_path: Path, astronaut: Pixels) -> None:
    pictures = {"a.jpg": cut_jpeg(astronaut), "b.png": png(astronaut)[:-5000], "c.jpg": b"\xff\xd8\xff\xe0"}
    dropped = faced(tmp_path, pictures, look=None)
    assert [row["reason"] for row in dropped[:2]] == ["truncated"] * 2 and dropped[2]["reason"] is not None
    kept = faced(tmp_path, pictures, look=None, picture=EXACT.model_copy(update={"truncated": "keep"}))
    assert [row["reason"] for row in kept[:2]] == [None, None]
    assert kept[2]["reason"] == dropped[2]["reason"], "there is nothing to keep"
    for row in kept[:2]:
        with Image.open(io.BytesIO(row["image"]["bytes"])) as again:
            assert again.convert("RGB").size == (512, 512), "Pillow opens it without a word"
        assert row["crop"] == [0, 0, 512, 512]
        assert np.abs(pixels_of(row)[:300].astype(int) - astronaut[:300]).mean() < 4


class Failing:
    """A detector that cannot take pictures of one width."""

    name, sha256, terms = "failing", "0" * 64, ""

    def find(self, rgb: Pixels) -> list[Detection]:
        if rgb.shape[1] == 77:
            raise cv2.error("OpenCV(5.0) error: (-215:Assertion failed) at 0x7f12ab in function 'x'")
        return []


def test_a_detector_that_fails_on_one_picture_costs_that_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nets, "finder", lambda by: Failing())
    pictures = {f"{width}.png": png(np.ascontiguousarray(NOISE[:, :width])) for width in (76, 77, 78)}
    found = faced(tmp_path, pictures, checks=["no_face"])
    assert [row["reason"] for row in found] == ["no face", "detector failed", "no face"]
    assert found[1]["detail"].startswith("error: OpenCV(5.0)") and "0x7f12ab" not in found[1]["detail"]
    assert (found[1]["faces_found"], found[1]["width"]) == (None, 77)


def test_a_net_that_fails_on_one_face_leaves_its_measures_null(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nets, "opened", lambda by: Models(Failing(), None))  # type: ignore[arg-type]
    pictures = {f"{width}.png": png(np.ascontiguousarray(NOISE[:, :width])) for width in (76, 77)}
    rows = faced(tmp_path, pictures, look=None)
    table = pa.Table.from_pylist(rows, schema=FACED).select(["id", "source", "split", "canonical", "image"])
    shards.write_stream(tmp_path / "x.arrow", [table], table.schema)
    batch = measure.measure_batch(Slice(tmp_path / "x.arrow", "train", 0, 2), by=nets.SHIPPED, benchmarks=frozenset())
    assert dict(batch.findings) == {"detector failed": 1}
    assert batch.kept["train"]["faces_found"].to_pylist() == [0, None]
    assert batch.kept["train"].schema.equals(MEASURES)


def settings_of(folder: Path, recipe: str = "", more: str = "", *, limit: int | None = None) -> Settings:
    aligned = folder / "RAF" / "basic" / "Image" / "aligned"
    if not aligned.exists():
        aligned.mkdir(parents=True)
        (folder / "RAF/basic/EmoLabel").mkdir()
        names = ["train_00001", "train_00002", "train_00003", "test_0001"]
        (folder / "RAF/basic/EmoLabel/list_patition_label.txt").write_text("".join(f"{one}.jpg 4\n" for one in names))
        whole = portrait("astronaut")
        for at, name in enumerate(names):
            rgb = np.roll(NOISE, at, 0) if name in names[2:] else whole[40:200, 150 - 9 * at : 310 + 40 * at]
            (aligned / f"{name}_aligned.jpg").write_bytes(cv2.imencode(".jpg", rgb[:, :, ::-1])[1].tobytes())
    (folder / "mine.yaml").write_text(f"name: mine\nduplicates: {{search: none}}\n{recipe}")
    (folder / "fer-build.yaml").write_text(f"recipe: mine.yaml\nsources: {{rafdb: RAF}}\n{more}")
    return read_settings(folder / "fer-build.yaml", limit=limit)


@pytest.mark.network
@pytest.mark.parametrize(
    ("recipe", "used"),
    [
        ("face_checks: [blank, blurred, too_small]\n", []),
        ("face_checks: [no_face]\n", ["centerface"]),
        ("face_checks: [extreme_pose]\n", ["centerface", "face_mesh"]),
        ("picture: {align: similarity}\n", ["centerface"]),
    ],
)
def test_only_nets_that_are_used_enter_the_key(tmp_path: Path, recipe: str, used: list[str]) -> None:
    settings = settings_of(tmp_path, recipe)
    plan = faces.plan(Build(settings))
    assert list(plan.options["nets"]) == used
    own = replace(settings, models={"centerface": tmp_path / "fer-build.yaml"})
    assert (faces.plan(Build(own)).key == plan.key) == ("centerface" not in used)


def test_a_source_whose_faces_are_cut_out_by_a_detector_needs_one() -> None:
    settings = read_settings(required=False)
    for crops, used in ((["as_is", "box"], ()), (["as_is", "detect"], ("centerface",))):
        assert looking.nets_needed(settings, Picture(), crops) == used
    assert looking.look_of(settings, Picture(), "box") is None


def rows_of(work: Path) -> list[dict[str, Any]]:
    return [row for piece in shards.slices(work / "faces", 100) for row in piece.read().to_pylist()]


@pytest.mark.network
def test_a_flag_given_once_holds_for_the_later_stages(run: Any, tmp_path: Path) -> None:
    settings_of(tmp_path, "face_checks: [no_face]\n")
    aligned = run("faces", "--align", "similarity", "--json")
    assert (aligned.json["in"], aligned.json["dropped"], aligned.json["splits"]) == (
        4,
        {"no face": 1},
        {"train": 2, "test": 1},
    )
    assert aligned.code == 0, "what is found on a benchmark's picture is a column, and no fault"
    told = ("split", "width", "faces_found", "findings")
    assert [tuple(row[name] for name in told) for row in rows_of(tmp_path / "fer-data")] == [
        ("train", 224, 1, []),
        ("train", 224, 1, []),
        ("test", 90, 0, ["no face"]),
    ]
    questions = run("rlvr", "--json")
    assert (questions.code, questions.json["upstream"], questions.json["kept"]) == (0, [], 2)
    states = run("status", "--json").json["stages"]
    assert (states["faces"]["state"], states["rlvr"]["state"]) == ("built", "built")
    plain = run("faces", "--json")
    assert {row["aligned"] is None for row in rows_of(tmp_path / "fer-data")} == {True}
    assert plain.json["kept"] == 3
    states = run("status", "--json").json["stages"]
    assert (states["faces"]["state"], states["rlvr"]["state"]) == ("built", "stale")


@pytest.mark.network
def test_the_same_bytes_whatever_the_workers(run: Any, tmp_path: Path) -> None:
    settings_of(tmp_path, "picture: {align: similarity}\nface_checks: [no_face, extreme_pose]\n")
    for workers in (1, 2):
        assert run("faces", "--work", f"w{workers}", "--workers", workers, "--json").code == 0
    one, two = (
        {str(path.relative_to(tmp_path / name)): path.read_bytes() for path in (tmp_path / name).rglob("*.arrow")}
        for name in ("w1", "w2")
    )
    assert one == two and len(one) == 3


def test_a_missing_pack_is_told_before_any_picture_is_opened(run: Any, tmp_path: Path) -> None:
    settings_of(tmp_path, "face_checks: [no_face]\n", "detector: insightface\nmodels: {insightface: nowhere}\n")
    ran = run("faces", "--json")
    assert (ran.code, ran.json["error"]["problem"]) == (2, "no such folder for insightface")
    assert not (tmp_path / "fer-data" / "faces").exists()


@pytest.mark.network
def test_faces_found_by_insightface_say_so_in_every_row(run: Any, tmp_path: Path) -> None:
    pytest.importorskip("insightface")
    from tiny_onnx import scrfd_net

    (tmp_path / "pack").mkdir()
    scrfd_net(tmp_path / "pack" / "det.onnx", (9.0, 9.0, 9.0, 9.0), (-2, -2, 2, -2, 0, 0, -1, 2, 1, 2))
    settings_of(tmp_path, "face_checks: [several_faces]\n", "detector: insightface\nmodels: {insightface: pack}\n")
    ran = run("faces", "--json")
    assert ran.code == 0, ran.err
    found = rows_of(tmp_path / "fer-data")
    assert len(found) + sum(ran.json["dropped"].values()) == 4
    assert {row["detector"]["name"] for row in found} == {"insightface"}
    assert {row["detector"]["sha256"] for row in found} == {
        nets.sums(read_settings(tmp_path / "fer-build.yaml"), ["insightface"])["insightface"]
    }
    assert all("non-commercial" in row["detector"]["terms"] for row in found)


@pytest.mark.network
def test_film_frames_are_searched_for_their_face(run: Any, tmp_path: Path, pair: Pixels) -> None:
    for name, rgb in (("Train/Happy/a.png", pair), ("Train/Happy/b.png", NOISE), ("Val/Angry/c.png", NOISE)):
        (tmp_path / "SFEW" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "SFEW" / name).write_bytes(png(rgb))
    (tmp_path / "fer-build.yaml").write_text("sources: {sfew: SFEW}\n")
    ran = run("faces", "--json")
    assert (ran.code, ran.json["dropped"], ran.json["findings"]) == (0, {"no face": 1}, {"no face": 1})
    frame, kept = sorted(rows_of(tmp_path / "fer-data"), key=lambda row: row["split"])
    assert (frame["split"], frame["faces_found"]) == ("train", 2)
    assert frame["crop"][0] > 512 and frame["width"] < 300
    assert (kept["split"], kept["crop"], kept["image"]["bytes"]) == ("validation", None, png(NOISE))


@pytest.mark.network
def test_the_strict_recipe_thins_the_training_faces_alone(demo: Any, run: Any, tmp_path: Path) -> None:
    config = demo.config.read_text().replace("recipe: default", "recipe: strict")
    (tmp_path / "fer-build.yaml").write_text(config.replace("releases/", f"{demo.home}/releases/"))
    ran, before = run("faces", "--json").json, demo.stage("faces")
    assert ran["in"] == before["in"] == ran["kept"] + sum(ran["dropped"].values())
    assert {name: rows for name, rows in ran["splits"].items() if name != "train"} == {
        name: rows for name, rows in before["splits"].items() if name != "train"
    }
    assert before["splits"]["train"] - 30 < ran["splits"]["train"] < before["splits"]["train"]
    assert "no face" in ran["dropped"] and set(ran["dropped"]) <= {*PICTURES, *SOURCES, *shown(ran["dropped"])}
    for row in rows_of(tmp_path / "fer-data"):
        if row["split"] == "train":
            assert row["aligned"] and row["width"] == row["height"] == 224
            assert row["det_score"] >= 0.5 and (row["second_face"] or 0) < 0.5
            assert row["yaw"] is None or abs(row["yaw"]) <= 45


def shown(dropped: Mapping[str, int]) -> set[str]:
    return {reason for reason in dropped if reason.startswith("contaminates:ferbench/")}
