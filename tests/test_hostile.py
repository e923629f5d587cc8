"""Hostile releases, settings and work folders, through the command line: an error in words or a counted drop.

Most cases call the command line in this process, where a fault that nobody catches fails the test by itself.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import filelock
import numpy as np
import pytest
from PIL import Image
from trees import AFFECTNET_HEADER, affectnet_row, lines, pack, put

from ferbuild.builders import faces, shards
from ferbuild.builders.cli import main

ALIGNED, LIST = "RAF/basic/Image/aligned", "RAF/basic/EmoLabel/list_patition_label.txt"
CSV = "AN/Manually_Annotated/Manually_Annotated_file_lists/training.csv"
HAPPY = "SFEW/Train_Aligned_Faces/Happy"


class Said(NamedTuple):
    code: int
    json: dict[str, Any]


Say = Callable[..., Said]


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Say]:
    """Call the command line in `tmp_path`; its stdout must be one JSON object, in = kept + dropped in all of it."""
    log = logging.getLogger("ferbuild")
    before = (log.handlers, log.level, log.propagate), signal.getsignal(signal.SIGTERM)
    monkeypatch.chdir(tmp_path)

    def call(*words: object) -> Said:
        with pytest.raises(SystemExit) as end:
            main([*map(str, words), "--json", *(["--workers", "1"] if words[0] != "export" else [])])
        found = json.loads(capsys.readouterr().out)
        adds_up(found)
        return Said(int(end.value.code or 0), found)

    yield call
    (log.handlers, log.level, log.propagate), handler = before
    signal.signal(signal.SIGTERM, handler)


def adds_up(found: Any) -> None:
    for value in found.values() if isinstance(found, dict) else found if isinstance(found, list) else ():
        adds_up(value)
    if isinstance(found, dict) and {"in", "kept", "dropped"} <= set(found):
        assert found["in"] == found["kept"] + sum(found["dropped"].values())


def picture(
    kind: str = "JPEG", side: tuple[int, int] = (40, 30), mode: str = "RGB", seed: int = 0, **how: Any
) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 255, (*side[::-1], 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).convert(mode).save(file, kind, **how)
    return file.getvalue()


GOOD = picture()


def png(width: int, height: int, rows: bytes = b"") -> bytes:
    """Return a PNG that claims a size, whatever it holds."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def jpeg(width: int, height: int) -> bytes:
    """Return a JPEG whose header claims a size."""
    at = GOOD.index(b"\xff\xc0")
    return GOOD[: at + 5] + struct.pack(">HH", height, width) + GOOD[at + 9 :]


def raf(root: Path, pictures: dict[str, bytes], extra: str = "") -> None:
    put(root, LIST, data=("".join(f"{name}.jpg 4\n" for name in pictures) + extra).encode())
    for name, data in pictures.items():
        put(root, f"{ALIGNED}/{name}_aligned.jpg", data=data)
    sources(root, "rafdb: RAF")


def sources(root: Path, releases: str) -> None:
    """Write settings with a recipe that takes every picture that can be read, copies too: many of these are."""
    put(root, "every.yaml", data=b"name: every\nduplicates: {search: none}\n")
    put(root, "fer-build.yaml", data=f"recipe: every.yaml\nsources: {{{releases}}}\n".encode())


def drops(folder: Path) -> dict[str, str]:
    """Return address to drop reason; the last part of the address where that is enough to know it."""
    found = [row for table in shards.read_drops(folder) for row in table.to_pylist()]
    assert len({row["rel_path"] for row in found}) == len(found)
    return {row["rel_path"]: row["reason"] for row in found}


def kept(folder: Path) -> dict[str, dict[str, Any]]:
    return {row["rel_path"]: row for piece in shards.slices(folder, 1000) for row in piece.read().to_pylist()}


def sums(folder: Path) -> dict[str, str]:
    """Return the sha256 of every file of a work folder, the locks left out."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock" and path.name != ".lock"]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def tells_nothing(work: Path, *secrets: object) -> None:
    """No file of a work folder may hold a path of this machine or a memory address."""
    for path in work.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            for secret in (*map(str, secrets), " at 0x", "Traceback"):
                assert secret.encode() not in data, (path, secret)


def test_every_hostile_picture_is_one_drop_with_its_reason(say, tmp_path):
    orientation = Image.Exif()
    orientation[0x0112] = 6
    deep = Image.fromarray((np.arange(1600).reshape(40, 40) * 40).astype(np.uint16))
    file = io.BytesIO()
    deep.save(file, "PNG")
    broken_exif = GOOD[:2] + b"\xff\xe1\x00\x40Exif\0\0" + b"\x99" * 56 + GOOD[2:]
    good = {
        "train_00001": GOOD,
        "train_00002": picture("JPEG", mode="CMYK"),
        "train_00003": picture("PNG", mode="P"),
        "train_00004": picture("GIF", save_all=True, append_images=[Image.new("RGB", (40, 30))]),
        "train_00005": picture("PNG", save_all=True, append_images=[Image.new("RGB", (40, 30))]),
        "train_00006": picture("JPEG", exif=orientation.tobytes()),
        "train_00007": picture("PNG", side=(1, 1)),
        "train_00008": file.getvalue(),
        "train_00009": broken_exif,
        "train_00010": GOOD + b"x" * 1000,
        "train_00011": picture("WEBP"),
        "train_00012": picture("TIFF"),
        "train_00013": picture("BMP"),
        "train_00014": picture("PNG", mode="LA"),
    }
    lossless = picture("PNG")
    cut = {f"train_01{at}00": lossless[: len(lossless) * at // 10] for at in range(1, 10)}
    cut |= {f"train_01{at}01": GOOD[: len(GOOD) * at // 10] for at in range(4, 10)}
    other = {
        "train_00101": ("empty file", b""),
        "train_00102": ("unreadable", b"\xff"),
        "train_00103": ("unreadable", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        "train_00104": ("unreadable", b"version https://git-lfs.github.com/spec/v1\nsize 3\n"),
        "train_00105": ("too many pixels", png(30_000, 30_000)),
        "train_00106": ("too many pixels", jpeg(30_000, 30_000)),
        "train_00107": ("unreadable", png(0, 0)),
        "train_00108": ("truncated", png(7_000, 8_000)),
    }
    raf(tmp_path, good | cut | {name: data for name, (_, data) in other.items()})
    said = say("faces")
    assert (said.code, said.json["in"], said.json["kept"]) == (0, 37, 14)
    assert said.json["dropped"] == {"empty file": 1, "too many pixels": 2, "truncated": 16, "unreadable": 4}
    reasons = {Path(path).name[:11]: reason for path, reason in drops(tmp_path / "fer-data/faces").items()}
    assert reasons == dict.fromkeys(cut, "truncated") | {name: reason for name, (reason, _) in other.items()}
    rows = {Path(path).name[:11]: row for path, row in kept(tmp_path / "fer-data/faces").items()}
    assert {name: row["image"]["bytes"] for name, row in rows.items()} == good
    assert (rows["train_00006"]["width"], rows["train_00006"]["height"]) == (30, 40), "turned upright"
    assert (rows["train_00007"]["width"], rows["train_00007"]["height"]) == (1, 1)
    tells_nothing(tmp_path / "fer-data", tmp_path)


def test_what_is_no_file_is_a_missing_picture(say, tmp_path, monkeypatch):
    raf(tmp_path, {"train_00001": GOOD}, "".join(f"train_0000{at}.jpg 4\n" for at in range(2, 10)))
    folder = tmp_path / ALIGNED
    spot = {at: folder / f"train_0000{at}_aligned.jpg" for at in range(2, 10)}
    os.mkfifo(spot[2])
    monkeypatch.chdir(folder)  # a socket's address is short
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(spot[3].name)
    monkeypatch.chdir(tmp_path)
    spot[4].mkdir()
    spot[5].symlink_to("nowhere")
    spot[6].symlink_to(spot[6].name)
    spot[7].symlink_to("/dev/zero")
    spot[8].symlink_to("../../EmoLabel")
    put(tmp_path, "elsewhere.jpg", data=GOOD)
    spot[9].symlink_to(tmp_path / "elsewhere.jpg")
    said = say("faces")
    assert (said.code, said.json["kept"], said.json["dropped"]) == (0, 2, {"missing picture": 7})
    assert {Path(path).name[:11] for path in kept(tmp_path / "fer-data/faces")} == {"train_00001", "train_00009"}


def test_a_list_with_everything_wrong_loses_no_good_row(say, tmp_path):
    raf(tmp_path, {"train_00001": GOOD, "train_00002": GOOD, "test_0001": GOOD})
    bad = [b"train_00003.jpg 9", b"train_00003.jpg -1", b"train_00003.jpg happy", b"train_00003.jpg", b""]
    bad += [b"train_00003.jpg 4 4", b"train_00001.jpg 4", b"train_00001.jpg 5", b"tr\xe9.jpg 4", b"\0\0\0"]
    bad += [b"../train_00001.jpg 4", b"/etc/passwd 4", b"C:\\x.jpg 4", b"\x1f\x1f 4", b"x.csv#99999999999999999999 4"]
    bad += [b"x" * 10_000_000]
    good = [b"train_00001.jpg 4", b"train_00002.jpg 5", b"test_0001.jpg 1"]
    put(tmp_path, LIST, data=b"\xef\xbb\xbf" + b"\r\n".join([*good, *bad]))
    said = say("check")
    assert (said.json["in"], said.json["kept"]) == (18, 3)
    assert said.json["dropped"] == {
        "duplicate row": 2, "foreign file name": 6, "label outside the table": 3, "malformed row": 4,
    }  # fmt: skip


def test_a_csv_with_everything_wrong_loses_no_good_row(say, tmp_path):
    put(tmp_path, "AN/Manually_Annotated/Manually_Annotated_Images/1/a.jpg", data=picture(side=(200, 200)))
    put(tmp_path, "AN/Manually_Annotated/Manually_Annotated_Images/1/b.jpg", data=picture(side=(200, 200), seed=1))
    sources(tmp_path, "affectnet: AN")
    astray = ["../../x.jpg", "/etc/passwd", "..\\x.jpg", "C:/x.jpg", "a.zip!/x", "1/../1/a.jpg", "x\0y.jpg"]
    rows = [AFFECTNET_HEADER, affectnet_row("1/a.jpg", 1), affectnet_row("1/b.jpg", 2)]
    rows += [affectnet_row(name, 1) for name in astray]
    rows += [affectnet_row("./1/a.jpg", 1), affectnet_row("1\\a.jpg", 1)]  # the same picture
    rows += [affectnet_row("1/n.jpg", 1, box=box) for box in ("nan,1,2,3", ",,,", "1,2,3")]
    rows += [affectnet_row("1/m.jpg", 1, box="10,10,-5,5"), affectnet_row("1/o.jpg", 1, valence="inf")]
    rows += [affectnet_row("1/p.jpg", 11), affectnet_row("1/q.jpg", 8), AFFECTNET_HEADER]
    rows += ['"1/r.jpg,10,20', '1/"s.jpg,,,', "x" * 200_000, "\0" * 50]
    lines(tmp_path, CSV, rows, end="\r\n", bom=True)
    said = say("faces")
    assert (said.code, said.json["in"], said.json["kept"]) == (0, len(rows) - 1, 2)
    assert said.json["dropped"] == {
        "bad box": 4, "duplicate row": 2, "label none": 1, "label outside the table": 1, "malformed row": 5,
        "missing picture": 1, "path leaves the release": 7,
    }  # fmt: skip
    tells_nothing(tmp_path / "fer-data", tmp_path)


@pytest.mark.parametrize(
    ("data", "problem", "hint"),
    [
        (AFFECTNET_HEADER.replace("expression", "expresion").encode(), "no column 'expression'", "'expresion'"),
        (AFFECTNET_HEADER.encode("utf-16"), "is UTF-16 text", "UTF-8"),
        (AFFECTNET_HEADER.replace(",", ";").encode(), "no column 'subDirectory_filePath'", "face_x;face_y"),
        (AFFECTNET_HEADER.encode() + b"\r" + b"1/a.jpg,1\r", "no column 'subDirectory_filePath'", ""),
        (b"x" * 10_000_000 + b"\n", "no column 'subDirectory_filePath'", ""),
        (b"", "is empty", "copy it again"),
        (b"\r\n \r\n", "is empty", "copy it again"),
        (AFFECTNET_HEADER.encode() + b"\n", "holds no usable row", "empty"),
    ],
)
def test_a_csv_that_cannot_be_used_is_an_error(say, tmp_path, data, problem, hint):
    put(tmp_path, CSV, data=data)
    sources(tmp_path, "affectnet: AN")
    said = say("check")
    assert said.code == 2 and problem in said.json["error"]["problem"] and hint in said.json["error"]["hint"]


def test_a_hostile_archive_costs_its_bad_members_only(say, tmp_path):
    shot = picture("PNG")
    members = dict.fromkeys(("Happy/a.png", "Happy\\b.png", "Happy/😀 'q\"\n.png"), shot)
    bad = ["/etc/Happy/a.png", "../Happy/b.png", "Happy/../../c.png", "C:/Happy/d.png", "..\\Happy\\e.png"]
    bomb = {"Happy/bomb.png": b"\0" * ((1 << 28) + 1)}
    with zipfile.ZipFile(tmp_path / "inner.zip", "w", zipfile.ZIP_DEFLATED) as inner:
        inner.writestr("Happy/i.png", shot)
    nested = {"Happy/inner.zip": (tmp_path / "inner.zip").read_bytes()}
    archive = tmp_path / "SFEW/Train_Aligned_Faces.zip"
    archive.parent.mkdir()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for name, data in (members | dict.fromkeys(bad, shot) | bomb | nested | {"Happy/locked.png": shot}).items():
            file.writestr(name, data)
    data = bytearray(archive.read_bytes())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1  # the last member claims to be encrypted
    archive.write_bytes(data)
    other = picture("PNG", seed=9)
    pack(tmp_path, "SFEW/Val_Aligned_Faces.zip", {"Happy/v.png": other, "Happy/crc.png": other})
    second = tmp_path / "SFEW/Val_Aligned_Faces.zip"
    whole = bytearray(second.read_bytes())
    spot = whole.rindex(b"\x89PNG") + 500
    whole[spot : spot + 4] = bytes(255 - value for value in whole[spot : spot + 4])
    second.write_bytes(whole)
    put(tmp_path, "SFEW/Train_Aligned_Faces_more.zip", data=second.read_bytes()[:-40])
    sources(tmp_path, "sfew: SFEW")
    said = say("faces")
    assert (said.code, said.json["in"], said.json["splits"]) == (1, 13, {"train": 3, "validation": 2})
    assert said.json["dropped"] == {"unreadable": 2, "unreadable archive": 1, "unsafe path": 5}
    assert said.json["findings"] == {"unreadable": 1}, "a benchmark row stays, whatever its picture is like"
    found = drops(tmp_path / "fer-data/faces")
    prefix = "Train_Aligned_Faces.zip!"
    assert {path.removeprefix(prefix) for path, reason in found.items() if reason == "unsafe path"} == set(bad)
    assert {found[f"{prefix}Happy/{name}.png"] for name in ("bomb", "locked")} == {"unreadable"}
    tells_nothing(tmp_path / "fer-data", tmp_path)


def test_odd_names_and_links_are_read_as_they_are(say, tmp_path):
    names = ["a b.png", "q\"'.png", "nl\n.png", "\U0001f600.png", "x" * 250 + ".png", "[z].png", "#.png", "%20.png",
             "UP.PNG", " .png", "~.png", "-rf.png", "\u202egnp.png", "t.csv#3.png"]  # fmt: skip
    shot = picture("PNG")
    put(tmp_path, *(f"{HAPPY}/{name}" for name in names), data=shot)
    (tmp_path / HAPPY / "loop").symlink_to("..")
    (tmp_path / HAPPY / "self").symlink_to("self")
    put(tmp_path, "outside/far.png", data=shot)
    (tmp_path / "SFEW/Train_Aligned_Faces/Angry").symlink_to(tmp_path / "outside")
    put(tmp_path, f"{HAPPY}/Thumbs.db", f"{HAPPY}/._a.png")
    if sys.platform == "linux":
        Path(os.fsdecode(os.fsencode(tmp_path / HAPPY) + b"/\xe9.png")).write_bytes(shot)
    sources(tmp_path, "sfew: SFEW")
    said = say("faces")
    assert said.code == 0
    assert said.json["dropped"] == ({"unreadable name": 1} if sys.platform == "linux" else {})
    found = kept(tmp_path / "fer-data/faces")
    wanted = {f"Train_Aligned_Faces/Happy/{name}" for name in names} | {"Train_Aligned_Faces/Angry/far.png"}
    assert set(found) == wanted
    assert found["Train_Aligned_Faces/Angry/far.png"]["label"] == "angry"


@pytest.mark.parametrize(
    ("text", "where", "problem", "hint"),
    [
        ("sources:\n\trafdb: RAF\n", "fer-build.yaml:2", "not valid YAML", ""),
        ("sorces: {rafdb: RAF}\n", "fer-build.yaml", "unknown key 'sorces'", "did you mean 'sources'?"),
        ("sources: {rafbd: RAF}\n", "rafbd", "no such entry", "did you mean 'rafdb'?"),
        ("sources: [rafdb]\n", "fer-build.yaml", "sources", ""),
        ("- a\n", "fer-build.yaml", "does not hold a mapping", ""),
        ("sources: !!python/object:os.system {}\n", "fer-build.yaml:1", "not valid YAML", ""),
        ("a: 1\n---\nb: 2\n", "fer-build.yaml:2", "not valid YAML", ""),
        ("sources: {[a]: b}\n", "fer-build.yaml:1", "not valid YAML", ""),
        ("seed: .nan\n", "fer-build.yaml", "seed", ""),
        ("", "fer-build.yaml", "no sources", "fer-build init --find DIR"),
        ("sources: {rafdb: nowhere}\n", "nowhere", "no such folder", ""),
        ("sources: {rafdb: a-file}\n", "a-file", "is no folder", ""),
        ("work: a-file\nsources: {rafdb: RAF}\n", "a-file", "cannot be written", ""),
        ("work: a-file/below\nsources: {rafdb: RAF}\n", "below", "cannot be written", ""),
        ("recipe: defualt\nsources: {rafdb: RAF}\n", "defualt", "no such entry", "did you mean 'default'?"),
    ],
)
def test_a_slip_in_the_settings_is_named(say, tmp_path, text, where, problem, hint):
    raf(tmp_path, {"train_00001": GOOD})
    put(tmp_path, "a-file")
    put(tmp_path, "fer-build.yaml", data=text.encode())
    said = say("faces")
    error = said.json["error"]
    assert said.code == 2 and error["where"].endswith(where)
    assert problem in error["problem"] and hint in error["hint"]


def test_what_is_on_disk_when_a_picture_is_opened_counts(say, tmp_path, monkeypatch):
    """Between the listing and the decoding one picture vanishes, one grows, one becomes a folder."""
    raf(tmp_path, {f"train_0000{at}": picture(seed=at) for at in range(1, 5)})
    spot = [tmp_path / ALIGNED / f"train_0000{at}_aligned.jpg" for at in range(1, 5)]
    grown = picture(side=(90, 80))
    listed = faces._jobs

    def meddle(*words: Any) -> Any:
        found = listed(*words)
        spot[0].unlink()
        spot[1].write_bytes(grown)
        spot[2].unlink()
        spot[2].mkdir()
        return found

    monkeypatch.setattr(faces, "_jobs", meddle)
    said = say("faces")
    assert (said.json["kept"], said.json["dropped"]) == (2, {"missing picture": 1, "unreadable": 1})
    row = kept(tmp_path / "fer-data/faces")["Image/aligned/train_00002_aligned.jpg"]
    assert (row["width"], row["sha256"]) == (90, hashlib.sha256(grown).hexdigest())
    tells_nothing(tmp_path / "fer-data", tmp_path)


def test_a_changed_picture_is_seen_by_its_size_only(say, tmp_path):
    raf(tmp_path, {"train_00001": GOOD})
    say("faces")
    put(tmp_path, f"{ALIGNED}/train_00001_aligned.jpg", data=GOOD[:-1] + b"x")
    assert say("faces").json["reused"], "the same size: the known limit of a listing that opens no picture"
    put(tmp_path, f"{ALIGNED}/train_00001_aligned.jpg", data=GOOD + b"x")
    assert not say("faces").json["reused"]


def test_a_damaged_work_folder_is_rebuilt_or_named(say, tmp_path):
    raf(tmp_path, {f"train_0000{at}": picture(seed=at) for at in range(1, 6)})
    say("faces")
    work = tmp_path / "fer-data"
    whole = sums(work)
    for mark in (b"", b"{}", b'{"stage": "faces"', b"\xff\xfe"):
        put(work, "faces/stage.json", data=mark)
        assert say("status").json["stages"]["faces"] == {"state": "missing"}
        assert (say("faces").json["reused"], sums(work)) == (False, whole)
    shard = work / "faces/train/data-00000-of-00001.arrow"
    for data in (b"", b"x" * 1000, shard.read_bytes()[:3000]):
        shard.write_bytes(data)
        assert say("status").json["stages"]["faces"]["state"] == "damaged"
        assert (say("faces").json["reused"], sums(work)) == (False, whole)
    put(work, "faces/stage.json", data=b"{}")
    assert say("rlvr").json["kept"] == 5


def test_a_limited_build_leaves_a_full_one_as_it_is(say, tmp_path):
    raf(tmp_path, {f"train_0000{at}": picture(seed=at) for at in range(1, 6)})
    assert say("rlvr").json["kept"] == 5
    whole = sums(tmp_path / "fer-data")
    put(tmp_path, LIST, data=b"train_00001.jpg 4\ntrain_00002.jpg 4\n")
    assert say("rlvr", "--limit", 1).json["kept"] == 1
    assert {name: sums(tmp_path / "fer-data")[name] for name in whole} == whole
    states = say("status").json["stages"]
    assert (states["faces"]["state"], states["rlvr"]["state"]) == ("stale", "stale")


def test_only_one_builds_in_a_work_folder(say, tmp_path):
    raf(tmp_path, {"train_00001": GOOD})
    say("faces")
    with filelock.FileLock(tmp_path / "fer-data/.lock"):
        said = say("rlvr")
        assert said.code == 2 and said.json["error"]["problem"] == "another fer-build is writing here"
        assert say("status").json["stages"]["faces"]["state"] == "built"


def command(*words: object) -> list[str]:
    return [str(Path(sys.executable).with_name("fer-build")), *map(str, words)]


def test_kills_workers_seeds_places_and_locales_leave_no_trace(run, tmp_path):
    """A build killed again and again equals one in peace, from elsewhere, under another hash seed and locale."""
    pictures = {f"train_{at:05d}": picture(seed=at) if at % 9 else b"" for at in range(1, 1101)}
    raf(tmp_path, pictures | {"test_0001": b""})
    peace = {"PYTHONHASHSEED": "1", "LC_ALL": "C", "PYTHONUTF8": "1", "TZ": "Asia/Tokyo"}
    (tmp_path / "else").mkdir()
    words = ("--config", "../fer-build.yaml", "--work", tmp_path / "peace", "--workers", 1, "--json")
    ran = run("rlvr", *words, cwd=tmp_path / "else", env=peace)
    assert (ran.code, ran.json["kept"]) == (0, 1100 - 1100 // 9)
    chance = random.Random(7)
    for _ in range(3):
        build = subprocess.Popen(command("rlvr", "--work", "war", "--workers", 2, "--json"), cwd=tmp_path,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        time.sleep(chance.uniform(0.9, 2.6))
        build.kill()
        build.wait()
    ran = run("rlvr", "--work", "war", "--workers", 2, "--json", env={"PYTHONHASHSEED": "2"})
    assert ran.code == 0, ran.err
    built = {name: one for name, one in sums(tmp_path / "war").items() if ".parts/" not in name}
    assert built == sums(tmp_path / "peace")
    tells_nothing(tmp_path / "peace", tmp_path, "20" + time.strftime("%y-%m"))


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_disk_that_fills_up_at_the_last_step(run, tmp_path):
    raf(tmp_path, {f"train_{at:05d}": picture("PNG", side=(60, 60), seed=at) for at in range(1, 60)})
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small], capture_output=True).returncode:
        pytest.skip("this machine mounts nothing")
    try:
        ran = run("faces", "--work", small / "w", "--json", "--workers", 1)
        assert (ran.code, "No space left" in ran.json["error"]["problem"]) == (2, True)
        assert "faces.new" in ran.json["error"]["where"], "the parts fitted, the shards did not"
        subprocess.run(["mount", "-o", "remount,size=8m", small], check=True)
        ran = run("faces", "--work", small / "w", "--json", "--workers", 1)
        assert (ran.code, ran.json["kept"]) == (0, 59), ran.err
        run("faces", "--work", "roomy", "--workers", 1)
        assert sums(small / "w") == sums(tmp_path / "roomy")
    finally:
        subprocess.run(["umount", small], check=True)
