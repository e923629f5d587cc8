"""The four layouts of the demo: each writer puts a release's files where and as its holder does.

Stands between `demo.framing`, which makes pictures, and `demo.releases`, which builds the whole and states
what must come of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import numpy as np

from ferbuild.builders.record import VOTE_WORDS
from ferbuild.demo.framing import Cutout, Frame, align, encode, frame, texture
from ferbuild.demo.portraits import Face, Portrait, make_face

SEVEN = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
EIGHT = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")

RAF = Cutout(100, 100, eye_distance=32, eye_line=40)
FER = Cutout(48, 48, eye_distance=16.5, eye_line=17)
SFEW = Cutout(143, 181, eye_distance=48, eye_line=72)

VOTED = VOTE_WORDS[:8]
NOBODY = [0, 0, 0, 0, 0, 0, 0, 0, 0, 10]
FERPLUS_SPLITS = (
    ("FER2013Train", "Training", EIGHT),
    ("FER2013Valid", "PublicTest", ("happiness", "surprise", "anger")),
    ("FER2013Test", "PrivateTest", EIGHT),
)

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
LANDMARKS = (
    *(127, 234, 93, 132, 58, 136, 149, 148, 152, 377, 378, 365, 288, 361, 323, 454, 356),  # rim of the face
    *(70, 63, 105, 66, 107, 336, 296, 334, 293, 300),  # brows
    *(168, 197, 5, 4, 98, 97, 2, 326, 327),  # nose
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),  # eyes
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87),  # lips
)
"""Mesh points that stand for the 68 landmarks, in their order."""

CLASSES = {
    "anger": "Angry",
    "disgust": "Disgust",
    "fear": "Fear",
    "happiness": "Happy",
    "neutral": "Neutral",
    "sadness": "Sad",
    "surprise": "Surprise",
}


class Shot(NamedTuple):
    """One drawn face, and the random numbers that remain for photographing and labelling it."""

    label: str
    """A canonical word."""
    intensity: float
    portrait: Portrait
    face: Face
    rng: np.random.Generator


class Studio(NamedTuple):
    """What every shot needs."""

    portraits: Sequence[Portrait]
    seed: int

    def rng(self, *key: str | int) -> np.random.Generator:
        """Return random numbers that depend on the seed and the key alone."""
        return np.random.default_rng([self.seed, *(crc32(str(part).encode()) for part in key)])

    def shots(self, key: str, labels: Sequence[str]) -> Iterator[Shot]:
        """Draw one face a label, the portraits in turn."""
        for at, label in enumerate(labels):
            rng = self.rng(key, at)
            portrait = self.portraits[(at + crc32(key.encode())) % len(self.portraits)]
            intensity = rng.uniform(0.75, 1.1)
            yield Shot(label, intensity, portrait, make_face(portrait, label, intensity, rng), rng)


def write_rafdb(root: Path, studio: Studio) -> None:
    """Write `basic/`: the list with CRLF line ends, aligned and original pictures; no annotations of persons."""
    basic, lines = root / "basic", list[str]()
    for split, labels, width in (("train", SEVEN * 2, 5), ("test", SEVEN, 4)):
        for at, shot in enumerate(studio.shots(f"rafdb/{split}", labels), 1):
            stem = f"{split}_{at:0{width}d}"
            put(basic / f"Image/aligned/{stem}_aligned.jpg", encode(align(shot.face, RAF, shot.rng), ".jpg"))
            original = frame(shot.portrait, shot.face, shot.rng).rgb
            put(basic / f"Image/original/{stem}.jpg", encode(original, ".jpg"))
            lines.append(f"{stem}.jpg {SEVEN.index(shot.label) + 1}")
        if split == "train":
            lines += _rafdb_decoys(basic, studio)
    put(basic / "EmoLabel/list_patition_label.txt", "".join(f"{line}\r\n" for line in lines))


def _rafdb_decoys(basic: Path, studio: Studio) -> list[str]:
    """A truncated file, cloth instead of a face, a picture that is not there, a line that comes again."""
    whole = (basic / "Image/aligned/train_00001_aligned.jpg").read_bytes()
    cloth = encode(texture(100, 100, studio.rng("rafdb/cloth")), ".jpg")
    for number, data in ((15, whole[: len(whole) // 2]), (16, cloth)):
        put(basic / f"Image/aligned/train_{number:05d}_aligned.jpg", data)
    return ["train_00015.jpg 1", "train_00016.jpg 7", "train_00017.jpg 4", "train_00003.jpg 3"]


def write_ferplus(root: Path, studio: Studio) -> None:
    """Write `data/FER2013*/` with the votes and grey pictures, and the older votes of `fer2013new.csv`."""
    older, number = [f"Usage,Image name,{','.join(VOTE_WORDS)}"], 0
    for folder, usage, labels in FERPLUS_SPLITS:
        lines = []
        for shot in studio.shots(f"ferplus/{folder}", labels):
            name = f"fer{number:07d}.png"
            put(root / "data" / folder / name, encode(align(shot.face, FER, shot.rng), ".png", grey=True))
            votes = _votes(shot)
            lines.append(_vote_line(name, votes))
            older.append(f"{usage},{name},{_numbers(_older(votes, number))}")
            number += 1
        if folder == "FER2013Train":
            lines += _ferplus_decoys(root / "data" / folder, studio)
            older += [f"{usage},fer{at:07d}.png,{_numbers(NOBODY)}" for at in (90, 91, 92)]
        older.append(f"{usage},,{_numbers(NOBODY)}")
        put(root / "data" / folder / "label.csv", "".join(f"{line}\n" for line in lines))
    put(root / "fer2013new.csv", "".join(f"{line}\n" for line in older))


def _ferplus_decoys(folder: Path, studio: Studio) -> list[str]:
    """A tie, cloth instead of a face, a picture that is not there, an empty name, votes that are no numbers."""
    tied = next(studio.shots("ferplus/tie", ("anger",)))
    put(folder / "fer0000090.png", encode(align(tied.face, FER, tied.rng), ".png", grey=True))
    cloth = texture(48, 48, studio.rng("ferplus/cloth"))
    put(folder / "fer0000091.png", encode(cloth, ".png", grey=True))
    return [
        _vote_line("fer0000090.png", [0, 0, 0, 0, 4, 4, 0, 0, 2, 0]),
        _vote_line("fer0000091.png", [5, 0, 0, 0, 0, 0, 0, 0, 3, 2]),
        _vote_line("fer0000092.png", [0, 9, 1, 0, 0, 0, 0, 0, 0, 0]),
        _vote_line("", NOBODY),
        'fer0000093.png,"(0, 0, 48, 48)",many,,?,0,0,0,0,0,0,0',
    ]


def _votes(shot: Shot) -> list[int]:
    """Return ten votes: most for the drawn label, the rest for another one and for unknown."""
    votes = [0] * 10
    votes[VOTED.index(shot.label)] = most = int(shot.rng.integers(6, 11))
    second = VOTED[(VOTED.index(shot.label) + 1 + int(shot.rng.integers(7))) % 8]
    others = int(shot.rng.integers(0, 10 - most + 1))
    votes[VOTED.index(second)] += others
    votes[8] += 10 - most - others
    return votes


def _older(votes: list[int], number: int) -> list[int]:
    """Return the votes as the older list has them: every fifth picture has others."""
    return [*votes[1:8], votes[0], *votes[8:]] if number % 5 == 4 else votes


def _vote_line(name: str, votes: Sequence[int]) -> str:
    return f'{name},"(0, 0, 48, 48)",{_numbers(votes)}'


def write_affectnet(root: Path, studio: Studio) -> None:
    """Write the original release: larger pictures, the two lists with face box and 68 landmarks."""
    base = root / "Manually_Annotated"
    for split, file in (("train", "training"), ("validation", "validation")):
        lines = []
        for at, shot in enumerate(studio.shots(f"affectnet/{split}", EIGHT)):
            seen = frame(shot.portrait, shot.face, shot.rng)
            path = _affectnet_path(split, at)
            put(base / "Manually_Annotated_Images" / path, encode(seen.rgb, ".jpg"))
            lines.append(_affectnet_line(path, seen, EIGHT.index(shot.label), _feeling(shot)))
        if split == "train":
            lines += _affectnet_decoys(base / "Manually_Annotated_Images", studio, lines)
        text = "".join(f"{line}\n" for line in (AFFECTNET_HEADER, *lines))
        put(base / "Manually_Annotated_file_lists" / f"{file}.csv", text)


def _affectnet_decoys(pictures: Path, studio: Studio, lines: list[str]) -> list[str]:
    """The codes without expression, a negative width, no picture, no JPEG, a line that comes again, one cut short."""
    made = []
    for at, code in enumerate((8, 9, 10, 1, 1, 1), 50):
        path, shot = _affectnet_path("train", at), next(studio.shots(f"affectnet/decoy{at}", ("neutral",)))
        seen = frame(shot.portrait, shot.face, shot.rng)
        cloth = texture(seen.rgb.shape[1], seen.rgb.shape[0], shot.rng)
        data = {10: encode(cloth, ".jpg")}.get(code, encode(seen.rgb, ".jpg"))
        if at != 54:
            put(pictures / path, b"<html>404 Not Found</html>\n" if at == 55 else data)
        made.append(_affectnet_line(path, seen, code, (-2.0, -2.0) if code in (9, 10) else (0.0, 0.0)))
    fields = made[3].split(",")
    made[3] = ",".join([*fields[:3], f"-{fields[3]}", *fields[4:]])
    return [*made, lines[2], lines[3][:90]]


def _affectnet_path(split: str, at: int) -> str:
    """Return `<folder>/<56 hex digits>.jpg`."""
    name = hashlib.sha224(f"{split} {at}".encode()).hexdigest()
    return f"{int(name[:4], 16) % 1347 + 1}/{name}.jpg"


def _affectnet_line(path: str, seen: Frame, code: int, feeling: tuple[float, float]) -> str:
    x0, y0, x1, y1 = face_box(seen)
    marks = ";".join(f"{value:.2f}" for value in seen.points[list(LANDMARKS)].ravel())
    valence, arousal = (f"{value:.6g}" for value in feeling)
    return f"{path},{x0},{y0},{x1 - x0},{y1 - y0},{marks},{code},{valence},{arousal}"


def face_box(seen: Frame) -> tuple[int, int, int, int]:
    """Return x0 y0 x1 y1 in whole pixels: the mesh and a tenth around it, inside the picture."""
    low, high = seen.points.min(0), seen.points.max(0)
    edge = (high - low) * 0.1
    size = (seen.rgb.shape[1], seen.rgb.shape[0])
    x0, y0 = np.clip(np.floor(low - edge), 0, size).astype(int).tolist()
    x1, y1 = np.clip(np.ceil(high + edge), 0, size).astype(int).tolist()
    return x0, y0, x1, y1


def _feeling(shot: Shot) -> tuple[float, float]:
    """Return valence and arousal: the label's place on the circumplex, further out where the face is stronger."""
    valence, arousal = FEELINGS[shot.label]
    return round(valence * shot.intensity * 0.9, 6), round(arousal * shot.intensity * 0.9, 6)


def write_sfew(root: Path, studio: Studio) -> None:
    """Write the aligned faces of Train and Val by class folder, and what a file browser leaves behind."""
    for split in ("Train", "Val"):
        folder = root / split / f"{split}_Aligned_Faces"
        for shot in studio.shots(f"sfew/{split}", SEVEN):
            data = encode(align(shot.face, SFEW, shot.rng), ".png")
            put(folder / CLASSES[shot.label] / _sfew_name(shot.portrait.name, shot.rng), data)
        put(folder / "Thumbs.db", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504))
    train, rng = root / "Train/Train_Aligned_Faces", studio.rng("sfew/decoys")
    whole = next(iter(sorted((train / "Happy").iterdir()))).read_bytes()
    put(train / "Sad" / _sfew_name("Reel", rng), whole[: len(whole) // 2])
    put(train / "Neutral" / _sfew_name("Reel", rng), encode(texture(SFEW.width, SFEW.height, rng), ".png"))


def _sfew_name(movie: str, rng: np.random.Generator) -> str:
    film = "".join(part.capitalize() for part in movie.split("_"))
    return f"{film}_{int(rng.integers(10_000_000)):09d}_{int(rng.integers(100)):08d}.png"


def put(path: Path, data: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)


def _numbers(values: Sequence[int]) -> str:
    return ",".join(map(str, values))


WRITERS = {"rafdb": write_rafdb, "ferplus": write_ferplus, "affectnet": write_affectnet, "sfew": write_sfew}
