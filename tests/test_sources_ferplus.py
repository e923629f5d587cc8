"""FERPlus: the vote rules on the published votes, and every layout on a small tree."""

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from trees import addresses, counts, labels, lines, published, put, reasons

from ferbuild.builders.errors import FerError
from ferbuild.builders.record import VOTE_WORDS
from ferbuild.builders.sources import list_source, read_picture, recognise, vote_rules, votes
from ferbuild.manifests.load import load_source

FERPLUS = load_source("ferplus")
HEADER = "Usage,Image name," + ",".join(VOTE_WORDS)
FOLDERS = {"Training": "FER2013Train", "PublicTest": "FER2013Valid", "PrivateTest": "FER2013Test"}

HAPPY = [0, 9, 1, 0, 0, 0, 0, 0, 0, 0]
SAD = [1, 0, 0, 8, 0, 0, 0, 1, 0, 0]
TIE = [0, 0, 0, 0, 4, 4, 0, 0, 2, 0]
UNKNOWN = [2, 0, 0, 0, 1, 0, 0, 0, 7, 0]
NOBODY = [0, 0, 0, 0, 0, 0, 0, 0, 0, 10]


def cells(numbers: Sequence[object]) -> str:
    return ",".join(map(str, numbers))


def vote_line(name: str, numbers: Sequence[object]) -> str:
    return f'{name},"(0, 0, 48, 48)",{cells(numbers)}'


def pixels(shade: int) -> str:
    return " ".join([str(shade)] * 2304)


def write_votes(root: Path, faces: Mapping[str, Sequence[tuple[str, Sequence[object]]]], *, png: bool = True) -> None:
    """Write label.csv, and the pictures beside it, for usage to (name, votes)."""
    for usage, rows in faces.items():
        lines(root, f"{FOLDERS[usage]}/label.csv", [vote_line(name, numbers) for name, numbers in rows])
        if png:
            put(root, *(f"{FOLDERS[usage]}/{name}" for name, _ in rows))


def write_table(root: Path, usages: Sequence[str], *, path: str = "fer2013.csv") -> None:
    """Write a pixel table whose row N is a picture of shade N."""
    rows = [f"{at % 7},{pixels(at)},{usage}" for at, usage in enumerate(usages)]
    lines(root, path, ["emotion,pixels,Usage", *rows])


def write_list(root: Path, rows: Sequence[tuple[str, str, Sequence[object]]], *, path: str = "fer2013new.csv") -> None:
    lines(root, path, [HEADER, *(f"{usage},{name},{cells(numbers)}" for usage, name, numbers in rows)])


def shade(base: Path, rel_path: str) -> int:
    """Return the one grey value of a picture."""
    picture = Image.open(io.BytesIO(read_picture(base, rel_path)))
    assert (picture.format, picture.mode, picture.size) == ("PNG", "L", (48, 48))
    values = set(picture.tobytes())
    assert len(values) == 1
    return int(values.pop())


# The published votes


@pytest.fixture(scope="module")
def release() -> Path:
    return published("ferplus")


def test_published_votes_give_the_benchmark_split(release):
    listing = list_source(FERPLUS, release)
    assert (listing.layout, listing.rule) == ("votes", "argmax8")
    assert counts(listing)["test"] == {
        "angry": 322, "contempt": 30, "disgust": 21, "fear": 98, "happy": 929, "neutral": 1274, "sad": 449,
        "surprise": 450,
    }  # fmt: skip
    assert {split: sum(words.values()) for split, words in counts(listing).items()} == {
        "train": 28558, "validation": 3579, "test": 3573,
    }  # fmt: skip
    assert counts(listing) == FERPLUS.expected["argmax8"]
    assert listing.drops.num_rows == 0
    assert listing.rows["size"].null_count == listing.rows.num_rows == 35710
    assert "ties, decided by the order of the vote columns: 1,365 train, 144 validation, 169 test" in listing.notes[0]
    assert "2 train" in listing.notes[1]
    first = listing.rows.slice(0, 1).to_pylist()[0]
    assert first["rel_path"] == "FER2013Train/fer0000000.png"
    assert first["votes"] == [4, 0, 0, 1, 3, 2, 0, 0, 0, 0]
    assert (first["label"], first["canonical"], first["label_rule"]) == ("neutral", "neutral", "argmax8")


def test_own_words_become_canonical_ones(release):
    rows = list_source(FERPLUS, release).rows.select(["label", "canonical"]).to_pylist()
    assert {(row["label"], row["canonical"]) for row in rows} == {
        ("angry", "anger"), ("contempt", "contempt"), ("disgust", "disgust"), ("fear", "fear"),
        ("happy", "happiness"), ("neutral", "neutral"), ("sad", "sadness"), ("surprise", "surprise"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "sizes", "dropped"),
    [
        ("majority", (25045, 3191, 3137), {"no majority": 4236, "unknown": 99, "no face": 2}),
        ("argmax10", (28385, 3555, 3545), {"unknown": 222, "no face": 3}),
    ],
)
def test_published_votes_under_the_other_rules(release, rule, sizes, dropped):
    listing = list_source(FERPLUS, release, rule=rule)
    found = Counter(listing.rows["split"].to_pylist())
    assert (found["train"], found["validation"], found["test"]) == sizes
    assert reasons(listing) == dropped
    assert listing.rows.num_rows + listing.drops.num_rows == 35710
    assert all(drop["detail"].startswith("votes ") for drop in listing.drops.to_pylist())
    assert FERPLUS.totals[rule] == dict(found)
    assert set(listing.rows["label_rule"].to_pylist()) == {rule}


def test_older_votes_mislabel_47_of_the_test_names(release, tmp_path):
    text = (release / "fer2013new.csv").read_text()
    (tmp_path / "fer2013new.csv").write_text(text)
    usages = [line.split(",")[0] for line in text.splitlines()[1:]]
    lines(tmp_path, "fer2013.csv", ["emotion,pixels,Usage", *(f"0,1 2 3,{usage}" for usage in usages)])
    older = list_source(FERPLUS, tmp_path)
    assert older.layout == "older votes"
    assert reasons(older) == {"no face name": 148 + 10 + 15, "duplicate row": 4}
    empty = Counter(row["split"] for row in older.drops.to_pylist() if row["reason"] == "no face name")
    assert empty == {"train": 148, "validation": 10, "test": 15}
    assert "282 test, 1,073 train and 246 validation names" in older.notes[0]
    assert "47 of its 3,573" in older.notes[0]

    right, wrong = labels(list_source(FERPLUS, release)), labels(older)
    assert right.keys() == wrong.keys()
    differ = Counter(split for (split, name), word in right.items() if wrong[split, name] != word)
    assert differ == {"test": 47, "train": 194, "validation": 38}
    other = Counter()
    votes_of = {row["name"]: row["votes"] for row in list_source(FERPLUS, release).rows.to_pylist()}
    for row in older.rows.to_pylist():
        other[row["split"]] += row["votes"] != votes_of[row["name"]]
    assert other == {"test": 282, "train": 1073, "validation": 246}


def test_name_is_no_row_number(release, tmp_path):
    """The published names drift from their rows, by 85 at the end."""
    listed = votes.list_lines((release / "fer2013new.csv").read_bytes(), where="list")
    named = listed.filter(listed["name"] != "")
    assert named.height == 35887 - 173
    drift = {name: row - int(name[3:10]) for name, row in zip(named["name"], named["row"], strict=True)}
    assert drift["fer0035801.png"] == 85
    assert drift["fer0000000.png"] == 0


# The rules


def slowly(numbers: Sequence[int], rule: str) -> str:
    """Say what a rule makes of ten votes, one face at a time."""
    if sum(numbers) == 0:
        return "no votes"
    if rule == "argmax8":
        pairs = [(-count, at) for at, count in enumerate(numbers) if at < 8]
        return VOTE_WORDS[min(pairs)[1]]
    if rule == "argmax10":
        return max(VOTE_WORDS, key=lambda word: (numbers[VOTE_WORDS.index(word)], -VOTE_WORDS.index(word)))
    held = [count for count in numbers if count >= 2]
    winners = [word for word, count in zip(VOTE_WORDS, numbers, strict=True) if count >= 2 and count > sum(held) / 2]
    assert len(winners) < 2
    return winners[0] if winners else "no majority"


TEN = st.lists(st.integers(0, 10), min_size=10, max_size=10)


@given(st.lists(TEN, min_size=1, max_size=20), st.sampled_from(FERPLUS.rules))
def test_rules_agree_with_a_slow_restatement(table, rule):
    assert vote_rules.decide(np.array(table, dtype=np.int32), rule) == [slowly(row, rule) for row in table]


@pytest.mark.parametrize(
    ("numbers", "argmax8", "majority", "argmax10"),
    [
        (HAPPY, "happiness", "happiness", "happiness"),
        (TIE, "anger", "no majority", "anger"),
        (UNKNOWN, "neutral", "unknown", "unknown"),
        (NOBODY, "neutral", "NF", "NF"),
        ([1, 1, 1, 1, 1, 1, 1, 1, 1, 1], "neutral", "no majority", "neutral"),
        ([5, 0, 0, 5, 0, 0, 0, 0, 0, 0], "neutral", "no majority", "neutral"),
        ([5, 0, 0, 4, 1, 0, 0, 0, 0, 0], "neutral", "neutral", "neutral"),  # 5 of 9: the single vote is set aside
        ([0] * 10, "no votes", "no votes", "no votes"),
    ],
)
def test_each_rule(numbers, argmax8, majority, argmax10):
    table = np.array([numbers], dtype=np.int32)
    said = [vote_rules.decide(table, rule)[0] for rule in ("argmax8", "majority", "argmax10")]
    assert said == [argmax8, majority, argmax10]


def test_ties_are_those_that_column_order_decides():
    table = np.array([HAPPY, TIE, UNKNOWN, NOBODY, [0] * 10, [3, 0, 0, 0, 0, 0, 0, 0, 3, 0]], dtype=np.int32)
    assert vote_rules.tied(table, "argmax8").tolist() == [False, True, False, True, False, False]
    assert vote_rules.tied(table, "argmax10").tolist() == [False, True, False, False, False, True]
    assert not vote_rules.tied(table, "majority").any()
    assert vote_rules.voteless(table).tolist() == [False, False, False, True, False, False]


# The vote lines


NAMES = st.from_regex(r"[A-Za-z0-9_.-]{1,20}", fullmatch=True)


@given(st.lists(st.tuples(NAMES, TEN), max_size=20), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_label_lines_round_trip(faces, end, last):
    text = end.join(vote_line(name, numbers) for name, numbers in faces) + (end if last else "")
    found = votes.label_lines(text.encode())
    assert found["name"].to_list() == [name for name, _ in faces]
    assert [numbers.to_list() for numbers in found["votes"]] == [numbers for _, numbers in faces]
    assert found["row"].to_list() == list(range(len(faces)))


@given(st.lists(st.tuples(st.sampled_from(list(FOLDERS)), NAMES, TEN), max_size=20), st.permutations(VOTE_WORDS))
def test_list_lines_round_trip_in_any_column_order(faces, order):
    places = [VOTE_WORDS.index(word) for word in order]
    rows = [f"{name},{usage},{cells(numbers[at] for at in places)}" for usage, name, numbers in faces]
    text = "\n".join([f"Image name,Usage,{','.join(order)}", *rows])
    found = votes.list_lines(text.encode(), where="list")
    assert found["name"].to_list() == [name for _, name, _ in faces]
    assert [numbers.to_list() for numbers in found["votes"]] == [numbers for _, _, numbers in faces]
    splits = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
    assert found["split"].to_list() == [splits[usage] for usage, _, _ in faces]


@given(st.text(alphabet=' ,"()0123456789-.aé\t\r\n', max_size=300))
def test_any_text_is_lines_or_malformed(text):
    found = votes.label_lines(text.encode())
    assert found["text"].to_list() == [line.strip() for line in text.split("\n") if line.strip()]
    assert all(numbers is None or (len(numbers) == 10 and min(numbers) >= 0) for numbers in found["votes"])


@pytest.mark.parametrize(
    "line",
    [
        vote_line("fer0000002.png", ["many", *SAD[1:]]),
        vote_line("fer0000002.png", [-1, *SAD[1:]]),
        vote_line("fer0000002.png", [*SAD, 0]),
        vote_line("fer0000002.png", SAD[:9]),
        vote_line("fer0000002.png", [99999999999, *SAD[1:]]),
        vote_line("fer0000002.png", [0.5, *SAD[1:]]),
        f"fer0000002.png,{cells(SAD)}",
        'fer0000002.png,"(0, 0, 48, 48),0,0',
        '"',
        "garbage",
    ],
)
def test_malformed_line_is_one_drop_and_no_more(tmp_path, line):
    rows = [vote_line("fer0000001.png", HAPPY), line, vote_line("fer0000003.png", SAD)]
    lines(tmp_path, "FER2013Train/label.csv", rows)
    listing = list_source(FERPLUS, tmp_path)
    assert labels(listing) == {("train", "fer0000001.png"): "happy", ("train", "fer0000003.png"): "sad"}
    (drop,) = listing.drops.to_pylist()
    assert (drop["reason"], drop["rel_path"]) == ("malformed row", "FER2013Train/label.csv#1")
    assert drop["detail"].startswith(f"FER2013Train/label.csv#1: {line[:10]}")


# A checkout of the votes


def test_pictures_beside_label_csv(tmp_path):
    faces = {
        "Training": [("fer0000001.png", HAPPY), ("fer0000002.png", TIE), ("", NOBODY), ("fer0000003.png", [0] * 10)],
        "PublicTest": [("fer0000004.png", SAD)],
        "PrivateTest": [("fer0000005.png", UNKNOWN), ("fer0000005.png", HAPPY), ("../../etc.png", HAPPY)],
    }
    write_votes(tmp_path / "data", {"Training": faces["Training"][:2], "PublicTest": faces["PublicTest"]})
    write_votes(tmp_path / "data", faces, png=False)
    write_list(tmp_path, [("PublicTest", "fer0000004.png", HAPPY)])  # other votes: never read instead
    listing = list_source(FERPLUS, tmp_path)
    assert listing.layout == "votes"
    assert labels(listing) == {
        ("train", "fer0000001.png"): "happy",
        ("train", "fer0000002.png"): "angry",
        ("validation", "fer0000004.png"): "sad",
        ("test", "fer0000005.png"): "neutral",
    }
    assert addresses(listing)[0] == "data/FER2013Train/fer0000001.png"
    assert listing.rows["size"].to_pylist() == [7, 7, 7, None]
    assert reasons(listing) == {"no face name": 1, "no votes": 1, "duplicate row": 1, "path leaves the release": 1}
    assert listing.rows["votes"].to_pylist()[1] == TIE


def test_byte_order_mark_crlf_and_blank_lines_cost_nothing(tmp_path):
    write_votes(tmp_path / "a", {"Training": [("fer0000001.png", HAPPY), ("fer0000002.png", SAD)]})
    rows = [vote_line("fer0000001.png", HAPPY), "", vote_line("fer0000002.png", SAD), "", ""]
    put(tmp_path / "b", "FER2013Train/fer0000001.png", "FER2013Train/fer0000002.png")
    lines(tmp_path / "b", "FER2013Train/label.csv", rows, end="\r\n", bom=True)
    plain, odd = (list_source(FERPLUS, tmp_path / name) for name in "ab")
    assert odd.rows.equals(plain.rows)
    assert odd.drops.num_rows == plain.drops.num_rows == 0


def test_pixels_are_paired_by_row_not_by_name(tmp_path):
    """fer0000001 stands in row 2 of the table: a row without a face name goes before it."""
    write_votes(tmp_path, {"Training": [("fer0000000.png", SAD), ("fer0000001.png", HAPPY)]}, png=False)
    write_votes(tmp_path, {"PrivateTest": [("fer0000002.png", TIE), ("fer0000009.png", SAD)]}, png=False)
    put(tmp_path, "FER2013Test/fer0000002.png")
    rows = [("Training", "fer0000000.png", HAPPY), ("Training", "", NOBODY), ("Training", "fer0000001.png", HAPPY)]
    write_list(tmp_path, [*rows, ("PrivateTest", "fer0000002.png", HAPPY)])
    write_table(tmp_path, ["Training"] * 3 + ["PrivateTest"])
    listing = list_source(FERPLUS, tmp_path)
    assert listing.layout == "votes"
    assert addresses(listing) == [
        "fer2013.csv#0",
        "fer2013.csv#2",
        "FER2013Test/fer0000002.png",
        "FER2013Test/fer0000009.png",
    ]
    assert labels(listing) == {
        ("train", "fer0000000.png"): "sad",  # by label.csv, not by the list
        ("train", "fer0000001.png"): "happy",
        ("test", "fer0000002.png"): "angry",
        ("test", "fer0000009.png"): "sad",
    }
    assert [shade(tmp_path, path) for path in addresses(listing)[:2]] == [0, 2]
    assert listing.rows["size"].to_pylist()[-1] is None
    assert "2 pictures are rows of fer2013.csv, paired with their names through fer2013new.csv" in listing.notes


def test_pixels_from_the_table_with_blanks_in_its_header(tmp_path):
    write_votes(tmp_path, {"PublicTest": [("fer0000000.png", SAD)]}, png=False)
    write_list(tmp_path, [("PublicTest", "fer0000000.png", SAD)])
    lines(tmp_path, "icml_face_data.csv", ["emotion, Usage, pixels", f"4,PublicTest,{pixels(77)}"])
    listing = list_source(FERPLUS, tmp_path)
    assert addresses(listing) == ["icml_face_data.csv#0"]
    assert shade(tmp_path, "icml_face_data.csv#0") == 77


def test_checkout_beside_the_pixels(tmp_path):
    for folder in ("FERPlus-master", "FERPlus-master/data"):
        root = tmp_path / folder.replace("/", "-")
        write_votes(root / folder, {"Training": [("fer0000000.png", SAD)]}, png=False)
        write_list(root / "FERPlus-master", [("Training", "fer0000000.png", SAD)])
        write_table(root, ["Training"], path="fer2013/fer2013.csv")
        listing = list_source(FERPLUS, root)
        assert listing.layout == "votes beside the pixels"
        assert listing.base == root
        assert addresses(listing) == ["fer2013/fer2013.csv#0"]
        assert labels(listing) == {("train", "fer0000000.png"): "sad"}


def test_pixels_without_the_list_are_not_guessed(tmp_path):
    write_votes(tmp_path, {"Training": [("fer0000000.png", SAD)]}, png=False)
    write_table(tmp_path, ["Training"])
    listing = list_source(FERPLUS, tmp_path)
    assert addresses(listing) == ["FER2013Train/fer0000000.png"]
    assert listing.rows["size"].to_pylist() == [None]
    assert any("no fer2013new.csv" in note for note in listing.notes)


def test_reordered_pixels_are_refused(tmp_path):
    write_votes(tmp_path, {"Training": [("fer0000000.png", SAD)]}, png=False)
    write_list(tmp_path, [("Training", "fer0000000.png", SAD), ("PublicTest", "fer0000001.png", SAD)])
    write_table(tmp_path, ["PublicTest", "Training"])
    with pytest.raises(FerError, match=r"row 0 is PublicTest but Training in fer2013new\.csv"):
        list_source(FERPLUS, tmp_path)


def test_votes_of_two_checkouts_are_an_error(tmp_path):
    for name in ("FERPlus", "FERPlus-old"):
        write_votes(tmp_path / name, {"Training": [("fer0000000.png", SAD)]})
    write_table(tmp_path, ["Training"])
    with pytest.raises(FerError, match="votes in 2 folders: FERPlus, FERPlus-old"):
        list_source(FERPLUS, tmp_path, layout="votes beside the pixels")


# fer2013new.csv alone


def test_older_votes_with_pixels(tmp_path):
    rows = [
        ("Training", "fer0000000.png", HAPPY),
        ("Training", "", NOBODY),
        ("Training", "fer0000001.png", SAD),
        ("Training", "fer0000000.png", HAPPY),
        ("PublicTest", "fer0000002.png", ["x", *SAD[1:]]),
        ("Elsewhere", "fer0000003.png", SAD),
        ("PrivateTest", "fer0000004.png", TIE),
        ("PrivateTest", "fer0000005.png", SAD),
    ]
    write_list(tmp_path, rows)
    write_table(tmp_path, ["Training"] * 4 + ["PublicTest"] * 2 + ["PrivateTest"])  # one row short
    listing = list_source(FERPLUS, tmp_path)
    assert listing.layout == "older votes"
    assert addresses(listing) == ["fer2013.csv#0", "fer2013.csv#2", "fer2013.csv#6", "fer2013.csv#7"]
    assert labels(listing) == {
        ("train", "fer0000000.png"): "happy",
        ("train", "fer0000001.png"): "sad",
        ("test", "fer0000004.png"): "angry",
        ("test", "fer0000005.png"): "sad",
    }
    assert [shade(tmp_path, path) for path in addresses(listing)[:3]] == [0, 2, 6]
    assert listing.rows["size"].to_pylist()[3] is None
    assert reasons(listing) == {
        "no face name": 1, "duplicate row": 1, "malformed row": 1, "split outside the table": 1,
    }  # fmt: skip


def test_older_votes_never_stand_in_for_label_csv(tmp_path):
    write_votes(tmp_path, {"Training": [("fer0000000.png", SAD)]})
    write_list(tmp_path, [("Training", "fer0000000.png", HAPPY)])
    write_table(tmp_path, ["Training"])
    assert [layout.name for layout, _ in recognise(FERPLUS, tmp_path)] == ["votes", "older votes"]
    assert labels(list_source(FERPLUS, tmp_path)) == {("train", "fer0000000.png"): "sad"}
    assert labels(list_source(FERPLUS, tmp_path, layout="older votes")) == {("train", "fer0000000.png"): "happy"}


def test_list_without_a_column_is_an_error(tmp_path):
    write_table(tmp_path, ["Training"])
    lines(tmp_path, "fer2013new.csv", [HEADER.replace("contempt,", ""), f"Training,fer0000000.png,{cells(SAD[1:])}"])
    with pytest.raises(FerError, match="no column 'contempt'"):
        list_source(FERPLUS, tmp_path)
    put(tmp_path, "fer2013new.csv", data=b"")
    with pytest.raises(FerError, match="is empty"):
        list_source(FERPLUS, tmp_path)


# The class-folder release


def write_classes(root: Path) -> None:
    put(root, "test/angry/fer0032225.png", "test/contempt/fer0032220.png", "test/happy/Thumbs.db")
    put(root, "validation/sad/fer0028640.png")
    put(root, "train/happy/fer0000001.png", "train/happy/fer0000001_1.png", "train/surprise/aug_fer0000002.png")
    put(root, "train/angry/fer0032225_flip.png", "train/other/fer0000003.png", "train/stray.png")


def test_class_folders(tmp_path):
    write_classes(tmp_path)
    listing = list_source(FERPLUS, tmp_path)
    assert listing.layout == "class folders"
    assert counts(listing) == {
        "test": {"angry": 1, "contempt": 1}, "validation": {"sad": 1}, "train": {"happy": 2, "surprise": 1},
    }  # fmt: skip
    assert reasons(listing) == {
        "copy of a test picture": 1, "label outside the table": 1, "outside the class folders": 1,
    }  # fmt: skip
    assert listing.rows["votes"].null_count == listing.rows.num_rows
    assert any("2 of 3 training pictures are further copies" in note for note in listing.notes)


def test_class_folders_made_from_the_published_votes_give_the_benchmark(release, tmp_path):
    """The same 3,573 rows of path, label and candidates come out of both layouts."""
    right = {name: word for (split, name), word in labels(list_source(FERPLUS, release)).items() if split == "test"}
    put(tmp_path, *(f"test/{word}/{name}" for name, word in right.items()))
    listing = list_source(FERPLUS, tmp_path)
    assert labels(listing) == {("test", name): word for name, word in right.items()}
    mark = FERPLUS.benchmark
    assert (mark.split, mark.set, mark.file, mark.order) == ("test", "ferplus", "ferplus_qa.json", "path")
    rows = listing.rows.select(["name", "label", "rel_path"]).to_pylist()
    assert all(mark.path.format_map(row) == f"/FERPlus/{row['rel_path']}" for row in rows)
    assert FERPLUS.candidates == ["angry", "contempt", "disgust", "fear", "happy", "neutral", "sad", "surprise"]


def test_class_folders_know_no_other_rule(tmp_path):
    write_classes(tmp_path)
    with pytest.raises(FerError, match="hold no votes to apply the rule 'majority'"):
        list_source(FERPLUS, tmp_path, rule="majority")


def test_class_folders_and_votes_must_agree(tmp_path):
    write_votes(tmp_path, {"PrivateTest": [("fer0032225.png", TIE), ("fer0032220.png", HAPPY)]})
    put(tmp_path, "test/angry/fer0032225.png", "test/contempt/x/fer1.png")
    assert labels(list_source(FERPLUS, tmp_path)) == {
        ("test", "fer0032225.png"): "angry", ("test", "fer0032220.png"): "happy",
    }  # fmt: skip
    put(tmp_path, "test/contempt/fer0032220.png")
    with pytest.raises(FerError, match="layouts 'votes' and 'class folders' of FERPlus disagree"):
        list_source(FERPLUS, tmp_path)
    assert list_source(FERPLUS, tmp_path, layout="class folders").rows.num_rows == 2
    assert list_source(FERPLUS, tmp_path, layout="votes").rows.num_rows == 2


def test_nothing_there_says_what_was_looked_for(tmp_path):
    put(tmp_path, "readme.txt")
    with pytest.raises(FerError) as caught:
        list_source(FERPLUS, tmp_path)
    for layout in FERPLUS.layouts:
        assert layout.name in caught.value.hint
    assert "readme.txt" in caught.value.hint


def test_digest_hangs_on_votes_and_rule_only(tmp_path):
    for name in "ab":
        write_votes(tmp_path / name, {"Training": [("fer0000000.png", SAD), ("fer0000001.png", TIE)]})
    one, two = (list_source(FERPLUS, tmp_path / name) for name in "ab")
    assert one.digest == two.digest
    assert one.digest != list_source(FERPLUS, tmp_path / "a", rule="argmax10").digest
    write_votes(tmp_path / "b", {"Training": [("fer0000000.png", SAD), ("fer0000001.png", HAPPY)]})
    assert one.digest != list_source(FERPLUS, tmp_path / "b").digest


@pytest.mark.parametrize("data", [b"", b"\n\n", b"garbage\n"])
def test_votes_without_a_usable_row_are_an_error(tmp_path, data):
    put(tmp_path, "FER2013Train/label.csv", data=data)
    with pytest.raises(FerError, match="holds no usable row"):
        list_source(FERPLUS, tmp_path)
