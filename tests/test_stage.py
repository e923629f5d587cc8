"""The stage engine: nothing lost, byte-identical whatever the workers and however often it was killed."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from small_stage import SCHEMA, card, die_on, jobs, plan, work

from ferbuild.builders import shards, stage
from ferbuild.builders.errors import FerError
from ferbuild.builders.record import DROPS, Batch, drop, drops_table

SCRIPT = Path(__file__).with_name("small_stage.py")


def digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def ids(folder: Path, split: str) -> list[str]:
    return [name for path in shards.split_files(folder)[split] for name in shards.read_stream(path)["id"].to_pylist()]


def test_every_row_is_kept_or_dropped_and_in_order(tmp_path):
    report = stage.run(plan(tmp_path / "faces"), jobs(4), work, card=card)
    assert (report.rows_in, report.kept, report.dropped) == (200, 171, {"seventh": 29})
    assert report.splits == {"train": 154, "validation": 17}
    numbers = [n for n in range(200) if n % 7]
    assert ids(tmp_path / "faces", "train") == [str(n) for n in numbers if n % 10]
    assert ids(tmp_path / "faces", "validation") == [str(n) for n in numbers if not n % 10]
    reasons = [row for table in shards.read_drops(tmp_path / "faces") for row in table.to_pylist()]
    assert [row["id"] for row in reasons] == [str(n) for n in range(0, 200, 7)]
    assert not (tmp_path / ".faces.parts").exists()


def test_early_drops_count_as_rows_that_went_in(tmp_path):
    early = drops_table([drop({"id": "e"}, "no face name")])
    report = stage.run(plan(tmp_path / "faces"), jobs(1), work, early=early, card=card)
    assert (report.rows_in, report.dropped) == (51, {"no face name": 1, "seventh": 8})


def test_a_lost_row_is_never_published(tmp_path):
    def careless(numbers):
        return Batch({}, DROPS.empty_table())

    with pytest.raises(FerError, match="50 rows went in, 0 were kept, 0 dropped and 0 written"):
        stage.run(plan(tmp_path / "faces"), jobs(1), careless, card=card)
    assert not (tmp_path / "faces").exists()


def test_one_worker_or_two_give_the_same_bytes(tmp_path):
    for workers in (1, 2):
        stage.run(plan(tmp_path / str(workers) / "faces"), jobs(6), work, workers=workers, card=card)
    assert digest(tmp_path / "1") == digest(tmp_path / "2")


@pytest.mark.parametrize(("workers", "kill"), [("1", os.kill), ("2", os.killpg), ("2", os.kill)])
def test_killed_at_any_moment_the_rerun_gives_the_same_bytes(tmp_path, workers, kill):
    whole = tmp_path / "whole"
    stage.run(plan(whole / "faces"), jobs(40), work, card=card)
    wanted = digest(whole / "faces")
    rng = random.Random(7)
    killed = tmp_path / "killed"
    for _ in range(4):
        command = [sys.executable, str(SCRIPT), str(killed), workers]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        for _ in range(rng.randrange(1, 9)):
            process.stdout.readline()
        kill(process.pid, signal.SIGKILL)
        process.wait()
    ticks = []
    report = stage.run(
        plan(killed / "faces"), jobs(40), work, tick=lambda name, done, total: ticks.append(done), card=card
    )
    assert digest(killed / "faces") == wanted
    assert report.rows_in == 2000
    assert len(ticks) < 40, "the finished parts were made again"


def test_workers_end_with_their_parent(tmp_path):
    command = [sys.executable, str(SCRIPT), str(tmp_path), "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    end = time.monotonic() + 10
    while alive(process.pid) and time.monotonic() < end:
        time.sleep(0.05)
    assert not alive(process.pid), "a worker outlived its parent"


def alive(group: int) -> bool:
    """Whether any process of a group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_ctrl_c_lets_running_parts_finish_and_the_rerun_goes_on(tmp_path):
    command = [sys.executable, str(SCRIPT), str(tmp_path), "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert "KeyboardInterrupt" in process.communicate()[1]
    [folder] = (tmp_path / ".faces.parts").iterdir()
    assert not list(folder.glob("*.part"))
    assert 1 < len(list(folder.glob("*.json"))) < 41
    report = stage.run(plan(tmp_path / "faces"), jobs(40), work, card=card)
    assert report.rows_in == 2000


@pytest.mark.parametrize("state", ["old is away", "both are there"])
def test_a_kill_while_the_new_folder_takes_its_place(tmp_path, state):
    old = plan(tmp_path / "faces", options={"a": 1})
    stage.run(old, jobs(1), work, card=card)
    other = plan(tmp_path / "else" / "faces", options={"a": 2})
    stage.run(other, jobs(2), work, card=card)
    (tmp_path / "else" / "faces").rename(tmp_path / ".faces.new")
    if state == "old is away":
        (tmp_path / "faces").rename(tmp_path / ".faces.old")
    new = plan(tmp_path / "faces", options={"a": 2})
    report = stage.current(new)
    assert report is not None and report.rows_in == 100
    assert sorted(path.name for path in tmp_path.iterdir()) == ["else", "faces"]


def test_a_half_written_new_folder_is_not_taken(tmp_path):
    stage.run(plan(tmp_path / "faces"), jobs(1), work, card=card)
    (tmp_path / ".faces.new" / "train").mkdir(parents=True)
    assert stage.current(plan(tmp_path / "faces")).rows_in == 50


def test_no_stale_shard_remains_after_a_rebuild(tmp_path):
    stage.run(plan(tmp_path / "faces", shard_bytes=500), jobs(8), work, card=card)
    assert len(shards.split_files(tmp_path / "faces")["train"]) > 1
    stage.run(plan(tmp_path / "faces"), jobs(1), work, card=card)
    found = sorted(path.name for path in (tmp_path / "faces").rglob("*.arrow"))
    assert found == ["data-00000-of-00001.arrow"] * 3


def test_unanswered_rows_leave_the_stage_incomplete(tmp_path):
    def gave_up(numbers):
        return Batch(
            {}, drops_table([drop({"id": str(n)}, "teacher gave up") for n in numbers]), unanswered=len(numbers)
        )

    asked = plan(tmp_path / "faces")
    report = stage.run(asked, jobs(1), gave_up, card=card)
    assert (report.complete, report.dropped) == (False, {"teacher gave up": 50})
    assert stage.current(asked) is None
    assert stage.run(asked, jobs(1), work, card=card).complete


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"out": Path("elsewhere")}, True),
        ({"flags": {"teacher": "x"}}, True),
        ({"options": {"a": 1}}, False),
        ({"inputs": ["k"]}, False),
        ({"version": 2}, False),
        ({"schema": SCHEMA.remove(1)}, False),
    ],
)
def test_the_key_is_what_the_rows_depend_on(change, same):
    changed = plan(**{"out": Path("faces")} | change)
    assert (changed.key == plan(Path("faces")).key) is same


def test_stage_json_names_no_path_time_or_worker(tmp_path):
    stage.run(plan(tmp_path / "faces"), jobs(2), work, card=card)
    mark = json.loads((tmp_path / "faces" / "stage.json").read_text())
    counts = {"in", "kept", "dropped", "splits", "findings", "tables"}
    assert set(mark) == {"stage", "out", "complete", "key", "flags", *counts}
    assert mark["out"] == "faces"


def test_two_builds_in_one_folder_are_refused(tmp_path):
    script = "import sys,time; from pathlib import Path; from ferbuild.builders.stage import only_one\n"
    script += "with only_one(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(FerError, match="another fer-build is writing here"), stage.only_one(tmp_path):
            pass
        holder.kill()
    with stage.only_one(tmp_path):
        pass


def test_a_dead_worker_is_named_and_the_finished_parts_are_kept(tmp_path):
    with pytest.raises(FerError, match="a worker process died"):
        stage.run(plan(tmp_path / "faces"), jobs(4), partial(die_on, 120), workers=2, card=card)
    report = stage.run(plan(tmp_path / "faces"), jobs(4), work, card=card)
    assert report.rows_in == 200
