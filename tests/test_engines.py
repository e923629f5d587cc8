"""The engines: the same bytes whoever runs the jobs, nothing done twice after a kill, and a node may be lost.

What needs Daft or Ray is skipped where they are not installed: `pip install 'fer-build[cluster]'`.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
from collections import Counter
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from rich.progress import Task
from small_stage import break_on, card, die_on, jobs, plan, work
from test_faces import noise, raf, saved
from test_stage import digest

from ferbuild.builders import daft_engine, engines, faces, pool, stage
from ferbuild.builders.build import Build
from ferbuild.builders.cli import cli
from ferbuild.builders.cli.common import Pace, Progressing, Rate
from ferbuild.builders.config import read_settings
from ferbuild.builders.daft_engine import Reply, answer, versions
from ferbuild.builders.daft_engine import Task as Common
from ferbuild.builders.errors import FerError
from ferbuild.builders.files import must_see
from ferbuild.builders.record import LISTED

HERE = Path(__file__).parent
needs_daft = pytest.mark.skipif(find_spec("daft") is None, reason=f"Daft is not installed: {engines.INSTALL}")
needs_ray = pytest.mark.skipif(
    find_spec("daft") is None or find_spec("ray") is None, reason=f"Ray is not installed: {engines.INSTALL}"
)


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """Daft's processes are no children of this one: what they run they find by its name."""
    monkeypatch.setenv("PYTHONPATH", str(HERE))


@pytest.fixture
def release(tmp_path) -> Path:
    """RAF-DB of 68 pictures: an empty one, a copy, one that the benchmark shows too."""
    pictures = {f"train_{at:05d}": saved(noise((60, 60), at), "JPEG") for at in range(67)}
    pictures |= {"train_00003": b"", "train_00005": pictures["train_00006"], "test_0001": pictures["train_00008"]}
    raf(tmp_path / "RAF", pictures)
    config = tmp_path / "fer-build.yaml"
    config.write_text("sources: {rafdb: RAF}\n")
    return config


DROPPED = {"contaminates:ferbench/rafdb": 1, "duplicate": 1, "empty file": 1}


def interrupting(folder: Path, engine: str, number: int, *, after: int) -> subprocess.CompletedProcess[str]:
    """Run small_stage with two workers, and send it and its children a signal when `after` parts are told of."""
    command = [sys.executable, str(HERE / "small_stage.py"), str(folder), "2", engine]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, start_new_session=True, **pipes) as process:
        for _ in range(after):
            process.stdout.readline()
        os.killpg(process.pid, number)
        said = process.communicate(timeout=60)
    return subprocess.CompletedProcess(command, process.returncode, *said)


def test_processes_of_this_machine_are_the_default(release):
    assert engines.chosen("local") is pool.each
    assert Build(read_settings(release)).engine is pool.each


def test_a_ray_address_is_of_no_use_without_daft(release, run):
    with pytest.raises(FerError, match="only Daft works on a Ray cluster"):
        engines.chosen("local", "auto")
    ran = run("faces", "--ray-address", "auto", "--json")
    assert (ran.code, ran.json["error"]["hint"]) == (2, "add --engine daft")
    assert not (release.parent / "fer-data" / "faces").exists()


@pytest.mark.parametrize(("missing", "address"), [("daft", None), ("ray", "auto")])
def test_a_missing_package_is_named_with_what_installs_it(monkeypatch, missing, address):
    monkeypatch.setattr(engines, "find_spec", lambda name: None if name == missing else name)
    with pytest.raises(FerError) as raised:
        engines.chosen("daft", address)
    assert (raised.value.problem, raised.value.hint) == (
        f"the package {missing} is not installed",
        "pip install 'fer-build[cluster]'",
    )


def test_flags_go_before_the_keys_of_the_file(release):
    release.write_text("sources: {rafdb: RAF}\nengine: daft\nray_address: head:6379\n")
    told = [
        read_settings(release),
        read_settings(release, ray_address="auto"),
        read_settings(release, engine="local"),
        read_settings(release, engine="daft"),
    ]
    assert [(one.engine, one.ray_address) for one in told] == [
        ("daft", "head:6379"),
        ("daft", "auto"),
        ("local", None),
        ("daft", "head:6379"),
    ]
    with pytest.raises(FerError, match="engine"):
        release.write_text("sources: {rafdb: RAF}\nengine: spark\n")
        read_settings(release)


def test_daft_and_ray_are_loaded_only_where_they_run():
    script = "import sys\nfrom ferbuild.builders.cli import cli\ncli.main(['faces', '--help'], standalone_mode=False)\n"
    script += "from ferbuild.builders import faces, measure\nprint('MODULES', *sys.modules)"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert {"--engine", "--ray-address"} <= set(told.split())
    assert not {"daft", "ray"} & set(told.partition("MODULES")[2].split())


def test_an_unknown_engine_is_refused():
    ran = CliRunner().invoke(cli, ["faces", "--engine", "spark"])
    assert (ran.exit_code, "'spark' is not one of 'local', 'daft'" in ran.output) == (2, True)


def test_a_node_that_does_not_see_a_folder_says_so_and_drops_nothing(tmp_path):
    with pytest.raises(FerError, match=r"nowhere: cannot be seen on .*under the same path"):
        must_see(tmp_path / "nowhere")
    unmounted = SimpleNamespace(base=tmp_path / "unmounted")
    with pytest.raises(FerError, match="unmounted: cannot be seen on"):
        faces.face_batch(faces.Listed(LISTED.empty_table(), unmounted, None))


@pytest.mark.parametrize("name", daft_engine.ALIKE)
def test_a_node_with_other_packages_is_refused(tmp_path, name):
    same = Common(len, tmp_path, versions(), tmp_path / "enough")
    assert pickle.loads(answer(pickle.dumps(same), pickle.dumps((3, "four")))) == Reply(3, 4, None)
    other = same._replace(versions=versions() | {name: "0.0.1"})
    reply = pickle.loads(answer(pickle.dumps(other), pickle.dumps((3, "four"))))
    assert isinstance(reply.fault, FerError)
    assert f"it has {name} {versions()[name]}, not 0.0.1" in str(reply.fault)


def test_a_fault_travels_even_where_it_does_not_pickle(tmp_path):
    task = pickle.dumps(Common(stubborn, tmp_path, versions(), tmp_path / "enough"))
    reply = pickle.loads(answer(task, pickle.dumps((0, "a"))))
    assert (type(reply.fault), str(reply.fault)) == (RuntimeError, "holds a")


class StubbornError(Exception):
    def __init__(self, one: str, other: str) -> None:
        super().__init__(f"{one} {other}")


def stubborn(item: str) -> None:
    raise StubbornError("holds", item)


@needs_daft
def test_daft_gives_the_bytes_that_processes_give(run, release):
    ran = [run("faces", "--work", name, "--engine", name, "--workers", 2, "--json") for name in ("local", "daft")]
    for one in ran:
        assert (one.code, one.json["in"], one.json["kept"], one.json["dropped"]) == (0, 68, 65, DROPPED), one.err
    assert digest(release.parent / "local" / "faces") == digest(release.parent / "daft" / "faces")


@needs_daft
def test_a_fault_of_a_job_ends_the_stage_as_it_does_in_processes(tmp_path):
    with pytest.raises(FerError, match="part 3: broken") as raised:
        stage.run(
            plan(tmp_path / "faces"),
            jobs(8),
            partial(break_on, 150),
            engine=engines.chosen("daft"),
            workers=1,
            card=card,
        )
    assert raised.value.hint == "mend it"


@needs_daft
def test_a_dead_process_of_daft_is_named_and_the_finished_parts_are_kept(tmp_path):
    daft = engines.chosen("daft")
    with pytest.raises(FerError, match="a worker process died"):
        stage.run(plan(tmp_path / "faces"), jobs(8), partial(die_on, 320), engine=daft, workers=1, card=card)
    ticks = []
    told = plan(tmp_path / "faces")
    report = stage.run(told, jobs(8), work, tick=lambda name, done, total: ticks.append(done), card=card)
    assert (report.rows_in, len(ticks) < 8) == (400, True)


@needs_daft
def test_killed_with_daft_the_rerun_does_only_the_rest(tmp_path):
    stage.run(plan(tmp_path / "whole" / "faces"), jobs(40), work, card=card)
    killed = tmp_path / "killed"
    assert interrupting(killed, "daft", signal.SIGKILL, after=8).returncode == -signal.SIGKILL
    ticks = []
    stage.run(plan(killed / "faces"), jobs(40), work, tick=lambda name, done, total: ticks.append(done), card=card)
    assert len(ticks) <= 32
    assert digest(killed / "faces") == digest(tmp_path / "whole" / "faces")


@needs_daft
def test_ctrl_c_lets_dafts_running_jobs_finish(tmp_path):
    ran = interrupting(tmp_path, "daft", signal.SIGINT, after=5)
    assert (ran.returncode, "KeyboardInterrupt" in ran.stderr, "FATAL" in ran.stderr) == (-signal.SIGINT, True, False)
    [folder] = (tmp_path / ".faces.parts").iterdir()
    assert not list(folder.glob("*.part"))
    assert 5 < len(list(folder.glob("*.json"))) < 41
    assert stage.run(plan(tmp_path / "faces"), jobs(40), work, card=card).rows_in == 2000


@needs_ray
def test_two_ray_nodes_one_killed_in_the_middle_give_the_same_bytes(run, release, monkeypatch):
    """A job of the lost node is done by the other; what was finished is not done again."""
    monkeypatch.setattr(faces, "PART_ROWS", 4)
    home = release.parent
    faces.run(Build(read_settings(release, work=home / "local")))
    command = [sys.executable, str(HERE / "ray_cluster.py"), str(release), str(home / "ray")]
    ran = subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=240)
    told = json.loads(next((line for line in ran.stdout.splitlines() if line.startswith('{"report"')), "{}"))
    assert told, ran.stderr[-2000:]
    assert (told["report"]["kept"], told["report"]["dropped"]) == (65, DROPPED)
    assert digest(home / "ray" / "faces") == digest(home / "local" / "faces")
    [in_hand] = told["killed"]
    assert len(in_hand) == 1, "the second node was to be killed with a job in hand"
    lines = [line.split() for line in told["log"]]
    assert {node for what, _, node in lines if what == "began"} == {"first", "second"}
    done = Counter(job for what, job, _ in lines if what == "done")
    assert (len(done), max(done.values())) == (17, 1), "every job is done, and what was finished not again"


@needs_ray
def test_an_address_where_no_cluster_answers_is_named(run, release):
    ran = run("faces", "--engine", "daft", "--ray-address", "127.0.0.1:1", "--json")
    assert (ran.code, ran.json["error"]["where"]) == (2, "--ray-address 127.0.0.1:1")
    assert "ray start --head" in ran.json["error"]["hint"]


@pytest.mark.parametrize(
    ("now", "done", "told"),
    [
        (100.0, 0, ""),
        (110.0, 1000, ""),
        (110.0, 1500, ", 50/s, 0:03:30 left"),
        (110.0, 12000, ", 1,100/s, 0:00:00 left"),
    ],
)
def test_the_rate_counts_what_was_done_in_this_run(now, done, told):
    assert Pace("faces", 100.0, 1000).told(now, done, 12000) == told


def test_plain_lines_tell_rate_and_time_left(monkeypatch, capsys):
    clock = iter([100.0, 120.0, 121.0, 140.0])
    monkeypatch.setattr("ferbuild.builders.cli.common.time.monotonic", lambda: next(clock))
    shown = Progressing(None)
    for done in (1000, 2000, 2100, 3000):
        shown.tick("faces", done, 5000)
    assert capsys.readouterr().err.splitlines() == [
        "faces: 1000 of 5000",
        "faces: 2000 of 5000, 50/s, 0:01:00 left",
        "faces: 3000 of 5000, 50/s, 0:00:40 left",
    ]


def test_the_bar_tells_the_rate():
    clock = iter(range(100))
    task = Task(0, "faces", 5000, 0, _get_time=lambda: float(next(clock)))
    assert Rate().render(task).plain == ""
    task.finished_speed = 1234.5
    assert Rate().render(task).plain == "1,234/s"
