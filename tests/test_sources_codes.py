"""RAF-AU and RAF-CE: codes of action units, the labels beside them, and what is wrong with both."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trees import addresses, labels, lines, pack, put, reasons

from ferbuild.builders.errors import FerError
from ferbuild.builders.finding import find_releases
from ferbuild.builders.record import LISTED, UNITS
from ferbuild.builders.sources import list_source, read_picture
from ferbuild.builders.sources.codes import INTENSITY, coded, parse_codes
from ferbuild.filters.units import judge_truth
from ferbuild.manifests.load import load_source

RAFAU, RAFCE, CKPLUS = map(load_source, ("rafau", "rafce", "ckplus"))
SHARES = "{:.6f} {:.6f} {:.6f} {:.6f} {:.6f} {:.6f} "


def unit(number: int, side: str = "both", intensity: float | None = None) -> dict[str, object]:
    return {"unit": f"AU{number}", "side": side, "intensity": intensity}


def rafau(root: Path, *rows: str, folder: str = "aligned", **how: object) -> None:
    """Write the codes, and a picture for every line that begins with digits."""
    lines(root, "RAFAU_label.txt", rows, **how)
    put(root, f"{folder}/.keep")
    stems = {row[:4] for row in rows if row[:4].isdigit()}
    put(root, *(f"{folder}/{stem}{'_aligned' if folder.endswith('aligned') else ''}.jpg" for stem in stems))


def rafce(root: Path, **rows: tuple[str, str, str]) -> None:
    """Write the three files: `_0001=(codes, label, partition)`; an empty text leaves the line out."""
    for at, name in enumerate(("RAFCE_AUlabel.txt", "RAFCE_emolabel.txt", "RAFCE_partition.txt")):
        lines(root, name, [f"{stem[1:]}.jpg {said[at]}" for stem, said in rows.items() if said[at]])
    put(root, *(f"RAF-AU/aligned/{stem[1:]}_aligned.jpg" for stem in rows))


def units_of(listing) -> dict[str, list[dict[str, object]] | None]:
    return dict(zip(listing.rows["name"].to_pylist(), listing.rows["units"].to_pylist(), strict=True))


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("1+4+25", [unit(1), unit(4), unit(25)]),
        ("L12+24", [unit(12, "left"), unit(24)]),
        ("R2+L2", [unit(2, "right"), unit(2, "left")]),
        ("15+17+B22+T24", [unit(15), unit(17), unit(22), unit(24)]),
        ("BL18+RB10", [unit(18, "left"), unit(10, "right")]),
        ("LR6", [unit(6)]),
        ("T23+B23+t23", [unit(23)]),
        ("9+AD19+AU01", [unit(9), unit(19), unit(1)]),
        ("AUL12 LAU14", [unit(12, "left"), unit(14, "left")]),
        ("AU1, AU2;4 43", [unit(1), unit(2), unit(4), unit(43)]),
        ("12A+6e+R14C", [unit(12, "both", 0.1), unit(6, "both", 0.9), unit(14, "right", 0.5)]),
        ("25+26+26", [unit(25), unit(26)]),
        ("12+12D+12B", [unit(12, "both", 0.7)]),
        ("45+99", [unit(45), unit(99)]),
        ("0", []),
        ("4 ", [unit(4)]),
    ],
)
def test_codes_are_read_as_they_are_written(text, units):
    assert parse_codes(text) == (units, ())


@pytest.mark.parametrize("text", ["null", " NULL ", "", "nan", "n/a", "-", "?"])
def test_no_codes_are_not_a_face_without_action(text):
    assert parse_codes(text) == (None, ())


@pytest.mark.parametrize(
    ("text", "units", "unread"),
    [
        ("L12L+25", [unit(25)], ("L12L",)),
        ("x+4+12F", [unit(4)], ("x", "12F")),
        ("null+12", [unit(12)], ("null",)),
        ("4+caf\ufffd", [unit(4)], ("caf\ufffd",)),
        ("smile", None, ("smile",)),
        ("1234+-4", None, ("1234", "-4")),
        ("+", None, ()),
    ],
)
def test_a_code_that_cannot_be_read_costs_itself(text, units, unread):
    assert parse_codes(text) == (units, unread)


CODES = st.dictionaries(
    st.tuples(st.integers(1, 99), st.sampled_from(["left", "right", "both"])), st.sampled_from([None, *"ABCDE"])
)


@given(CODES, st.sampled_from(["+", ",", " ", " + ", ";"]), st.booleans())
def test_what_is_written_is_read(units, separator, spelt):
    letters = {"left": "L", "right": "R", "both": ""}
    words = [
        f"{'AU' if spelt else ''}{letters[side]}{number}{letter or ''}" for (number, side), letter in units.items()
    ]
    expected = [unit(number, side, INTENSITY.get(letter or "")) for (number, side), letter in units.items()]
    assert parse_codes(separator.join(words)) == (expected or None, ())


@given(st.text(max_size=40))
def test_any_text_is_read_or_told(text):
    units, unread = parse_codes(text)
    assert all(word in text for word in unread)
    assert units is None or all(one["unit"][2:].isdigit() and one["side"] in ("left", "right", "both") for one in units)


def test_rafau_without_labels_is_all_drops_and_all_coded(tmp_path):
    rafau(tmp_path, "0001.jpg 1+4+25", "0003.jpg L12+24", "0004.jpg null", "0007.jpg 25 ")
    listing = list_source(RAFAU, tmp_path)
    assert (listing.layout, listing.rule, listing.rows.num_rows) == ("aligned", "most judged", 0)
    assert listing.rows.schema == LISTED
    assert reasons(listing) == {"no emotion label": 4}
    assert listing.notes == (
        "1 of 4 pictures in RAFAU_label.txt are without codes: nothing says that a coder found no action there, and"
        " their units stay unknown",
        "RAFAU_label.txt holds no expression labels: its pictures are good to measure against only; distribution.txt"
        " beside it would give them",
    )
    found = coded(RAFAU, tmp_path)
    assert found.base == tmp_path and found.notes == listing.notes
    assert found.rows.rows() == [
        ("aligned/0001_aligned.jpg", [unit(1), unit(4), unit(25)]),
        ("aligned/0003_aligned.jpg", [unit(12, "left"), unit(24)]),
        ("aligned/0007_aligned.jpg", [unit(25)]),
    ]
    assert found.rows["units"].to_arrow().cast(UNITS).type == UNITS
    assert read_picture(found.base, "aligned/0007_aligned.jpg") == b"picture"
    truth = judge_truth(found.rows["units"][1].to_list())
    assert truth["AU12.left"].state == "present" and truth["AU12.right"].state == "absent"
    assert truth["AU12"].state == truth["AU24"].state == "present"


def test_rafau_takes_the_emotion_that_most_saw(tmp_path):
    rafau(tmp_path, "0001.jpg 1", "0002.jpg 4", "0003.jpg null", "0004.jpg 9", "0005.jpg 12", "0006.jpg 12")
    rows = {
        "0001": SHARES.format(0.08, 0, 0.28, 0, 0.64, 0),
        "0002": SHARES.format(0.4, 0.2, 0.4, 0, 0, 0),
        "0003": SHARES.format(0, 0, 0.15, 0, 0.2, 0.65),
        "0004": "0.5 0.5",
        "0006": "0 0 0 inf 0 0",
        "4908": SHARES.format(0, 0, 0, 1, 0, 0),
    }
    lines(tmp_path, "EmoLabel/distribution.txt", [f"{stem}.jpg {row}" for stem, row in rows.items()])
    listing = list_source(RAFAU, tmp_path)
    assert labels(listing) == {("train", "0001_aligned.jpg"): "sadness", ("train", "0003_aligned.jpg"): "anger"}
    assert units_of(listing) == {"0001_aligned.jpg": [unit(1)], "0003_aligned.jpg": None}
    assert reasons(listing) == {"no majority": 1, "malformed row": 2, "no emotion label": 1}
    assert "surprise, disgust: 0.4 each" in listing.drops["detail"].to_pylist()
    assert coded(RAFAU, tmp_path).rows.height == 5


def test_rafce_joins_its_three_files(tmp_path):
    rafce(
        tmp_path,
        _0001=("1+4+25", "5", "0"),
        _0003=("L12C+24", "10", "1"),
        _0004=("null", "3", "2"),
        _0005=("12", "14", "0"),
        _0006=("12", "1", "7"),
        _0007=("12", "", "0"),
        _0008=("", "0", "0"),
        _0009=("6", "", ""),
    )
    listing = list_source(RAFCE, tmp_path)
    assert labels(listing) == {
        ("train", "0001_aligned.jpg"): "sadly disgusted",
        ("test", "0003_aligned.jpg"): "angrily disgusted",
        ("validation", "0004_aligned.jpg"): "sadly angry",
        ("train", "0008_aligned.jpg"): "happily surprised",
    }
    assert listing.rows["canonical"].to_pylist() == listing.rows["label"].to_pylist()
    assert units_of(listing) == {
        "0001_aligned.jpg": [unit(1), unit(4), unit(25)],
        "0003_aligned.jpg": [unit(12, "left", 0.5), unit(24)],
        "0004_aligned.jpg": None,
        "0008_aligned.jpg": None,
    }
    assert reasons(listing) == {"label outside the table": 1, "split outside the table": 2, "no emotion label": 1}
    assert addresses(listing)[0] == "RAF-AU/aligned/0001_aligned.jpg"
    assert [path[-16:-12] for path in coded(RAFCE, tmp_path).rows["rel_path"]] == [
        "0001", "0003", "0005", "0006", "0007", "0009",
    ]  # fmt: skip


@pytest.mark.parametrize("absent", ["RAFCE_AUlabel.txt", "RAFCE_emolabel.txt", "RAFCE_partition.txt"])
def test_a_missing_file_is_named(tmp_path, absent):
    rafce(tmp_path, _0001=("1", "5", "0"))
    (tmp_path / absent).unlink()
    for call in (list_source, coded):
        with pytest.raises(FerError, match="no layout of RAF-CE recognised") as caught:
            call(RAFCE, tmp_path)
        assert f"aligned: missing {absent} (found 3 of 4)" in caught.value.hint


def test_the_pictures_must_be_somewhere(tmp_path):
    lines(tmp_path, "RAFAU_label.txt", ["0001.jpg 1"])
    with pytest.raises(FerError, match="no layout of RAF-AU recognised") as caught:
        coded(RAFAU, tmp_path)
    assert "aligned: missing aligned/ or Image/aligned/" in caught.value.hint
    put(tmp_path, "aligned/0002_aligned.jpg")
    with pytest.raises(FerError, match="'aligned' of RAF-AU holds no coded picture") as caught:
        coded(RAFAU, tmp_path)
    assert caught.value.hint == "1 rows are coded, 0 pictures are there"


@pytest.mark.parametrize("how", [{"end": "\r\n"}, {"end": "\r"}, {"bom": True}, {"end": "\r\n", "bom": True}])
def test_line_ends_and_byte_order_mark(tmp_path, how):
    rafau(tmp_path, "0001.jpg 1+2", "", "0002.jpg\t4", "0003.jpg,12+25", **how)
    rows = coded(RAFAU, tmp_path).rows
    assert rows["units"].to_list() == [[unit(1), unit(2)], [unit(4)], [unit(12), unit(25)]]


def test_hostile_lines_are_counted(tmp_path):
    rafau(
        tmp_path,
        "image codes",
        "0001.jpg 1+2",
        "0001.jpg 4",
        "./0001.jpg 5",
        "0002.jpg",
        "0003.jpg L12L+25",
        "../secret.jpg 4",
        "/etc/secret.jpg 4",
        "0009.jpg 9",
        "1+2+4",
    )
    (tmp_path / "aligned/0009_aligned.jpg").unlink()
    put(tmp_path, "secret_aligned.jpg", "secret.jpg")
    listing = list_source(RAFAU, tmp_path)
    assert reasons(listing) == {"malformed row": 2, "duplicate row": 1, "no emotion label": 7}
    assert listing.notes[0] == "1 codes in RAFAU_label.txt cannot be read and are left out: L12L"
    assert "line 3 of RAFAU_label.txt: 4" in listing.drops["detail"].to_pylist()
    found = coded(RAFAU, tmp_path).rows
    assert found.rows() == [
        ("aligned/0001_aligned.jpg", [unit(1), unit(2)]),
        ("aligned/0003_aligned.jpg", [unit(25)]),
    ]


def test_other_encodings(tmp_path):
    rafau(tmp_path, "0001.jpg 1")
    text = "0001.jpg 1\n0002.jpg 4+caf\xe9\nn\xe4me.jpg 4\n"
    put(tmp_path, "RAFAU_label.txt", data=text.encode("latin-1"))
    put(tmp_path, "aligned/0002_aligned.jpg")
    assert coded(RAFAU, tmp_path).rows["units"].to_list() == [[unit(1)], [unit(4)]]
    assert reasons(list_source(RAFAU, tmp_path)) == {"no emotion label": 2, "malformed row": 1}
    put(tmp_path, "RAFAU_label.txt", data=text.encode("utf-16"))
    with pytest.raises(FerError, match="is UTF-16 text"):
        coded(RAFAU, tmp_path)


def test_pictures_in_an_archive_and_the_originals(tmp_path):
    lines(tmp_path, "RAFAU_label.txt", ["0001.jpg 1", "0002.jpg 2"])
    pack(tmp_path, "aligned.zip", ["aligned/0001_aligned.jpg"])
    put(tmp_path, "original/0001.jpg", "original/0002.jpg", data=b"whole")
    found = coded(RAFAU, tmp_path)
    assert found.rows["rel_path"].to_list() == ["aligned.zip!aligned/0001_aligned.jpg"]
    assert read_picture(found.base, found.rows["rel_path"][0]) == b"picture"
    whole = coded(RAFAU, tmp_path, layout="original")
    assert whole.rows["rel_path"].to_list() == ["original/0001.jpg", "original/0002.jpg"]
    (tmp_path / "aligned.zip").unlink()
    assert coded(RAFAU, tmp_path).rows.equals(whole.rows)


def test_a_picture_that_is_missing_keeps_its_row(tmp_path):
    rafce(tmp_path, _0001=("1", "5", "0"), _0002=("2", "5", "0"))
    (tmp_path / "RAF-AU/aligned/0002_aligned.jpg").unlink()
    listing = list_source(RAFCE, tmp_path)
    assert listing.rows["size"].to_pylist() == [7, None]
    assert addresses(listing) == [f"RAF-AU/aligned/000{at}_aligned.jpg" for at in (1, 2)]
    assert coded(RAFCE, tmp_path).rows.height == 1


def test_both_share_a_folder_and_are_found(tmp_path):
    rafce(tmp_path / "raf", _0001=("1", "5", "0"))
    lines(tmp_path, "raf/RAFAU_label.txt", ["0001.jpg 1"])
    found = {one.source: (one.root, one.layout) for one in find_releases(tmp_path)}
    assert found == {"rafau": (tmp_path / "raf", "aligned"), "rafce": (tmp_path / "raf", "aligned")}


def test_a_release_that_nobody_coded_says_so(tmp_path):
    put(tmp_path, "cohn-kanade-images/S005/001/S005_001_00000001.png")
    put(tmp_path, "Emotion/S005/001/S005_001_00000001_emotion.txt", data=b"3")
    with pytest.raises(FerError, match="hold no action units"):
        coded(CKPLUS, tmp_path)


def test_codes_change_the_digest(tmp_path):
    rafce(tmp_path, _0001=("1", "5", "0"))
    one = list_source(RAFCE, tmp_path)
    lines(tmp_path, "RAFCE_AUlabel.txt", ["0001.jpg 2"])
    assert list_source(RAFCE, tmp_path).digest != one.digest


def test_a_labelled_picture_outside_the_release_is_dropped(tmp_path):
    rafce(tmp_path, _0001=("1", "5", "0"))
    for name, said in (("AUlabel", "4"), ("emolabel", "5"), ("partition", "0")):
        path = tmp_path / f"RAFCE_{name}.txt"
        path.write_text(path.read_text() + f"../../up.jpg {said}\n0001.jpg {said}\n")
    listing = list_source(RAFCE, tmp_path)
    assert labels(listing) == {("train", "0001_aligned.jpg"): "sadly disgusted"}
    assert reasons(listing) == {"path leaves the release": 1, "duplicate row": 3}
