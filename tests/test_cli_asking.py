"""What the commands that ask a model share: flags, the estimate before money is spent, who answers, what was paid."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from conftest import fer_build
from pyarrow import parquet
from test_cot_served import MODEL, answered, stub

from ferbuild.builders import replies, shards, standing
from ferbuild.builders.cli.asking import _count, _time, asking
from ferbuild.builders.replies import Attempt, Record, Reply
from ferbuild.builders.standing import standings
from ferbuild.builders.teacher import AskOptions
from ferbuild.manifests import load
from ferbuild.manifests.schema import TeacherEntry

SECRET = "sk-very-secret-5577"
PAIRS = ("counterfactual", "--unit", "AU12", "--count", 14, "--size", 48)
"""28 requests that need no release."""


# --- flags


@click.command()
@asking()
def probe(asked):
    click.echo(repr((asked.teacher, asked.options, asked.estimate, asked.yes)))


def test_flags_become_options():
    words = "--teacher qwen7b --endpoint http://a/v1 --endpoint http://b/v1 --concurrency 8 --rpm 60 --tpm 9000"
    words += " --budget 2.5 --estimate --yes --i-may-send rafdb --i-may-send sfew"
    ran = CliRunner().invoke(probe, words.split())
    options = AskOptions(("http://a/v1", "http://b/v1"), 8, 60, 9000, 2.5, ("rafdb", "sfew"))
    assert ran.output.strip() == repr(("qwen7b", options, True, True))
    assert CliRunner().invoke(probe, []).output.strip() == repr((None, AskOptions(), False, False))


@pytest.mark.parametrize(
    "words", ["--concurrency 0", "--rpm 0", "--tpm -1", "--budget 0", "--budget -2", "--samples 0", "--style fast"]
)
def test_what_cannot_be_asked_is_wrong_use(run, words):
    ran = run("cot", *words.split(), "--json")
    assert ran.code == 2 and words.split()[0] in ran.json["error"]["problem"]


def test_counterfactual_knows_its_teacher_by_either_name_and_sends_no_release(run):
    text = run("counterfactual", "--help").out
    assert "--model, --teacher" in text and "--budget USD" in text and "--i-may-send" not in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0.4 s"), (9.96, "10.0 s"), (45, "45 s"), (90, "1.5 min"), (5400, "1.5 h"), (86_400 * 2.5, "2.5 days")],
)
def test_times_are_told_in_their_unit(seconds, text):
    assert _time(seconds) == text


def test_counts_are_told_in_three_digits_or_so():
    numbers = (7.4, 999, 1234, 12_345_678, 2.5e9)
    assert [_count(number) for number in numbers] == ["7", "999", "1.2 k", "12.3 M", "2.5 G"]


# --- the estimate


@pytest.fixture
def priced(tmp_path) -> Path:
    """An entry with prices and a key, for the stub server."""
    entry = {"kind": "http", "model": MODEL, "key": "STUB_KEY", "prices": {"input": 1.0, "output": 5.0}}
    entry |= {"sampling": {"max_tokens": 64}, "endpoints": ["http://127.0.0.1:9/v1"], "terms": "Ours."}
    (tmp_path / "mine.yaml").write_text(json.dumps(entry))
    return tmp_path / "mine.yaml"


@pytest.mark.network
def test_a_handful_is_asked_and_all_the_rest_only_on_a_yes(run, tmp_path, priced):
    log = tmp_path / "log"
    env = {"STUB_KEY": SECRET}
    with stub(log, "--key", SECRET) as url:
        words = (*PAIRS, "--teacher", priced, "--endpoint", url, "--estimate")
        first = run(*words, env=env)
        assert (first.code, answered(log)) == (0, 24), first.err
        assert "4 of 28 requests are left" in first.out and "90 % intervals" in first.out
        assert "tokens read             400  (400 to 400)" in first.out  # 4 times 100
        assert "cost                $0.0008  ($0.0008 to $0.0008)" in first.out  # 4 times 100 + 5 x 20, a millionth
        assert "the handful cost $0.0048" in first.out
        assert "nothing more is asked; --yes goes on" in first.err
        assert not (tmp_path / "fer-data" / "counterfactual").exists()
        again = run(*words, "--json", env=env)
        assert (again.code, answered(log)) == (0, 24), "the handful is not paid for twice"
        told = again.json
        assert (told["stage"], told["asked"], told["estimate"]["left"], told["estimate"]["spent"]) == (
            "counterfactual", [], 4, 0.0,
        )  # fmt: skip
        done = run(*words, "--yes", "--json", env=env)
        assert (done.code, answered(log), done.json["in"]) == (0, 28, 14), done.err
        assert done.json["estimate"]["cost"]["value"] == pytest.approx(4 * 200e-6)
        asked = done.json["asked"][0]
        assert (asked["got"], asked["stored"], asked["cost"]) == (4, 24, pytest.approx(4 * 200e-6))
        assert "asked 4 in" in done.err and "24 were stored before" in " ".join(done.err.split())
    for ran in (first, again, done):
        assert SECRET not in ran.out + ran.err


@pytest.mark.network
@pytest.mark.parametrize(("answer", "replies"), [("n", 24), ("y", 28)])
def test_on_a_terminal_the_user_is_asked(tmp_path, answer, replies):
    """A terminal of the test's own stands in for the user's."""
    log = tmp_path / "log"
    with stub(log) as url:
        ours, theirs = pty.openpty()
        command = [str(Path(sys.executable).with_name("fer-build")), *map(str, PAIRS), "--model", "qwen7b"]
        command += ["--endpoint", url, "--estimate"]
        surroundings = os.environ | {"TERM": "xterm", "COLUMNS": "100"}
        with subprocess.Popen(
            command, cwd=tmp_path, stdin=theirs, stdout=theirs, stderr=theirs, env=surroundings
        ) as process:
            os.close(theirs)
            said = b""
            while b"ask for all of it?" not in said:
                said += os.read(ours, 4096)
            os.write(ours, f"{answer}\n".encode())
            try:
                while more := os.read(ours, 4096):
                    said += more
            except OSError:  # Linux tells so that the other side is closed
                pass
            assert process.wait(timeout=120) in (0, 1), said.decode()
        os.close(ours)
    assert answered(log) == replies
    assert (b"nothing more is asked" in said) == (answer == "n")


@pytest.fixture
def faces(demo, tmp_path) -> tuple[str | Path, ...]:
    """Flags of a build in which the demo's faces are ready, and nobody was asked of them."""
    shutil.copytree(demo.work, tmp_path / "work", ignore=shutil.ignore_patterns("cot", ".*", "replies*"))
    return ("--config", demo.config, "--work", tmp_path / "work")


def labels(work: Path) -> dict[str, str]:
    """Return the sum of every face's picture to its label."""
    rows = [row for piece in shards.slices(work / "faces", 500) for row in piece.read().to_pylist()]
    return {sha256(row["image"]["bytes"]).hexdigest(): row["label"] for row in rows}


@pytest.mark.network
def test_cot_tells_how_every_label_fares_and_stops_at_a_budget(demo, run, tmp_path, priced, faces):
    (tmp_path / "noise").write_text(json.dumps(labels(tmp_path / "work")))
    log, total, env = tmp_path / "log", demo.stage("rlvr")["kept"], {"STUB_KEY": SECRET}
    noisy = ("--noise", str(tmp_path / "noise"), "--right", "fear=0,happiness=1,happy=1", "--key", SECRET)
    with stub(log, *noisy) as url:
        words = ("cot", *faces, "--teacher", priced, "--endpoint", url, "--json")
        poor = run(*words, "--budget", 0.02, env=env)  # 200 millionths a reply: 100 of them
        assert (poor.code, poor.json["complete"]) == (1, False), poor.err
        assert answered(log) <= 100 and poor.json["asked"][0]["cost"] == pytest.approx(answered(log) * 200e-6)
        assert "budget" in poor.err and " faces of 48 pixels a side, visual tokens unknown" in poor.err
        ran = run(*words, "--estimate", "--yes", env=env)
    asked, found = ran.json["asked"][-1], ran.json["estimate"]
    assert (answered(log), asked["got"] + asked["stored"]) == (total, total)
    agreement = asked["agreement"]
    assert sum(one["replies"] for one in agreement.values()) == total
    assert agreement["fear"]["agree"] == 0 and next(iter(agreement)) == "fear", "the label that fares worst comes first"
    assert agreement["happiness"]["agree"] == agreement["happiness"]["replies"] > 0
    assert found["trials"] == 24 and 0 <= found["kept"]["low"] <= found["kept"]["high"] <= 1
    assert found["requests"] == total
    assert SECRET not in poor.out + poor.err + ran.out + ran.err


# --- who answers


def entry(url, **changes):
    shipped = {"name": "one", "kind": "http", "model": "stub-vl", "endpoints": [url] if url else []}
    return TeacherEntry(**shipped | changes)


def stands(made, own=()):
    return [(one.answers, one.said) for one in standings([made], own)[0]]


def test_a_server_that_answers_is_told_from_one_that_does_not(monkeypatch):
    monkeypatch.delenv("STUB_KEY", raising=False)
    with stub(Path(os.devnull), "--model", "stub-vl") as url:
        assert stands(entry(url)) == [(True, "answers")]
        assert stands(entry(url, model="big-vl")) == [(False, "serves stub-vl, not big-vl")]
        assert stands(entry(f"{url}/deeper")) == [(False, "answers with HTTP 404")]
        assert stands(entry(url, key="STUB_KEY")) == [(False, "STUB_KEY is not set")]
        assert stands(entry(url, endpoints=[url, "http://127.0.0.1:9/v1"])) == [
            (True, "answers"), (False, "no server answers"),
        ]  # fmt: skip
    assert stands(entry("")) == [(False, "has no endpoint: name one with --endpoint")]
    assert stands(entry("", kind="geometry", model="")) == [(True, "part of the tool")]
    assert stands(entry("", kind="vllm"))[0][1] in ("vllm is installed", "vllm is not installed")


def test_a_key_is_tried_and_never_told(monkeypatch):
    with stub(Path(os.devnull), "--model", "stub-vl", "--key", SECRET) as url:
        monkeypatch.setenv("STUB_KEY", SECRET)
        assert stands(entry(url, key="STUB_KEY")) == [(True, "answers")]
        assert stands(entry(url)) == [(False, "wants an API key")]
        monkeypatch.setenv("STUB_KEY", "sk-wrong-8899")
        assert stands(entry(url, key="STUB_KEY")) == [(False, "refuses the value of STUB_KEY")]


def test_all_are_probed_at_once_within_the_time_out(monkeypatch):
    import socket
    import time

    monkeypatch.setattr(standing, "PATIENCE_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and says nothing
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        began = time.monotonic()
        found = standings([entry(url)] * 8)
        assert time.monotonic() - began < 2.0
    assert {one[0].said for one in found} == {"no server answers"}


def test_teachers_lists_every_entry_with_its_terms(run):
    ran = run("teachers", env={"OPENAI_API_KEY": "", "GEMINI_API_KEY": ""})
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert lines[0].split() == ["name", "kind", "model", "where", "$", "in", "/", "out", "party", "now"]
    assert lines[1].startswith("*  geometry") and lines[1].endswith("part of the tool")
    gpt = next(line for line in lines if line.split()[0] == "gpt")
    assert "api.openai.com" in gpt and "third" in gpt and gpt.endswith("OPENAI_API_KEY is not set")
    assert any(line.strip().startswith("OpenAI's terms forbid") for line in lines)


def test_teachers_as_json_and_the_users_own_entry(run, tmp_path, priced):
    (tmp_path / "fer-build.yaml").write_text(json.dumps({"teacher": "mine.yaml"}))
    with stub(tmp_path / "log", "--key", SECRET) as url:
        priced.write_text(json.dumps(json.loads(priced.read_text()) | {"endpoints": [url]}))
        ran = run("teachers", "--json", env={"STUB_KEY": SECRET, "OPENAI_API_KEY": "", "GEMINI_API_KEY": ""})
    assert ran.code == 0 and ran.json["default"] == "mine.yaml"
    found = {one["name"]: one for one in ran.json["teachers"]}
    assert found["mine"]["answers"] and found["mine"]["now"] == [{"url": url, "answers": True, "said": "answers"}]
    assert found["geometry"]["answers"] and not found["gpt"]["answers"]
    assert found["qwen72b"]["serve"].startswith("vllm serve Qwen/Qwen2.5-VL-72B-Instruct")
    assert SECRET not in ran.out + ran.err
    assert answered(tmp_path / "log") == 0, "nobody is asked anything"


def test_a_teacher_that_is_not_there_is_named(run):
    ran = run("teachers", "qwen72", "--json")
    assert (ran.code, ran.json["error"]["hint"]) == (2, "did you mean 'qwen72b'?")


@pytest.mark.network
def test_one_teacher_is_told_in_full_with_what_it_sees_of_the_faces(demo, tmp_path):
    ran = fer_build("teachers", "qwen7b", "--config", demo.config, "--json", cwd=demo.home)
    seen = {one["source"]: one for one in ran.json["preflight"]}
    assert seen["ferplus"]["pixels"] == {"median": 48, "least": 48, "most": 48}
    assert seen["ferplus"]["tokens"] == {"median": 4, "least": 4, "most": 4} and seen["ferplus"]["warning"]
    assert sum(one["pictures"] for one in seen.values()) == demo.stage("rlvr")["kept"], "training faces alone"
    ran = fer_build("teachers", "qwen7b", "--config", demo.config, cwd=demo.home)
    assert "vllm serve Qwen/Qwen2.5-VL-7B-Instruct" in ran.out and "4 visual tokens" in ran.out
    (tmp_path / "big.yaml").write_text("name: big\npicture: {enlarge_to: 224}\n")
    (tmp_path / "fer-build.yaml").write_text(json.dumps({"recipe": "big.yaml", "work": str(demo.work)}))
    seen = {one["source"]: one for one in fer_build("teachers", "qwen7b", "--json", cwd=tmp_path).json["preflight"]}
    assert (seen["ferplus"]["tokens"]["median"], seen["ferplus"]["warning"]) == (64, ""), "as the recipe has it shown"
    assert "preflight" not in fer_build("teachers", "--config", demo.config, "--json", cwd=demo.home).json


# --- what was paid


def record(key, teacher="gpt", outcome="ok", usage=(1000, 100), at="2026-01-02T03:04:05.678+00:00"):
    spent = {"prompt_tokens": usage[0], "completion_tokens": usage[1]} if usage else {}
    reply = Reply("<think>so</think>", "stop", outcome, "HTTP 500" if outcome == "gave up" else "")
    return Record(key, teacher, "m", reply, spent, 2000 if usage else 0, "https://a.invalid/v1", at)


def attempt(key, fault, usage="{}"):
    return Attempt(key, "gpt", "m", fault, "", usage, 5, "https://a.invalid/v1", "2026-01-01T00:00:00.000+00:00")


@pytest.fixture
def work(tmp_path) -> Path:
    """A store that another process would hold, of two teachers, one of which is known today."""
    store = tmp_path / "fer-data" / "replies.sqlite"
    with replies.asking(store) as asked:
        rows = [record("a"), record("b"), record("c", outcome="gave up", usage=None), record("d", "mine")]
        cut = attempt("b", "cut", '{"prompt_tokens": 400, "completion_tokens": 40}')
        asked.put(rows, [attempt("a", "HTTP 429"), attempt("b", "HTTP 429"), cut])
    replies.note_sent(store, "rafdb", "a.invalid", "Not to be passed on.")
    return tmp_path


def test_replies_tells_outcomes_tokens_cost_times_and_faults(run, work):
    with replies.asking(work / "fer-data" / "replies.sqlite"):  # another process asks meanwhile
        told = run("replies")
    assert told.code == 0
    lines = told.out.splitlines()
    assert lines[0] == "gpt (m): 3 requests, 2026-01-01 00:00:00 UTC to 2026-01-02 03:04:05 UTC"
    facts = {line.strip().partition("  ")[0]: line.strip().partition("  ")[2].strip() for line in lines[1:7]}
    prices = load.load_teacher("gpt").prices
    paid = (2400 * prices["input"] + 240 * prices["output"]) / 1e6
    lost = (400 * prices["input"] + 40 * prices["output"]) / 1e6
    assert facts == {
        "outcomes": "ok 2, gave up 1",
        "tokens": "2,400 read, 240 written",
        "cost": f"${paid:.4f}",
        "a reply": "2.0 s on average",
        "faults": "HTTP 429 2, cut 1",
        "for naught": f"440 of the tokens, ${lost:.4f}: paid for attempts that brought nothing",
    }
    assert "mine (m): 1 requests" in told.out and "not known: --teacher names its entry" in told.out
    assert "rafdb go to a.invalid" in lines[-1] and lines[-1].endswith("Not to be passed on.")


def test_replies_as_json_and_as_parquet(run, work):
    told = run("replies", "--json", "--export", "deep/all.parquet")
    assert told.code == 0 and told.json["exported"]["rows"] == 7
    first, second = told.json["teachers"]
    assert (first["teacher"], first["outcomes"], first["faults"]) == (
        "gpt", {"ok": 2, "gave up": 1}, {"HTTP 429": 2, "cut": 1},
    )  # fmt: skip
    assert (first["tokens"], first["fruitless"]) == ({"read": 2400, "written": 240}, {"read": 400, "written": 40})
    assert (second["teacher"], second["cost"]) == ("mine", None)
    assert [one["source"] for one in told.json["sent"]] == ["rafdb"]
    table = parquet.read_table(work / "deep" / "all.parquet")
    assert table.num_rows == 7 and sorted(table["key"].to_pylist()) == ["a", "a", "b", "b", "b", "c", "d"]
    assert table["stands"].to_pylist().count(True) == 4


def test_the_users_own_entry_prices_its_replies(run, work):
    prices = {"kind": "http", "model": "m", "endpoints": ["http://a/v1"], "prices": {"input": 2.0, "output": 10.0}}
    (work / "mine.yaml").write_text(json.dumps(prices))
    assert run("replies", "--json", "--teacher", "mine.yaml").json["teachers"][1]["cost"] == pytest.approx(0.003)
    (work / "fer-build.yaml").write_text(json.dumps({"teacher": "mine.yaml"}))
    assert run("replies", "--json").json["teachers"][1]["cost"] == pytest.approx(0.003)


def test_where_nobody_was_asked_there_is_nothing_to_tell(run, tmp_path):
    told = run("replies")
    assert told.code == 0 and told.out.endswith("fer-data/replies.sqlite: nobody was asked yet\n")
    assert run("replies", "--export", "x.parquet", "--json").json["error"]["problem"] == "there are no replies yet"
    assert not (tmp_path / "x.parquet").exists()
