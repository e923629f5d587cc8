"""Files of results that other tools write: logs of lmms-eval, result tables of VLMEvalKit."""

from __future__ import annotations

import csv
import io
import json
import sys
import time
import zipfile
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st
from result_files import ASKED, WORDS, bench_folder, kinds, question, questions, rows_of, write

from ferbuild.builders.errors import FerError
from ferbuild.builders.evaluation import lmms_eval, vlmevalkit
from ferbuild.builders.evaluation.readers import load

# lmms-eval


def sample(at: int, name: str = "rafdb", **more) -> dict:
    """A line as its writer leaves it since 0.4."""
    row = question(name, at)
    said = f"<answer>{row['true_label']}</answer>"
    return {
        "doc_id": at,
        "target": row["true_label"],
        "filtered_resps": said,
        "doc_hash": "h",
        "input": ASKED,
        "acc": 1.0,
    } | more


def test_a_log_with_the_row_in_it(tmp_path):
    """As 0.3 writes it: nested lists, and `doc`."""
    row = question("sfew", 1)
    line = sample(1, "sfew", resps=[["raw"]], filtered_resps=["raw"], doc=row, arguments={"max_new_tokens": 1024})
    (only,) = rows_of(load([write(tmp_path / "m" / "1_samples_sfew.jsonl", [line], lines=True)]))
    assert (only["set"], only["image_path"], only["true_label"]) == ("sfew", row["image_path"], "disgust")
    assert (only["texts"], only["choices"], only["bare"]) == (["raw"], WORDS["sfew"], False)


def test_a_row_may_be_carried_by_a_figure_or_by_its_picture(tmp_path):
    kept = {"image_path": question("rafdb", 3)["image_path"], "answer": "happiness", "choices": WORDS["rafdb"][::-1]}
    lines = [
        sample(3, fer_acc=kept),
        sample(4, input_media=["data:image/png;base64,x", question("rafdb", 4)["image_path"]]),
    ]
    one, other = rows_of(load([write(tmp_path / "1_samples_x.jsonl", lines, lines=True)]))
    assert (one["image_path"], one["choices"]) == (kept["image_path"], WORDS["rafdb"][::-1])
    assert (other["image_path"], other["true_label"]) == (question("rafdb", 4)["image_path"], "sadness")


def test_the_raw_replies_are_scored_and_not_the_filtered_ones(tmp_path):
    lines = [
        sample(0, resps="<think>t</think><answer>fear</answer>", filtered_resps="fear"),
        sample(1, resps=["a", "b"], filtered_resps="a"),
        sample(2, resps=[["a"], ["b", "c"]], filtered_resps=["a", "b"]),
        sample(3, filtered_resps=["only"]),
        sample(4, resps=None, filtered_resps="only"),
    ]
    bench = write(tmp_path / "rafdb_qa.json", questions("rafdb", 9))
    found = load([write(tmp_path / "1_samples_rafdb.jsonl", lines, lines=True)], bench=[bench])
    assert found.table["texts"].to_pylist() == [
        ["<think>t</think><answer>fear</answer>"],
        ["a", "b"],
        ["a", "b", "c"],
        ["only"],
        ["only"],
    ]


def test_a_log_without_rows_is_joined_with_the_benchmark(tmp_path):
    asked = questions("rafdb", 9)
    log = write(tmp_path / "m" / "1_samples_ferbench_rafdb.jsonl", [sample(at) for at in (7, 2, 5)], lines=True)
    with pytest.raises(FerError, match=r"does not say which picture a row is of.*give the benchmark too: --bench"):
        load([log])
    found = load([log], bench=[bench_folder(tmp_path / "ferbench", {"rafdb": asked})])
    assert [row["image_path"] for row in rows_of(found)] == [asked[at]["image_path"] for at in (7, 2, 5)]
    assert [row["id"] for row in rows_of(found)] == ["rafdb-7", "rafdb-2", "rafdb-5"]
    turned = write(tmp_path / "rafdb_qa.json", asked[1:] + asked[:1])
    with pytest.raises(FerError, match="row 7 of rafdb is said to be surprise, and the benchmark has fear there"):
        load([log], bench=[turned])


def test_a_place_that_is_none_is_another_benchmark(tmp_path):
    bench = write(tmp_path / "rafdb_qa.json", questions("rafdb", 3))
    log = write(tmp_path / "1_samples_rafdb.jsonl", [sample(0), sample(50), sample(-1)], lines=True)
    found = load([log], bench=[bench])
    assert found.table.num_rows == 1
    assert kinds(found) == {"another benchmark": 2}


def test_requests_that_failed_are_errors(tmp_path):
    failed = f"{lmms_eval.FAILED} after 5 retries] 429"
    path = question("rafdb", 0)["image_path"]
    lines = [
        sample(0, filtered_resps=failed, doc=question("rafdb", 0)),
        sample(1, resps=["fine", failed], doc=question("rafdb", 1)),
        sample(2, doc=question("rafdb", 2)),
    ]
    found = load([write(tmp_path / "1_samples_rafdb.jsonl", lines, lines=True)])
    assert [row["texts"] for row in rows_of(found)][:2] == [[], ["fine", ""]]
    assert [row["error"] for row in rows_of(found)] == [True, False, False]
    assert kinds(found) == {"error": 1, "empty": 1}
    assert f"{path}: {failed}" in [one.detail for one in found.problems]


def test_tokens_are_known_where_all_samples_are_counted(tmp_path):
    counted = {"input_tokens": 300, "output_tokens": 20}
    lines = [
        sample(0, token_counts=[counted], doc=question("rafdb", 0)),
        sample(1, token_counts=[counted], resps=["a", "b"], doc=question("rafdb", 1)),
        sample(2, token_counts=[None], doc=question("rafdb", 2)),
        sample(3, token_counts=[{"output_tokens": 4}], doc=question("rafdb", 3)),
    ]
    table = load([write(tmp_path / "1_samples_rafdb.jsonl", lines, lines=True)]).table
    assert table["tokens_read"].to_pylist() == [300, None, None, None]
    assert table["tokens_written"].to_pylist() == [20, None, None, 4]


def test_log_likelihoods_are_no_replies(tmp_path):
    lines = [
        sample(0, doc=question("rafdb", 0)),
        sample(1, resps=[["-1.5", "False"], ["-0.2", "True"]], doc=question("rafdb", 1)),
        sample(2, filtered_resps=[], doc=question("rafdb", 2)),
    ]
    found = load([write(tmp_path / "1_samples_rafdb.jsonl", lines, lines=True)])
    assert [row["detail"] for row in rows_of(found)] == [
        "",
        "it holds log-likelihoods of the choices, not a reply",
        "it has no reply",
    ]
    assert kinds(found) == {"not readable": 2}


# VLMEvalKit


def table_row(at: int, prediction: object, name: str = "rafdb", **more) -> dict:
    row = question(name, at)
    letters = "ABCDEFGH"
    options = {
        letter: row["candidate_labels"][n] if n < len(row["candidate_labels"]) else None
        for n, letter in enumerate(letters)
    }
    answer = letters[row["candidate_labels"].index(row["true_label"])]
    given = {"index": at, "question": "Which expression?", **options, "answer": answer, "image_path": row["image_path"]}
    return given | {"set": name, "prediction": prediction} | more


def delimited(rows: list[dict], comma: str) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]), delimiter=comma, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def sheet(rows: list[dict]) -> bytes:
    """The least that is an .xlsx file."""

    def cell(value: object) -> str:
        return (
            "<c/>"
            if value is None
            else f'<c t="inlineStr"><is><t xml:space="preserve">{escape(str(value))}</t></is></c>'
        )

    root = "http://schemas.openxmlformats.org"
    kind = "application/vnd.openxmlformats-"
    book = f"{kind}officedocument.spreadsheetml"
    relations = f'<Relationships xmlns="{root}/package/2006/relationships"><Relationship Id="r1" Type="{root}/'
    relations += 'officeDocument/2006/relationships/{}" Target="{}"/></Relationships>'
    lines = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in [list(rows[0]), *(row.values() for row in rows)])
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{root}/package/2006/content-types">'
        f'<Default Extension="rels" ContentType="{kind}package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{book}.sheet.main+xml"/>'
        f'<Override PartName="/xl/s.xml" ContentType="{book}.worksheet+xml"/></Types>',
        "_rels/.rels": relations.format("officeDocument", "xl/workbook.xml"),
        "xl/workbook.xml": f'<workbook xmlns="{root}/spreadsheetml/2006/main" xmlns:r="{root}/officeDocument/2006/'
        'relationships"><sheets><sheet name="S" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": relations.format("worksheet", "s.xml"),
        "xl/s.xml": f'<worksheet xmlns="{root}/spreadsheetml/2006/main"><sheetData>{lines}</sheetData></worksheet>',
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return out.getvalue()


FORMS = {
    "tsv": lambda rows: delimited(rows, "\t"),
    "csv": lambda rows: delimited(rows, ","),
    "json": lambda rows: json.dumps(
        [{k: float("nan") if v is None else v for k, v in row.items()} for row in rows]
    ).encode(),
    "jsonl": lambda rows: "\n".join(map(json.dumps, rows)).encode(),
    "xlsx": sheet,
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_table_reads_alike(tmp_path, form):
    if form == "xlsx":
        pytest.importorskip("fastexcel")
    rows = [
        table_row(0, "B"),
        table_row(1, '<think>a,\t"b"\nc</think>\n<answer>b</answer>'),
        table_row(2, "Failed to obtain answer via API."),
        table_row(3, None),
        table_row(4, "=1+1", "ferplus"),
    ]
    file = tmp_path / f"Qwen2-VL_FERBench.{form}"
    file.write_bytes(FORMS[form](rows))
    found = load([file])
    assert found.name == "Qwen2-VL"
    assert [(row["set"], row["texts"], row["bare"]) for row in rows_of(found)] == [
        ("rafdb", ["fear"], True),
        ("rafdb", ['<think>a,\t"b"\nc</think>\n<answer>fear</answer>'], False),
        ("rafdb", [], False),
        ("rafdb", [""], True),
        ("ferplus", ["=1+1"], True),
    ]
    assert [row["true_label"] for row in rows_of(found)] == ["surprise", "fear", "disgust", "happiness", "happy"]
    assert [row["choices"] for row in rows_of(found)][3:] == [WORDS["rafdb"], WORDS["ferplus"]]
    assert kinds(found) == {"error": 1, "empty": 1}


def test_a_sheet_without_its_reader_ends_in_the_line_that_installs_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fastexcel", None)
    file = tmp_path / "x.xlsx"
    file.write_bytes(sheet([table_row(0, "B")]))
    with pytest.raises(FerError) as caught:
        load([file])
    assert caught.value.hint == "pip install fastexcel"


def test_a_broken_sheet_is_told(tmp_path):
    pytest.importorskip("fastexcel")
    (tmp_path / "x.xlsx").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(FerError, match=r"1 not readable \(not an \.xlsx file that can be read"):
        load([tmp_path / "x.xlsx"])


OPTIONS = dict(zip("ABCDEFG", WORDS["rafdb"], strict=True))


@pytest.mark.parametrize(
    "text",
    ["B", "b", " B. ", "(B)", "[B]", "**B**", "B)", "B.\n", "Answer: B", "answer is B", "The answer is (B).",
     "The correct answer is **B. fear**", "B. fear", "B: Fear.", "(B) fear", "Option B", "Final answer: B", "B - fear",
     "_B_"],
)  # fmt: skip
def test_a_lone_letter_is_the_option_that_it_stands_for(text):
    assert vlmevalkit.letter_meant(text, OPTIONS) == "fear"


@pytest.mark.parametrize(
    "text",
    ["", "fear", "B. disgust", "B or C", "B, C", "H", "Z", "A happy face", "I am not sure", "BB", "Be careful",
     "answer", "Answer: fear", "The person looks afraid. B", "B1", "É"],
)  # fmt: skip
def test_all_else_is_no_letter(text):
    assert vlmevalkit.letter_meant(text, OPTIONS) is None


@given(st.sampled_from("ABCDEFG"), st.text(alphabet=" .*()[]:-_\n\"'", max_size=6), st.booleans())
def test_marks_around_a_letter_do_not_matter(letter, marks, lower):
    said = letter.lower() if lower else letter
    assert vlmevalkit.letter_meant(f"{marks}{said}{marks}", OPTIONS) == OPTIONS[letter]


@given(st.text(max_size=60), st.booleans())
def test_a_text_without_a_lone_letter_stays_as_it_is(text, bare):
    if vlmevalkit.letter_meant(text, OPTIONS) is None and "<" not in text:
        assert vlmevalkit.in_words(text, OPTIONS, bare=bare) == (text, bare)


@pytest.mark.parametrize(
    ("text", "bare", "read"),
    [
        ("happiness", True, ("happiness", True)),
        ("happiness", False, ("happiness", False)),  # tags were asked for
        ("B", False, ("fear", True)),
        ("<answer>B</answer>", True, ("<answer>fear</answer>", False)),
        ("<ANSWER> (b) </ANSWER>", True, ("<ANSWER>fear</ANSWER>", False)),
        (
            "<answer>A</answer> no: <answer>B. fear</answer>",
            True,
            ("<answer>surprise</answer> no: <answer>fear</answer>", False),
        ),
        ("<answer>fear</answer>", True, ("<answer>fear</answer>", False)),
        ("<answer>not B</answer>", True, ("<answer>not B</answer>", False)),
        ("<think>A or B?</think>B", True, ("<think>A or B?</think>\n<answer>fear</answer>", False)),
        ("<think>hm</think>\n\nfear", True, ("<think>hm</think>\n<answer>fear</answer>", False)),
        ("<think>hm</think>fear", False, ("<think>hm</think>fear", False)),
        ("<think>A or B", True, ("<think>A or B", False)),
    ],
)
def test_a_reply_to_a_question_of_letters(text, bare, read):
    assert vlmevalkit.in_words(text, OPTIONS, bare=bare) == read


@pytest.mark.parametrize("piece", ["<answer>", "</answer>", "<answer>\n", "</think>", "answer "])
def test_a_reply_that_says_one_thing_without_end_is_read_at_once(piece):
    began = time.process_time()
    vlmevalkit.in_words(piece * 8000, OPTIONS, bare=True)
    assert time.process_time() - began < 1.0


def test_thinking_in_a_column_of_its_own_is_put_back(tmp_path):
    rows = [
        table_row(0, "B", thinking="the brows rise"),
        table_row(1, "<answer>B</answer>", thinking="t"),
        table_row(2, "B", thinking="a</think>b</think>"),
        table_row(3, "B", thinking=""),
    ]
    (tmp_path / "x.tsv").write_bytes(delimited(rows, "\t"))
    assert load([tmp_path / "x.tsv"]).table["texts"].to_pylist() == [
        ["<think>the brows rise</think>\n<answer>fear</answer>"],
        ["<think>t</think>\n<answer>fear</answer>"],
        ["a</think>b</think>\n<answer>fear</answer>"],
        ["fear"],
    ]


def test_a_table_without_paths_goes_by_its_index(tmp_path):
    rows = [table_row(at, "A", image_path="") for at in range(3)]
    file = tmp_path / "m_rafdb.tsv"
    file.write_bytes(delimited(rows, "\t"))
    assert load([file]).table["image_path"].to_pylist() == ["0", "1", "2"]
    asked = questions("rafdb", 3)
    bench = bench_folder(tmp_path / "ferbench", {"rafdb": asked})
    assert load([file], bench=[bench]).table["image_path"].to_pylist() == [row["image_path"] for row in asked]
    rows = [table_row(at, "A", image_path="", index=f"rafdb-{at}") for at in range(3)]
    file.write_bytes(delimited(rows, "\t"))
    assert load([file], bench=[bench]).table["image_path"].to_pylist() == [row["image_path"] for row in asked]


def test_several_turns_end_in_the_answer(tmp_path):
    rows = [table_row(0, ["A", "B"]), table_row(1, {"text": "B"}), table_row(2, [])]
    found = load([write(tmp_path / "x.json", rows)])
    assert [row["texts"] for row in rows_of(found)] == [["fear"], [], []]
    assert kinds(found) == {"not readable": 2}


def test_a_cut_table_keeps_the_rows_before_the_cut(tmp_path):
    whole = delimited([table_row(at, "line\nB") for at in range(4)], "\t")
    (tmp_path / "x.tsv").write_bytes(whole[:-4])
    found = load([tmp_path / "x.tsv"])
    assert found.table.num_rows == 3
    assert kinds(found) == {"not readable": 1}
    (tmp_path / "x.tsv").write_bytes(whole + b'"4"\t"x"\n')
    found = load([tmp_path / "x.tsv"])
    assert found.table.num_rows == 4
    assert found.problems[-1].detail == "line 10 has 2 cells"
