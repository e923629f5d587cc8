"""CK+, JAFFE, KDEF, ExpW and CAER-S: one manifest each, on small trees in their real form."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trees import addresses, counts, labels, lines, pack, put, reasons

from ferbuild.builders.errors import FerError
from ferbuild.builders.sources import list_source, names, sequences
from ferbuild.builders.sources.tree import Tree
from ferbuild.manifests.load import load_source

CKPLUS, JAFFE, KDEF, EXPW, CAERS = map(load_source, ("ckplus", "jaffe", "kdef", "expw", "caers"))


def sequence(root: Path, subject: str, number: str, frames: int, emotion: str | None) -> None:
    """Write one CK+ sequence and, unless `emotion` is None, the label file named after its last frame."""
    stems = [f"{subject}_{number}_{at:08d}" for at in range(1, frames + 1)]
    put(root, *(f"cohn-kanade-images/{subject}/{number}/{stem}.png" for stem in stems))
    folder = f"Emotion/{subject}/{number}"
    (root / folder).mkdir(parents=True)
    if emotion is not None:
        put(root, f"{folder}/{stems[-1]}_emotion.txt", data=emotion.encode())


def ck_release(root: Path) -> None:
    sequence(root, "S005", "001", 11, "   3.0000000e+00\n")
    sequence(root, "S010", "001", 14, None)
    sequence(root, "S010", "002", 14, "   7.0000000e+00\n")
    sequence(root, "S011", "001", 3, "\n")
    sequence(root, "S011", "002", 3, "   9.0000000e+00\n")
    sequence(root, "S052", "004", 1, "   1.0000000e+00\n")
    put(root, "cohn-kanade-images/S005/.DS_Store", "cohn-kanade-images/ReadMe.txt")


def test_ckplus_peaks_and_first_frames(tmp_path):
    ck_release(tmp_path)
    listing = list_source(CKPLUS, tmp_path)
    assert listing.layout == "sequences"
    assert labels(listing) == {
        ("train", "S005_001_00000001.png"): "neutral",
        ("train", "S005_001_00000011.png"): "disgust",
        ("train", "S010_002_00000001.png"): "neutral",
        ("train", "S010_002_00000014.png"): "surprise",
        ("train", "S011_002_00000001.png"): "neutral",
        ("train", "S052_004_00000001.png"): "anger",
    }
    assert reasons(listing) == {"no emotion label": 1, "malformed row": 1, "label outside the table": 1}
    unlabelled = next(drop for drop in listing.drops.to_pylist() if drop["reason"] == "no emotion label")
    assert unlabelled["rel_path"] == "cohn-kanade-images/S010/001/S010_001_00000014.png"
    assert addresses(listing)[0] == "cohn-kanade-images/S005/001/S005_001_00000001.png"
    assert listing.rows["size"].to_pylist() == [7] * 6


def test_ckplus_without_first_frames(tmp_path):
    ck_release(tmp_path)
    layout = CKPLUS.layouts[0].model_copy(update={"options": {**CKPLUS.layouts[0].options, "neutral": None}})
    listing = list_source(CKPLUS.model_copy(update={"layouts": [layout]}), tmp_path)
    assert counts(listing) == {"train": {"disgust": 1, "surprise": 1, "anger": 1}}


def test_ckplus_peak_without_its_picture_stays(tmp_path):
    sequence(tmp_path, "S005", "001", 4, "   6.0000000e+00\n")
    (tmp_path / "cohn-kanade-images/S005/001/S005_001_00000004.png").unlink()
    listing = list_source(CKPLUS, tmp_path)
    assert labels(listing) == {
        ("train", "S005_001_00000001.png"): "neutral",
        ("train", "S005_001_00000004.png"): "sadness",
    }
    assert sorted(listing.rows["size"].to_pylist(), key=str) == [7, None]
    assert addresses(listing)[1] == "cohn-kanade-images/S005/001/S005_001_00000004.png"


def test_ckplus_nested_folders(tmp_path):
    sequence(tmp_path / "x", "S005", "001", 2, "5")
    (tmp_path / "x/cohn-kanade-images").rename(tmp_path / "extended")
    put(tmp_path, "images/readme.txt")
    (tmp_path / "extended").rename(tmp_path / "images/cohn-kanade-images")
    (tmp_path / "x").rename(tmp_path / "Emotion_labels")
    assert counts(list_source(CKPLUS, tmp_path)) == {"train": {"neutral": 1, "happy": 1}}


def test_ckplus_changed_label_changes_the_digest(tmp_path):
    for name, emotion in (("a", "1"), ("b", "1"), ("c", "2")):
        sequence(tmp_path / name, "S005", "001", 2, emotion)
    a, b, c = (list_source(CKPLUS, tmp_path / name).digest for name in "abc")
    assert a == b != c


def test_ckplus_without_labels_is_an_error(tmp_path):
    sequence(tmp_path, "S005", "001", 2, None)
    with pytest.raises(FerError, match="no emotion file"):
        list_source(CKPLUS, tmp_path)


@given(st.integers(0, 99), st.sampled_from(["   {:.7e}", "{}", "{}.0\r\n"]))
def test_emotion_numbers_round_trip(number, form):
    assert sequences.parse_emotion(form.format(number).encode()) == str(number)


@pytest.mark.parametrize("text", [b"", b"   ", b"happy", b"1.5", b"nan", b"inf", b"1 2", b"\xff"])
def test_emotion_that_is_no_number(text):
    assert sequences.parse_emotion(text) is None


def test_ckplus_expects_327_sequences():
    expected = CKPLUS.expected["as labelled"]["train"]
    assert expected["neutral"] == 327 == sum(expected.values()) - 327


def test_jaffe_names(tmp_path):
    stems = ["KA.AN1.39", "KA.DI1.42", "KA.FE1.45", "KA.HA1.29", "KA.NE1.26", "KA.SA1.33", "KA.SU1.36", "YM.HA3.54"]
    put(tmp_path, *(f"jaffedbase/{stem}.tiff" for stem in stems), "jaffedbase/README", "jaffedbase/KA.XX1.1.tiff")
    put(tmp_path, "jaffedbase/montage.tiff")
    listing = list_source(JAFFE, tmp_path)
    assert listing.base == tmp_path / "jaffedbase"
    assert [word for _, word in sorted(labels(listing).items())] == [
        "anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise", "happiness",
    ]  # fmt: skip
    assert set(listing.rows["split"].to_pylist()) == {"train"}
    assert addresses(listing)[0] == "KA.AN1.39.tiff"
    assert reasons(listing) == {"label outside the table": 1, "foreign file name": 1}
    assert sum(JAFFE.expected["as labelled"]["train"].values()) == 213


def test_kdef_takes_af_for_what_it_is_and_the_front_only(tmp_path):
    faces = ["AF01AFS", "AF01ANS", "AF01DIS", "AF01HAS", "AF01NES", "AF01SAS", "AF01SUS", "AF01AFHL", "AF01AFFR"]
    put(tmp_path, *(f"KDEF/AF01/{face}.JPG" for face in faces), "KDEF/BM35/BM35AFS.JPG", "KDEF/BM35/bm35hahr.jpg")
    put(tmp_path, "KDEF/BM35/BM35XXS.JPG", "KDEF/BM35/copy of BM35AFS.JPG", "KDEF/BM35/Thumbs.db")
    listing = list_source(KDEF, tmp_path)
    assert listing.base == tmp_path / "KDEF"
    assert labels(listing) == {
        ("train", "AF01AFS.JPG"): "afraid",
        ("train", "AF01ANS.JPG"): "angry",
        ("train", "AF01DIS.JPG"): "disgusted",
        ("train", "AF01HAS.JPG"): "happy",
        ("train", "AF01NES.JPG"): "neutral",
        ("train", "AF01SAS.JPG"): "sad",
        ("train", "AF01SUS.JPG"): "surprised",
        ("train", "BM35AFS.JPG"): "afraid",
    }
    assert set(listing.rows["canonical"].to_pylist()) == {
        "fear", "anger", "disgust", "happiness", "neutral", "sadness", "surprise",
    }  # fmt: skip
    assert reasons(listing) == {"pose": 3, "label outside the table": 1, "foreign file name": 1}


def test_kdef_with_all_angles(tmp_path):
    put(tmp_path, *(f"AF01AN{angle}.JPG" for angle in ("S", "HL", "HR", "FL", "FR")))
    layout = KDEF.layouts[0].model_copy(update={"options": {"pattern": KDEF.layouts[0].options["pattern"]}})
    assert list_source(KDEF, tmp_path).rows.num_rows == 1
    assert list_source(KDEF.model_copy(update={"layouts": [layout]}), tmp_path).rows.num_rows == 5


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"pattern": "(?P<label>"}, "no regular expression"),
        ({"pattern": "(?P<word>..)"}, "no group 'label'"),
        ({"pattern": "(?P<label>..)(?P<angle>.)", "only": {"angel": ["S"]}}, "no group 'angel'"),
    ],
)
def test_wrong_name_pattern_is_an_error(tmp_path, options, problem):
    with pytest.raises(FerError, match=problem):
        names.read(Tree(tmp_path), KDEF, rule="", labels=None, **options)


EXPW_ROWS = [
    "beaten_african_ache_301.jpg 0 94 77 191 174 22.9229 4",
    "angry_actor_104.jpg 0 28 113 226 141 22.9229 0",
    "angry_actor_104.jpg 1 10 20 30 40 9.5 3",
    "angry_actor_104.jpg 1 10 20 30 40 9.5 3",
    "gone_1.jpg 0 0 0 48 48 30.1 6",
    "angry_actor_109.jpg 0 1 2 3 4 30.1 7",
    "angry_actor_109.jpg 0 1 2 3",
    "angry_actor_109.jpg 0 top 2 3 4 30.1 1",
    "angry_actor_109.jpg 0 10 40 30 20 30.1 1",
    "../angry_actor_109.jpg 0 10 20 30 40 30.1 1",
]


def expw_release(root: Path, **options: object) -> None:
    lines(root, "label/label.lst", EXPW_ROWS, **options)
    put(root, *(f"image/{name}" for name in ("beaten_african_ache_301.jpg", "angry_actor_104.jpg")))


def test_expw_boxes_and_several_faces_an_image(tmp_path):
    expw_release(tmp_path)
    listing = list_source(EXPW, tmp_path)
    assert listing.crop == "box"
    rows = listing.rows.select(["rel_path", "label", "box", "size", "split"]).to_pylist()
    assert [(row["rel_path"], row["label"], row["box"], row["size"]) for row in rows] == [
        ("image/beaten_african_ache_301.jpg", "sad", [77, 94, 191, 174], 7),
        ("image/angry_actor_104.jpg", "angry", [113, 28, 226, 141], 7),
        ("image/angry_actor_104.jpg", "happy", [20, 10, 30, 40], 7),
        ("image/gone_1.jpg", "neutral", [0, 0, 48, 48], None),
    ]
    assert {row["split"] for row in rows} == {"train"}
    assert reasons(listing) == {
        "duplicate row": 1, "label outside the table": 1, "malformed row": 1, "bad box": 2,
        "path leaves the release": 1,
    }  # fmt: skip
    assert listing.rows.num_rows + listing.drops.num_rows == len(EXPW_ROWS)


def test_expw_line_ends_and_byte_order_mark(tmp_path):
    expw_release(tmp_path / "a")
    expw_release(tmp_path / "b", end="\r\n", bom=True)
    one, two = (list_source(EXPW, tmp_path / name) for name in "ab")
    assert one.rows.equals(two.rows)
    assert reasons(one) == reasons(two)


@pytest.mark.parametrize("anger", ["Anger", "Angry"])
def test_caers_folders(tmp_path, anger):
    words = [anger, "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise"]
    put(tmp_path, *(f"CAER-S/{split}/{word}/0001.png" for split in ("train", "test") for word in words))
    put(tmp_path, f"CAER-S/train/{anger}/0002.png", "CAER-S/test/Other/0001.png", "CAER-S/train/Sad/Thumbs.db")
    listing = list_source(CAERS, tmp_path)
    assert listing.base == tmp_path / "CAER-S"
    one = dict.fromkeys(CAERS.candidates, 1)
    assert counts(listing) == {"train": one | {"anger": 2}, "test": one}
    assert reasons(listing) == {"label outside the table": 1}
    assert set(listing.rows["canonical"].to_pylist()) == {
        "anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise",
    }  # fmt: skip


def test_caers_archives_are_read_in_place(tmp_path):
    put(tmp_path, "train/Anger/0001.png")
    pack(tmp_path, "test/Anger.zip", ["Anger/0001.png"])
    put(tmp_path, "test/Sad/0001.png")
    listing = list_source(CAERS, tmp_path)
    assert counts(listing)["train"] == {"anger": 1}
    assert reasons(listing) == {"outside the class folders": 1}


@pytest.mark.parametrize("source", [CKPLUS, JAFFE, KDEF, EXPW, CAERS], ids=lambda source: source.name)
def test_manifest_is_whole(source):
    assert set(source.labels.values()) == set(source.candidates)
    assert set(source.canonical) <= set(source.candidates)
    assert source.licence.images == "closed"
    assert source.benchmark is None
    for splits in source.expected.values():
        assert all(set(words) == set(source.candidates) for words in splits.values())
