"""The four layouts of the demo: which pictures a release is made of, and its lists, as its holder writes them.

Stands between `demo.shots`, which takes the pictures, and `demo.releases`, which builds the whole and states what
must come of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from ferbuild.builders.images import Pixels
from ferbuild.builders.record import CANONICAL, VOTE_WORDS
from ferbuild.builders.render.scene import Crop
from ferbuild.demo.shots import Form, Shot, Taken, put, put_picture, random

SEVEN = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
"""RAF-DB's order; SFEW has the same labels."""

RAF = Form((200, 300), Crop(0.32, 0.38), 100, 100, strength=(0.6, 1.1), frontal=0.75)
FER = Form((130, 170), Crop(0.32, 0.4), 48, 48, grey=True, strength=(0.35, 1.1), frontal=0.75)
AFFECTNET = Form((240, 420), strength=(0.5, 1.1))
SFEW = Form((240, 320), Crop(0.38, 0.42), 143, 181, strength=(0.7, 1.1))

PORTRAITS = {
    "rafdb/train/4": "astronaut",
    "rafdb/train/7": "grace_hopper",
    "affectnet/train/0": "grace_hopper",
    "affectnet/train/1": "astronaut",
}
"""Shots that are photographs: a smile and a face at rest."""

NOBODY = [0, 0, 0, 0, 0, 0, 0, 0, 0, 10]
FERPLUS_SPLITS = (("FER2013Train", "Training", 8), ("FER2013Valid", "PublicTest", 1), ("FER2013Test", "PrivateTest", 3))
"""Folder, its name in the older list, and faces a label."""
MISTAKEN = {
    "neutral": "sadness",
    "happiness": "neutral",
    "sadness": "neutral",
    "surprise": "fear",
    "fear": "surprise",
    "disgust": "anger",
    "anger": "disgust",
    "contempt": "neutral",
}
"""Label to what an annotator sees who does not see it."""

AFFECTNET_HEADER = (
    "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"
)
FEELINGS = {
    "neutral": (0.0, 0.0),
    "happiness": (0.75, 0.3),
    "sadness": (-0.7, -0.3),
    "surprise": (0.15, 0.8),
    "fear": (-0.35, 0.8),
    "disgust": (-0.7, 0.5),
    "anger": (-0.5, 0.7),
    "contempt": (-0.55, 0.55),
}
"""Label to valence and arousal, -1..1."""

CLASSES = {
    "anger": "Angry",
    "disgust": "Disgust",
    "fear": "Fear",
    "happiness": "Happy",
    "neutral": "Neutral",
    "sadness": "Sad",
    "surprise": "Surprise",
}
FILMS = {"Train": ("Harbour", "Lantern", "Meridian", "Orchard", "Saltmarsh"), "Val": ("Northbound", "Viaduct")}
"""Invented films; each has one actor, seen with every label."""


def shots() -> list[Shot]:
    """Return the pictures of all four releases, those of their decoys with them, in the order of the lists."""
    asked = [*_rafdb(), *_ferplus(), *_affectnet(), *_sfew()]
    return [shot._replace(portrait=PORTRAITS.get(shot.key, "")) for shot in asked]


def _rafdb() -> Iterator[Shot]:
    for split, times in (("train", 14), ("test", 5)):
        for number, label in enumerate(SEVEN * times, 1):
            path = rafdb_path(split, number)
            original = path.replace("/aligned/", "/original/").replace("_aligned.", ".")
            yield Shot(path, f"rafdb/{split}/{number}", label, RAF, original=original)


def rafdb_path(split: str, number: int) -> str:
    return f"rafdb/basic/Image/aligned/{split}_{number:0{5 if split == 'train' else 4}d}_aligned.jpg"


def write_rafdb(root: Path, taken: Sequence[Taken], seed: int) -> None:
    """Write `basic/`: the list with CRLF line ends; no annotations of persons."""
    lines = []
    for split in ("train", "test"):
        asked = [one.shot for one in _of(taken, f"rafdb/{split}/")]
        names = [Path(shot.path).name.replace("_aligned", "") for shot in asked]
        lines += [f"{name} {SEVEN.index(shot.label) + 1}" for name, shot in zip(names, asked, strict=True)]
        if split == "train":
            lines += _rafdb_decoys(root.parent, len(asked) + 1, seed)
    put(root / "basic/EmoLabel/list_patition_label.txt", "".join(f"{line}\r\n" for line in lines))


def _rafdb_decoys(home: Path, first: int, seed: int) -> list[str]:
    """A truncated file, cloth instead of a face, a picture that is not there, a line that comes again."""
    whole = (home / rafdb_path("train", 1)).read_bytes()
    put(home / rafdb_path("train", first), whole[: len(whole) // 2])
    put_picture(home / rafdb_path("train", first + 1), _cloth(100, 100, random(seed, "rafdb/cloth")))
    codes = ((first, 1), (first + 1, 7), (first + 2, 4), (3, 3))
    return [f"train_{number:05d}.jpg {code}" for number, code in codes]


def _ferplus() -> Iterator[Shot]:
    number = 0
    for folder, _, times in FERPLUS_SPLITS:
        for label in CANONICAL * times:
            yield Shot(ferplus_path(folder, number), f"ferplus/{folder}/{number}", label, FER)
            number += 1
    yield Shot(ferplus_path("FER2013Train", 120), "ferplus/decoy/tie", "anger", FER)


def ferplus_path(folder: str, number: int) -> str:
    return f"ferplus/data/{folder}/fer{number:07d}.png"


def write_ferplus(root: Path, taken: Sequence[Taken], seed: int) -> None:
    """Write the votes beside the grey pictures, and the older votes of `fer2013new.csv`."""
    older = [f"Usage,Image name,{','.join(VOTE_WORDS)}"]
    for folder, usage, _ in FERPLUS_SPLITS:
        lines = []
        for one in _of(taken, f"ferplus/{folder}/"):
            name = Path(one.shot.path).name
            votes = _votes(one, random(seed, one.shot.key, "votes"))
            lines.append(_vote_line(name, votes))
            older.append(f"{usage},{name},{_numbers(_older(votes, int(name[3:10])))}")
        if folder == "FER2013Train":
            lines += _ferplus_decoys(root.parent, seed)
            older += [f"{usage},fer{number:07d}.png,{_numbers(NOBODY)}" for number in (120, 121, 122)]
        older.append(f"{usage},,{_numbers(NOBODY)}")
        put(root / "data" / folder / "label.csv", "".join(f"{line}\n" for line in lines))
    put(root / "fer2013new.csv", "".join(f"{line}\n" for line in older))


def _ferplus_decoys(home: Path, seed: int) -> list[str]:
    """A tie, cloth instead of a face, a picture that is not there, an empty name, votes that are no numbers."""
    cloth = _cloth(48, 48, random(seed, "ferplus/cloth"))
    put_picture(home / ferplus_path("FER2013Train", 121), cloth, grey=True)
    return [
        _vote_line("fer0000120.png", [0, 0, 0, 0, 4, 4, 0, 0, 2, 0]),
        _vote_line("fer0000121.png", [5, 0, 0, 0, 0, 0, 0, 0, 3, 2]),
        _vote_line("fer0000122.png", [0, 9, 1, 0, 0, 0, 0, 0, 0, 0]),
        _vote_line("", NOBODY),
        'fer0000123.png,"(0, 0, 48, 48)",many,,?,0,0,0,0,0,0,0',
    ]


def _votes(one: Taken, rng: np.random.Generator) -> list[int]:
    """Return ten votes: 5 to 10 for the label, more the stronger the face is, the rest for its like and unknown."""
    votes = [0] * 10
    sure = 10 * min(1.0, 0.35 + 0.7 * one.strength) + rng.normal(0, 0.7)
    votes[VOTE_WORDS.index(one.shot.label)] = most = int(np.clip(round(sure), 5, 10))
    others = int(rng.binomial(min(10 - most, most - 1), 0.75))
    votes[VOTE_WORDS.index(MISTAKEN[one.shot.label])] = others
    votes[VOTE_WORDS.index("unknown")] = 10 - most - others
    return votes


def _older(votes: list[int], number: int) -> list[int]:
    """Return the votes as the older list has them: every fifth picture has others."""
    return [*votes[1:8], votes[0], *votes[8:]] if number % 5 == 4 else votes


def _vote_line(name: str, votes: Sequence[int]) -> str:
    return f'{name},"(0, 0, 48, 48)",{_numbers(votes)}'


def _affectnet() -> Iterator[Shot]:
    for split, times in (("train", 8), ("validation", 3)):
        for number, label in enumerate(CANONICAL * times):
            yield Shot(affectnet_path(split, number), f"affectnet/{split}/{number}", label, AFFECTNET)
    for number in (900, 901, 902):
        yield Shot(affectnet_path("train", number), f"affectnet/decoy/{number}", "neutral", AFFECTNET)


def affectnet_path(split: str, number: int) -> str:
    """Return `…/<folder>/<56 hex digits>.jpg`."""
    name = hashlib.sha224(f"{split} {number}".encode()).hexdigest()
    folder = "affectnet/Manually_Annotated/Manually_Annotated_Images"
    return f"{folder}/{int(name[:4], 16) % 1347 + 1}/{name}.jpg"


def write_affectnet(root: Path, taken: Sequence[Taken], seed: int) -> None:
    """Write the two lists of the original release, with face box and 68 landmarks."""
    for split, file in (("train", "training"), ("validation", "validation")):
        lines = [_affectnet_line(one, CANONICAL.index(one.shot.label)) for one in _of(taken, f"affectnet/{split}/")]
        if split == "train":
            lines += _affectnet_decoys(root.parent, _of(taken, "affectnet/decoy/"), lines, seed)
        text = "".join(f"{line}\n" for line in (AFFECTNET_HEADER, *lines))
        put(root / f"Manually_Annotated/Manually_Annotated_file_lists/{file}.csv", text)


def _affectnet_decoys(home: Path, faces: Sequence[Taken], lines: Sequence[str], seed: int) -> list[str]:
    """The codes without expression, a negative width, no JPEG, no picture, a line that comes again, one cut short."""
    none, uncertain, negative = faces
    fields = _affectnet_line(negative, 1).split(",")
    gone = [none._replace(shot=none.shot._replace(path=affectnet_path("train", at))) for at in (903, 904, 905)]
    cloth = _cloth(none.width, none.height, random(seed, "affectnet/cloth"))
    put_picture(home / gone[0].shot.path, cloth)
    put(home / gone[1].shot.path, b"<html>404 Not Found</html>\n")
    return [
        _affectnet_line(none, 8),
        _affectnet_line(uncertain, 9),
        _affectnet_line(gone[0], 10),
        ",".join([*fields[:3], f"-{fields[3]}", *fields[4:]]),
        *(_affectnet_line(one, 1) for one in gone[1:]),
        lines[2],
        lines[3][:90],
    ]


def _affectnet_line(one: Taken, code: int) -> str:
    x0, y0, x1, y1 = one.box
    marks = ";".join(f"{value:.2f}" for value in one.marks.ravel())
    path = one.shot.path.partition("Manually_Annotated_Images/")[2]
    return f"{path},{x0},{y0},{x1 - x0},{y1 - y0},{marks},{code},{_feeling(one, code)}"


def _feeling(one: Taken, code: int) -> str:
    """Return valence and arousal: the label's place on the circumplex, further out where the face is stronger."""
    if code in (9, 10):
        return "-2,-2"
    return ",".join(f"{value * one.strength * 0.9:.6g}" for value in FEELINGS[one.shot.label])


def _sfew() -> Iterator[Shot]:
    for split, films in FILMS.items():
        for number, label in enumerate(SEVEN * len(films)):
            film = films[number // 7]
            yield Shot(sfew_path(split, film, label, number), f"sfew/{split}/{number}", label, SFEW, f"sfew/{film}")


def sfew_path(split: str, film: str, label: str, number: int) -> str:
    """Return `…/<film>_<time in the film>_<number>.png`."""
    name = f"{film}_{1510 + number * 27_640:09d}_{number % 7 * 4 + 3:08d}.png"
    return f"sfew/{split}/{split}_Aligned_Faces/{CLASSES[label]}/{name}"


def write_sfew(root: Path, taken: Sequence[Taken], seed: int) -> None:
    """Write what a file browser leaves behind, half a file and cloth instead of a face; SFEW has no lists."""
    for split in FILMS:
        put(root / split / f"{split}_Aligned_Faces/Thumbs.db", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504))
    whole = (root.parent / _of(taken, "sfew/Train/")[0].shot.path).read_bytes()
    put(root.parent / sfew_path("Train", "Reel", "sadness", 0), whole[: len(whole) // 2])
    cloth = _cloth(SFEW.width, SFEW.height, random(seed, "sfew/cloth"))
    put_picture(root.parent / sfew_path("Train", "Reel", "neutral", 1), cloth)


def _of(taken: Sequence[Taken], prefix: str) -> list[Taken]:
    return [one for one in taken if one.shot.key.startswith(prefix)]


def _numbers(values: Sequence[int]) -> str:
    return ",".join(map(str, values))


def _cloth(width: int, height: int, rng: np.random.Generator) -> Pixels:
    """Return a picture without a face."""
    coarse = rng.uniform(40, 215, (height // 12 + 2, width // 12 + 2, 3)).astype(np.float32)
    woven = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) + rng.normal(0, 9, (height, width, 3))
    return np.asarray(np.clip(np.round(woven), 0, 255), np.uint8)


WRITERS = {"rafdb": write_rafdb, "ferplus": write_ferplus, "affectnet": write_affectnet, "sfew": write_sfew}
