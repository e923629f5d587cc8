"""The exported benchmark against the published one, row for row, from every layout a release is known to lie in.

What is published is restated here from what is known of it: the RAF-DB rows and the FERPlus votes are the real ones,
AffectNet and SFEW have the real numbers of rows and made-up file names. A round is one run of the command line over
one tree of each source; training splits lie beside the benchmark splits in most of them.
"""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
import random
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pytest
import trees
from conftest import SHARED, Ran, fer_build
from PIL import Image

KEYS = ["image_path", "true_label", "prompt", "candidate_labels"]
FILES = {
    "rafdb": "rafdb_qa.json",
    "ferplus": "ferplus_qa.json",
    "affectnet": "affectnet_qa.json",
    "sfew": "sfew_2.0_qa.json",
}
CANDIDATES = {
    "rafdb": ["surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral"],
    "ferplus": ["angry", "contempt", "disgust", "fear", "happy", "neutral", "sad", "surprise"],
    "affectnet": ["neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt"],
    "sfew": ["angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"],
}
COUNTS = {
    "rafdb": [329, 74, 160, 1185, 478, 162, 680],
    "ferplus": [322, 30, 21, 98, 929, 1274, 449, 450],
    "affectnet": [500] * 8,
    "sfew": [77, 23, 46, 72, 84, 73, 56],
}
AFFECTNET_HOME = "/AffectNet/Manually_Annotated/validation/"
SFEW_HOME = "/SFEW-2.0/Val/Val_Aligned_Faces/"
VOTE_COLUMNS = ["neutral", "happy", "surprise", "sad", "angry", "disgust", "fear", "contempt"]
TRAINING = b"a training picture, which nobody may open"


class Wanted(NamedTuple):
    """A published row, and the file name (or row of the pixel table) its picture is known by."""

    path: str
    label: str
    key: str


class Tree(NamedTuple):
    rows: list[Wanted]
    dropped: Mapping[str, int] = MappingProxyType({})
    labels: dict[str, str] | None = None
    published: bool = True
    """Whether the published rows can be reached from this layout."""
    agrees: bool = True
    """Whether its counts are the published ones."""


# --- pictures ---------------------------------------------------------------------------------------------------------

KINDS = {"jpg": "JPEG", "jpeg": "JPEG", "png": "PNG", "bmp": "BMP", "tif": "TIFF"}
HUES = 61


class Pool:
    """A few tiny pictures of every kind; a file is a hard link to the one its name asks for."""

    def __init__(self, home: Path) -> None:
        self.home = home
        for kind, form in KINDS.items():
            for hue in range(HUES):
                file = io.BytesIO()
                Image.new("RGB", (4, 4), (hue * 4, 255 - hue * 4, 99)).save(file, form)
                trees.put(home, f"{hue}.{kind}", data=file.getvalue())

    def file(self, key: str) -> Path:
        return self.home / f"{zlib.crc32(key.encode()) % HUES}.{key.rpartition('.')[2].lower()}"

    def put(self, root: Path, places: Iterable[tuple[str, str]]) -> None:
        """Put the picture of each key at its place."""
        folders = set()
        for place, key in places:
            path = root / place
            if path.parent not in folders:
                path.parent.mkdir(parents=True, exist_ok=True)
                folders.add(path.parent)
            path.hardlink_to(self.file(key))

    def pack(self, root: Path, archive: str, places: Iterable[tuple[str, str]]) -> None:
        trees.pack(root, archive, {place: self.file(key).read_bytes() for place, key in places})


def train(root: Path, *places: str) -> None:
    trees.put(root, *places, data=TRAINING)


# --- RAF-DB -----------------------------------------------------------------------------------------------------------


@cache
def raf_rows() -> list[Wanted]:
    rows = json.loads((SHARED / "ferbench" / "rafdb_qa.json").read_text())
    return [Wanted(row["image_path"], row["true_label"], Path(row["image_path"]).name) for row in rows]


TRAIN_LINES = 40


def raf_id(label: str) -> int:
    return CANDIDATES["rafdb"].index(label) + 1


def raf_list() -> list[str]:
    """The label list: training lines, then test lines by number."""
    test = [f"{row.key.replace('_aligned', '')} {raf_id(row.label)}" for row in reversed(raf_rows())]
    return [f"train_{at:05d}.jpg {at % 7 + 1}" for at in range(1, TRAIN_LINES + 1)] + test


def raf_train(folder: str) -> list[str]:
    return [f"{folder}train_{at:05d}_aligned.jpg" for at in range(1, TRAIN_LINES + 1)]


def raf_original(root: Path, pool: Pool) -> Tree:
    trees.lines(root, "basic/EmoLabel/list_patition_label.txt", raf_list(), end="\r\n")
    trees.put(root, "basic/Annotation/manual/test_0001_manu_attri.txt", "basic/Image/original/test_0001.jpg")
    pool.put(root, ((f"basic/Image/aligned/{row.key}", row.key) for row in raf_rows()))
    train(root, *raf_train("basic/Image/aligned/"))
    return Tree(raf_rows())


def raf_archive(root: Path, pool: Pool) -> Tree:
    trees.lines(root, "EmoLabel/list_patition_label.txt", raf_list()[TRAIN_LINES:])
    pool.pack(root, "Image/aligned.zip", ((f"aligned/{row.key}", row.key) for row in raf_rows()))
    return Tree(raf_rows())


def raf_flat(root: Path, pool: Pool) -> Tree:
    trees.lines(root, "list_patition_label.txt", raf_list(), bom=True)
    pool.put(root, ((f"aligned/{row.key}", row.key) for row in raf_rows()))
    train(root, *raf_train("aligned/"))
    return Tree(raf_rows())


def raf_classes(root: Path, pool: Pool) -> Tree:
    pool.put(root, ((f"DATASET/test/{raf_id(row.label)}/{row.key}", row.key) for row in raf_rows()))
    train(root, *raf_train("DATASET/train/4/"), "DATASET/train/4/test_0001_aligned.jpg", "DATASET/train/1/aug_1.jpg")
    return Tree(raf_rows())


def raf_classes_csv(root: Path, pool: Pool) -> Tree:
    tree = raf_classes(root, pool)
    rows = [f"{row.key},{raf_id(row.label)}" for row in reversed(raf_rows())]
    trees.lines(root, "DATASET/test_labels.csv", ["image,label", *rows])
    trees.lines(root, "DATASET/train_labels.csv", ["image,label", *(f"{name},4" for name in raf_train(""))])
    return tree


# --- FERPlus ----------------------------------------------------------------------------------------------------------

VOTES = SHARED / "ferplus"


def most_voted(votes: list[str]) -> str:
    """The first of the eight expressions that no other beats."""
    numbers = [int(vote) for vote in votes[:8]]
    return VOTE_COLUMNS[numbers.index(max(numbers))]


def fer_row(name: str, label: str, key: str = "") -> Wanted:
    return Wanted(f"/FERPlus/test/{label}/{name}", label, key or name)


@cache
def fer_rows() -> list[Wanted]:
    with (VOTES / "FER2013Test" / "label.csv").open(newline="") as file:
        return sorted(fer_row(name, most_voted(votes)) for name, _, *votes in csv.reader(file))


@cache
def fer_lines() -> list[list[str]]:
    """fer2013new.csv: usage, name and votes of every row of fer2013.csv."""
    with (VOTES / "fer2013new.csv").open(newline="") as file:
        return list(csv.reader(file))[1:]


@cache
def pixel_row_of() -> dict[str, int]:
    """Row of fer2013.csv of every test name, the first where there are two."""
    rows = ((line[1], at) for at, line in enumerate(fer_lines()) if line[0] == "PrivateTest")
    return dict(reversed([*rows]))


def fer_votes(root: Path, place: str, *splits: str) -> None:
    for split in splits or ("Train", "Valid", "Test"):
        data = (VOTES / f"FER2013{split}" / "label.csv").read_bytes()
        trees.put(root, f"{place}FER2013{split}/label.csv", data=data)


def fer_pixels(root: Path, path: str, header: str) -> None:
    """Write the table of pixels: a test row's first two pixels are its number, other rows have no picture."""
    usage_first = header.split(",")[1].strip() == "Usage"
    black = " 0" * (48 * 48 - 2)
    lines = [header]
    for at, (usage, *_) in enumerate(fer_lines()):
        pixels = f"{at // 256} {at % 256}{black}" if usage == "PrivateTest" else "7 7 7"
        lines.append(f"3,{usage},{pixels}" if usage_first else f"3,{pixels},{usage}")
    trees.lines(root, path, lines)


def by_pixel_row(rows: list[Wanted]) -> list[Wanted]:
    return [row._replace(key=f"#{pixel_row_of()[row.path.rpartition('/')[2]]}") for row in rows]


def fer_pngs(root: Path, pool: Pool) -> Tree:
    fer_votes(root, "data/")
    trees.put(root, "fer2013new.csv", data=(VOTES / "fer2013new.csv").read_bytes())
    pool.put(root, ((f"data/FER2013Test/{row.key}", row.key) for row in fer_rows()))
    train(root, *(f"data/FER2013Train/fer{at:07d}.png" for at in range(40)), "data/FER2013Valid/fer0028638.png")
    return Tree(fer_rows())


def fer_paired(root: Path, pool: Pool) -> Tree:
    fer_votes(root, "data/")
    trees.put(root, "fer2013new.csv", data=(VOTES / "fer2013new.csv").read_bytes())
    fer_pixels(root, "fer2013.csv", "emotion,pixels,Usage")
    return Tree(by_pixel_row(fer_rows()))


def fer_apart(root: Path, pool: Pool) -> Tree:
    fer_votes(root, "FERPlus/data/", "Test")
    trees.put(root, "FERPlus/fer2013new.csv", data=(VOTES / "fer2013new.csv").read_bytes())
    fer_pixels(root, "icml_face_data.csv", "emotion, Usage, pixels")
    return Tree(by_pixel_row(fer_rows()))


def fer_older(root: Path, pool: Pool) -> Tree:
    trees.put(root, "fer2013new.csv", data=(VOTES / "fer2013new.csv").read_bytes())
    fer_pixels(root, "fer2013.csv", "emotion,pixels,Usage")
    votes = {name: fer_lines()[at][2:] for name, at in pixel_row_of().items() if name}
    rows = sorted(fer_row(name, most_voted(counts)) for name, counts in votes.items())
    return Tree(by_pixel_row(rows), {"no face name": 15, "duplicate row": 1}, published=False, agrees=False)


def fer_classes(root: Path, pool: Pool) -> Tree:
    pool.put(root, ((f"test/{row.label}/{row.key}", row.key) for row in fer_rows()))
    copies = [f"train/{label}/{at}_fer{at:07d}.png" for label in CANDIDATES["ferplus"] for at in range(5)]
    train(root, *copies, "train/sad/fer0032225.png", "validation/sad/fer0028638.png")
    return Tree(fer_rows())


# --- AffectNet --------------------------------------------------------------------------------------------------------

FEW = 50
"""Rows a code where the real 500 would show nothing new."""


@cache
def affect_rows(each: int) -> list[tuple[str, int]]:
    """Names and codes of a validation list: `each` of the codes 0 to 10, in no order."""
    chance = random.Random(1)
    suffixes = ["jpg"] * 12 + ["JPG", "jpeg", "png", "bmp", "tif"]
    folders = chance.sample(range(1, 1348), 60)
    codes = [code for code in range(11) for _ in range(each)]
    chance.shuffle(codes)
    hashes = (f"{chance.getrandbits(224):056x}" for _ in codes)
    return [
        (f"{chance.choice(folders)}/{name}.{chance.choice(suffixes)}", code)
        for name, code in zip(hashes, codes, strict=True)
    ]


def affect_wanted(each: int) -> list[Wanted]:
    words = CANDIDATES["affectnet"]
    return sorted(Wanted(AFFECTNET_HOME + name, words[code], name) for name, code in affect_rows(each) if code < 8)


def affect_original(root: Path, pool: Pool, *, lists: str, pictures: str, each: int = FEW) -> Tree:
    """Write the original release; a training list names some pictures of the validation list once more."""
    chance = random.Random(2)
    rows = affect_rows(each)
    lines = [trees.AFFECTNET_HEADER]
    for name, code in rows:
        box = f"{chance.randrange(9)},{chance.randrange(9)},{chance.choice([120, 120, -1])},{chance.randrange(1, 300)}"
        lines.append(trees.affectnet_row(name, code, box=box, valence=-2 if code > 8 else 0.5))
    trees.lines(root, f"{lists}validation.csv", lines)
    own = [f"{at}/{at:056x}.jpg" for at in range(1, 81)]
    names = own + [name for name, _ in rows[:20]]
    marks = [trees.affectnet_row(name, (at + 1) % 8) for at, name in enumerate(names)]
    trees.lines(root, f"{lists}training.csv", [trees.AFFECTNET_HEADER, *marks])
    pool.put(root, ((pictures + name, name) for name, _ in rows))
    train(root, *(pictures + name for name in own))
    dropped = dict.fromkeys(("label none", "label uncertain", "label no face"), each)
    return Tree(affect_wanted(each), dropped, agrees=each == 500)


def affect_lists(root: Path, pool: Pool) -> Tree:
    lists, pictures = "Manually_Annotated_file_lists/", "Manually_Annotated/Manually_Annotated_Images/"
    return affect_original(root, pool, lists=lists, pictures=pictures, each=500)


def affect_beside(root: Path, pool: Pool) -> Tree:
    home = "Manually_Annotated/Manually_Annotated_Images/"
    return affect_original(root, pool, lists=home, pictures=home)


def affect_validation(root: Path, pool: Pool) -> Tree:
    lists, pictures = "Manually_Annotated_file_lists/", "Manually_Annotated/validation/"
    return affect_original(root, pool, lists=lists, pictures=pictures)


def affect_numbered() -> list[tuple[str, int]]:
    """Numbers and codes of the later releases: they know no other names, and no codes above 7."""
    return [(str(at * 7 + 3), code) for at, (_, code) in enumerate(affect_rows(FEW)) if code < 8]


def numbered_wanted() -> list[Wanted]:
    words = CANDIDATES["affectnet"]
    return sorted(Wanted(f"{AFFECTNET_HOME}{at}.jpg", words[code], f"{at}.jpg") for at, code in affect_numbered())


def affect_2021(root: Path, pool: Pool) -> Tree:
    pool.put(root, ((f"val_set/images/{at}.jpg", f"{at}.jpg") for at, _ in affect_numbered()))
    for at, code in affect_numbered():
        trees.annotation(root, "val_set/annotations", at, exp=code, val=0.25, aro=-0.5, lnd=0.0)
    return Tree(numbered_wanted(), published=False, agrees=False)


def affect_plus(root: Path, pool: Pool) -> Tree:
    home = "human_annotated/validation_set/"
    pool.put(root, ((f"{home}images/{at}.jpg", f"{at}.jpg") for at, _ in affect_numbered()))
    for at, code in affect_numbered():
        trees.put(root, f"{home}annotations/{at}.json", data=json.dumps({"human-label": code, "valence": 0.5}).encode())
    trees.put(root, "human_annotated/train_set/annotations/3.json", data=b'{"human-label": 6}')
    train(root, "human_annotated/train_set/images/3.jpg")
    return Tree(numbered_wanted(), published=False, agrees=False)


def affect_classes(root: Path, pool: Pool) -> Tree:
    """Write a mirror that numbers the classes by the alphabet and knows no subfolders."""
    words = CANDIDATES["affectnet"]
    mirror = {str(at): word for at, word in enumerate(sorted(words))}
    number = {word: at for at, word in mirror.items()}
    rows = [(name.rpartition("/")[2], words[code]) for name, code in affect_rows(FEW) if code < 8]
    pool.put(root, ((f"val/{number[label]}/{name}", name) for name, label in rows))
    train(root, *(f"train/{at}/{at:056x}.jpg" for at in range(8)))
    wanted = sorted(Wanted(AFFECTNET_HOME + name, label, name) for name, label in rows)
    return Tree(wanted, labels=mirror, published=False, agrees=False)


# --- SFEW -------------------------------------------------------------------------------------------------------------


def sfew_rows(*, more: int = 0) -> list[Wanted]:
    """Rows with the published counts, and some more that only the frames have."""
    chance = random.Random(3)
    movies = ["21", "AlexEmma", "HarryPotter_Half_Blood_Prince", "Serendipity"]
    rows = []
    for label, count in zip(CANDIDATES["sfew"], COUNTS["sfew"], strict=True):
        for at in range(count + (more if label == "happy" else 0)):
            name = f"{chance.choice(movies)}_{chance.randrange(10**9):09d}_{at:08d}.png"
            rows.append(Wanted(f"{SFEW_HOME}{label.title()}/{name}", label, name))
    return sorted(rows)


def sfew_place(row: Wanted) -> str:
    return f"{row.label.title()}/{row.key}"


def sfew_train(root: Path, folder: str) -> None:
    rows = sfew_rows()
    pairs = zip(rows, rows[99:], strict=False)
    train(root, *(folder + sfew_place(row._replace(label=other.label)) for row, other in pairs))


def sfew_aligned(root: Path, pool: Pool) -> Tree:
    rows = sfew_rows()
    pool.put(
        root, ((f"Val/Val_Aligned_Faces/{sfew_place(row)}", row.key) for row in random.Random(4).sample(rows, 431))
    )
    trees.put(root, *(f"Val/Val_Aligned_Faces/{label.title()}/Thumbs.db" for label in CANDIDATES["sfew"]))
    trees.put(root, *(f"Val/{sfew_place(row)}" for row in rows[::9]), "Test/Test_Aligned_Faces/x.png")
    sfew_train(root, "Train/Train_Aligned_Faces/")
    return Tree(rows)


def sfew_archive(root: Path, pool: Pool) -> Tree:
    rows = sfew_rows()
    pool.pack(
        root, "Val_Aligned_Faces_new.zip", ((f"Val_Aligned_Faces_new/{sfew_place(row)}", row.key) for row in rows)
    )
    trees.pack(root, "Train_Aligned_Faces.zip", {"Train_Aligned_Faces/Sad/a.png": TRAINING})
    return Tree(rows)


def sfew_archives(root: Path, pool: Pool) -> Tree:
    rows = sfew_rows()
    for label, some in itertools.groupby(rows, key=lambda row: row.label):
        places = ((f"{label.title()}/{row.key}", row.key) for row in some)
        pool.pack(root, f"Val/Val_Aligned_Faces/{label.title()}.zip", places)
    trees.pack(root, "Train/Train_Aligned_Faces/Sad.zip", {"Sad/a.png": TRAINING})
    return Tree(rows)


def sfew_frames(root: Path, pool: Pool) -> Tree:
    rows = sfew_rows(more=5)
    pool.put(root, ((f"Val/{sfew_place(row)}", row.key) for row in rows))
    sfew_train(root, "Train/")
    return Tree(rows, published=False, agrees=False)


# --- rounds -----------------------------------------------------------------------------------------------------------

Maker = Callable[[Path, Pool], Tree]
ROUNDS: list[dict[str, Maker]] = [
    {"rafdb": raf_original, "ferplus": fer_pngs, "affectnet": affect_lists, "sfew": sfew_aligned},
    {"rafdb": raf_flat, "ferplus": fer_paired, "affectnet": affect_validation, "sfew": sfew_archive},
    {"rafdb": raf_classes_csv, "ferplus": fer_older, "affectnet": affect_beside, "sfew": sfew_archives},
    {"rafdb": raf_classes, "ferplus": fer_classes, "affectnet": affect_classes, "sfew": sfew_frames},
    {"rafdb": raf_archive, "ferplus": fer_apart, "affectnet": affect_2021},
    {"affectnet": affect_plus},
]
LAYOUT_NAMES = {
    raf_original: "original", raf_archive: "original", raf_flat: "flat", raf_classes: "class folders",
    raf_classes_csv: "class folders", fer_pngs: "votes", fer_paired: "votes", fer_apart: "votes beside the pixels",
    fer_older: "older votes", fer_classes: "class folders", affect_lists: "original", affect_beside: "original",
    affect_validation: "original", affect_2021: "2021 release", affect_plus: "AffectNet+",
    affect_classes: "class folders", sfew_aligned: "aligned", sfew_archive: "aligned", sfew_archives: "aligned",
    sfew_frames: "frames",
}  # fmt: skip
WITHOUT_TRAINING = (raf_archive, fer_apart, affect_2021)
NEEDS_REAL = ("rafdb", "ferplus")


@dataclass(frozen=True)
class Round:
    """One run of check, bench and export over one tree of each source."""

    home: Path
    trees: dict[str, Tree]
    check: Ran
    bench: Ran
    export: Ran

    def rows(self, source: str) -> list[dict[str, object]]:
        return json.loads((self.home / "out" / FILES[source]).read_text())

    def built(self, source: str, *columns: str) -> Iterator[dict[str, object]]:
        for path in sorted((self.home / "fer-data" / "ferbench" / source).glob("*.arrow")):
            with pa.memory_map(str(path)) as file:
                yield from pa.ipc.open_stream(file).read_all().select(columns).to_pylist()


@pytest.fixture(scope="module")
def pool(tmp_path_factory) -> Pool:
    return Pool(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def rounds(pool, tmp_path_factory) -> list[Round]:
    """All rounds, two at a time: most of a small round is the start of its three processes."""
    homes = [tmp_path_factory.mktemp("round") for _ in ROUNDS]
    with ThreadPoolExecutor(2) as threads:
        return [*threads.map(run_round, homes, itertools.repeat(pool), ROUNDS)]


def run_round(home: Path, pool: Pool, makers: dict[str, Maker]) -> Round:
    made, sources = {}, {}
    for source, make in makers.items():
        if SHARED.exists() or source not in NEEDS_REAL:
            root = home / f"the {source}"
            made[source] = make(root, pool)
            own = {"labels": made[source].labels} if made[source].labels else {}
            sources[source] = {"root": root.name, **own}
    (home / "fer-build.yaml").write_text(json.dumps({"sources": sources}))
    prompts = ["--prompts", SHARED / "ferbench" / "rafdb_qa.json"] if "rafdb" in made else []
    return Round(
        home,
        made,
        fer_build("check", "--json", cwd=home),
        fer_build("bench", *prompts, "--workers", 1, "--json", cwd=home),
        fer_build("export", "ferbench", "--to", "unifer", "--out", "out", "--json", cwd=home),
    )


CASES = [(at, source, make) for at, makers in enumerate(ROUNDS) for source, make in makers.items()]
CASE_NAMES = [f"{source}-{make.__name__}" for _, source, make in CASES]


@pytest.fixture(params=CASES, ids=CASE_NAMES)
def case(request, rounds) -> tuple[Round, str, Maker]:
    number, source, make = request.param
    if source in NEEDS_REAL and not SHARED.exists():
        pytest.skip("the real annotation data (../shared/data) is not beside this checkout")
    return rounds[number], source, make


# --- what must hold ---------------------------------------------------------------------------------------------------


def test_what_is_wanted_has_the_published_counts():
    for rows, source in ((affect_wanted(500), "affectnet"), (sfew_rows(), "sfew")):
        assert [sum(row.label == word for row in rows) for word in CANDIDATES[source]] == COUNTS[source]


def test_the_real_data_has_the_published_counts(real_data):
    for rows, source in ((raf_rows(), "rafdb"), (fer_rows(), "ferplus")):
        assert [sum(row.label == word for row in rows) for word in CANDIDATES[source]] == COUNTS[source]
    assert [row.key for row in raf_rows()] == [f"test_{at:04d}_aligned.jpg" for at in range(3068, 0, -1)]


def test_rows_are_the_published_ones_in_their_order(case):
    found, source, _ = case
    rows = found.rows(source)
    wanted = found.trees[source].rows
    assert [(row["image_path"], row["true_label"]) for row in rows] == [(row.path, row.label) for row in wanted]
    assert all(list(row) == KEYS for row in rows)
    assert all(row["candidate_labels"] == CANDIDATES[source] for row in rows)


def test_every_row_has_its_own_picture(case, pool):
    found, source, _ = case
    keys = {row.path: row.key for row in found.trees[source].rows}
    seen = 0
    for row in found.built(source, "image_path", "images", "faces"):
        key, data = keys[row["image_path"]], row["images"][0]["bytes"]
        if key.startswith("#"):
            picture = np.asarray(Image.open(io.BytesIO(data)))
            assert picture.shape == (48, 48) and int(picture[0, 0]) * 256 + int(picture[0, 1]) == int(key[1:])
        else:
            assert data == pool.file(key).read_bytes(), row["image_path"]
        assert row["faces"][0]["sha256"] == hashlib.sha256(data).hexdigest()
        seen += 1
    assert seen == len(keys)


def test_nothing_of_a_training_split_is_in_it(case):
    found, source, make = case
    split = "test" if source in NEEDS_REAL else "validation"
    assert {face["split"] for row in found.built(source, "faces") for face in row["faces"]} == {split}
    listed = found.check.json["sources"][source]["splits"]
    assert [*listed] == [split] if make in WITHOUT_TRAINING else "train" in listed


def test_the_layout_is_the_one_meant_and_its_counts_are_told(case):
    found, source, make = case
    told = found.check.json["sources"][source]
    assert told["layout"] == LAYOUT_NAMES[make]
    counts = told["splits"]["test" if source in NEEDS_REAL else "validation"]
    assert counts["rows"] == len(found.trees[source].rows) and counts["missing_pictures"] == 0
    assert counts["agrees"] is found.trees[source].agrees


def test_a_layout_that_cannot_reach_the_published_rows_says_so(case):
    found, source, make = case
    notes = " ".join(found.check.json["sources"][source]["notes"])
    if make is fer_older:
        assert "47 of its 3,573 test labels" in notes
    else:
        assert ("the exported benchmark" in notes) is not found.trees[source].published, notes


@pytest.mark.parametrize("number", range(len(ROUNDS)))
def test_files_counts_and_exit_codes(rounds, number):
    found = rounds[number]
    if not found.trees:
        pytest.skip("the real annotation data (../shared/data) is not beside this checkout")
    assert (found.check.code, found.bench.code, found.export.code) == (0, 0, 0), found.bench.err
    counts = {source: len(tree.rows) for source, tree in found.trees.items()}
    files = {FILES[source]: rows for source, rows in counts.items()}
    assert found.export.json["files"] == files
    assert {path.name for path in (found.home / "out").iterdir()} == {*files, "export.json", ".lock"}
    told = found.bench.json
    dropped = Counter[str]()
    for tree in found.trees.values():
        dropped.update(tree.dropped)
    assert told["splits"] == counts and told["dropped"] == dropped and "findings" not in told
    assert told["in"] == told["kept"] + sum(told["dropped"].values()) and told["kept"] == sum(counts.values())


@pytest.mark.parametrize("number", [at for at, makers in enumerate(ROUNDS) if "rafdb" in makers])
def test_with_published_prompts_the_file_is_the_published_one(rounds, real_data, number):
    found = rounds[number]
    published = real_data / "ferbench" / "rafdb_qa.json"
    assert (found.home / "out" / "rafdb_qa.json").read_bytes() == published.read_bytes()
    theirs = json.loads(published.read_text())[0]["prompt"]
    assert all(row["prompt"] != theirs for source in found.trees if source != "rafdb" for row in found.rows(source))


def test_the_older_votes_cost_what_the_tool_says(real_data, rounds):
    ours = {row["image_path"].rpartition("/")[2]: row["true_label"] for row in rounds[2].rows("ferplus")}
    theirs = {row.key: row.label for row in fer_rows()}
    assert ours.keys() == theirs.keys()
    assert sum(ours[name] != theirs[name] for name in ours) == 47


def test_zip_members_are_what_the_archives_hold(rounds):
    """The trees of archives hold no unpacked picture: their rows can only come from inside them."""
    for number in (1, 2):
        root = rounds[number].home / "the sfew"
        assert not [*root.rglob("*.png")] and all(zipfile.is_zipfile(path) for path in root.rglob("*.zip"))
