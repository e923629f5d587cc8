"""The faces stage on a Ray cluster of two nodes, one of which is killed on the way; run as a script by test_engines.

python ray_cluster.py CONFIG WORK: builds the faces of CONFIG in WORK, and tells on stdout, as JSON, what was done.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from ferbuild.builders import daft_engine, faces
from ferbuild.builders.faces import face_batch
from ferbuild.builders.record import Batch

LOG = "LOG_OF_TEST"
NODE = "NODE_OF_TEST"
HEALTH = {"health_check_period_ms": 500, "health_check_failure_threshold": 4}
"""A node that refuses connections is given up after two seconds; one that is slow has its ten."""
SLOW_S = 0.25
"""Seconds that every job takes longer: the node is to have one in hand when it is killed."""
STORE = 100_000_000
"""Bytes of a node's object store; 75 MB is the least that Ray takes."""


def slow_batch(job: faces.Listed) -> Batch:
    note("began", job)
    time.sleep(SLOW_S)
    made = face_batch(job)
    note("done", job)
    return made


def note(what: str, job: faces.Listed) -> None:
    with Path(os.environ[LOG]).open("a") as file:
        file.write(f"{what} {job.rows['id'][0]} {os.environ.get(NODE, 'none')}\n")


def in_hand(log: Path, node: str) -> list[str]:
    """Return the jobs that a node has begun and not done."""
    lines = [line.split() for line in log.read_text().splitlines()]
    done = {job for what, job, _ in lines if what == "done"}
    return [job for what, job, of in lines if what == "began" and of == node and job not in done]


def main(config: Path, work: Path) -> dict[str, Any]:
    from ray.cluster_utils import Cluster

    from ferbuild.builders.build import Build
    from ferbuild.builders.config import read_settings

    os.environ[LOG] = str(work.with_suffix(".log"))
    cluster = Cluster()
    for name in ("first", "second"):
        head = {"include_dashboard": False, "_system_config": HEALTH} if name == "first" else {}
        node = cluster.add_node(num_cpus=1, object_store_memory=STORE, env_vars={NODE: name}, **head)
    cluster.wait_for_nodes()
    killed = list[list[str]]()

    def tick(stage: str, done: int, total: int) -> None:
        end = time.monotonic() + 20
        while not killed and time.monotonic() < end:
            if busy := in_hand(Path(os.environ[LOG]), "second"):
                cluster.remove_node(node, allow_graceful=False)
                killed.append(busy)
            time.sleep(0.02)

    from ray_cluster import slow_batch as importable  # by the name under which a node finds it

    faces.PART_ROWS, faces.face_batch, daft_engine.LOTS = 4, importable, 2
    settings = read_settings(config, work=work, engine="daft", ray_address=cluster.address)
    report = faces.run(Build(settings, tick=tick))
    return {"report": report.as_json(), "killed": killed, "log": Path(os.environ[LOG]).read_text().splitlines()}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), Path(sys.argv[2]))))
