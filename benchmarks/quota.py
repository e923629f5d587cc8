"""Rare labels at equal budget: a noisy teacher simulated, asked uniformly and by quota, with the tool's own rounds.

    python benchmarks/quota.py --faces 20000 --samples 4 --quota 0.8

Faces have labels in RAF-DB's training shares. How often the teacher is right differs by label (`RIGHT`, made up, in the
order that published confusion matrices have: happiness easy, fear, disgust and contempt hard) and by face: a face's own
chance is drawn from a Beta distribution around its label's, so that some faces are never agreed on, however often the
teacher is asked. The uniform way asks every face `samples` times; the quota has the same number of requests to spend.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from ferbuild.builders.asking import Asking
from ferbuild.builders.build import Build
from ferbuild.builders.config import Settings
from ferbuild.builders.questions import question_among
from ferbuild.builders.record import CANONICAL, IMAGE
from ferbuild.builders.replies import Reply, Request, Usage, Watch
from ferbuild.builders.rounds import Asker, Quota, quota_of
from ferbuild.builders.shards import Slice
from ferbuild.builders.stage import Job
from ferbuild.builders.teacher import AskOptions, Halt, Teacher
from ferbuild.manifests import load
from ferbuild.manifests.recipe import Claims

SHARES = {
    "happiness": 4772, "neutral": 2524, "sadness": 1982, "surprise": 1290, "disgust": 717, "anger": 705, "fear": 281,
}  # fmt: skip
"""Training faces of RAF-DB by label (sources.md, `manifests/sources/rafdb.yaml`)."""
RIGHT = {
    "happiness": 0.93, "neutral": 0.75, "sadness": 0.7, "surprise": 0.7, "anger": 0.6, "disgust": 0.3, "fear": 0.4,
}  # fmt: skip
SPREAD = 2.0
"""Sum of the parameters of the Beta distribution: small, and faces are either easy or hopeless."""
SOURCE = "simulated"


class Face(NamedTuple):
    label: str
    right: float
    """The teacher's chance to answer with the label, 0..1."""


def faces(count: int, seed: int) -> list[Face]:
    rng = np.random.default_rng(seed)
    labels = rng.choice(list(SHARES), count, p=np.array(list(SHARES.values())) / sum(SHARES.values()))
    return [Face(str(one), float(rng.beta(RIGHT[one] * SPREAD, (1 - RIGHT[one]) * SPREAD))) for one in labels]


@dataclass
class Noisy:
    """A teacher that is right by chance, one US dollar a reply."""

    faces: Sequence[Face]
    budget: float | None
    seed: int
    asked: Counter[str]
    name: str = "noisy"
    baseline: bool = False

    def ready(self) -> None:
        """Do nothing."""

    def ask(self, requests: Iterable[Request], watch: Watch) -> Halt | None:
        for spent, request in enumerate(requests):
            if self.budget is not None and spent >= self.budget:
                return Halt("the budget is spent", "")
            face = self.faces[int(request.id)]
            rng = np.random.default_rng([self.seed, int(request.id), request.sample])
            wrong = [label for label in CANONICAL if label != face.label]
            answer = face.label if rng.random() < face.right else str(rng.choice(wrong))
            text = f"<think>{'the brows and the mouth say so ' * 3}</think><answer>{answer}</answer>"
            self.asked[face.label] += 1
            watch(request, Reply(text, "stop", "ok", usage=Usage(0, 1_000_000)), True)
        return None

    def recall(self, requests: Sequence[Request]) -> list[Reply | None]:
        return [None for _ in requests]


@dataclass
class Simulated(Asker):
    """The tool's rounds over faces in memory."""

    table: pa.Table = field(default_factory=lambda: pa.table({}))
    seen: Sequence[Face] = ()
    asked: Counter[str] = field(default_factory=Counter)

    def teacher(self) -> Teacher:
        budget = self.options.budget
        return Noisy(self.seen, None if budget is None else budget - self.spent, 7, self.asked)

    def _table(self, job: Job) -> pa.Table:
        return self.table.slice(job.work.start, job.rows)


def table_of(seen: Sequence[Face]) -> pa.Table:
    count = len(seen)
    columns = {
        "id": [str(at) for at in range(count)],
        "source": [SOURCE] * count,
        "label": [face.label for face in seen],
        "canonical": [face.label for face in seen],
        "votes": pa.array([None] * count, pa.list_(pa.int32())),
        "image": pa.array([{"bytes": b"", "path": ""}] * count, IMAGE),
    }
    return pa.table(columns)


def run(seen: Sequence[Face], *, samples: int, quota: Quota | None, budget: float | None) -> tuple[Counter[str], int]:
    """Return the kept faces of every label, and the requests."""
    entry = load.load_teacher("qwen7b").model_copy(update={"prices": {"input": 0.0, "output": 1.0}})
    recipe = load.load_recipe("default")
    asking = Asking(
        entry=entry,
        store=Path("unused"),
        template=recipe.question,
        questions={SOURCE: question_among(CANONICAL, recipe.question)},
        checks=("answered", "agrees"),
        benchmarks=frozenset(),
        measures=None,
        calibration=None,
        claims=Claims(check=False),
        grounds=None,
        samples=samples,
        in_turn=quota is not None,
    )
    build = Build(Settings(work=Path("unused"), recipe=recipe, releases=()))
    jobs = [Job(min(1000, len(seen) - at), Slice(Path(), "train", at, 1000)) for at in range(0, len(seen), 1000)]
    asker = Simulated(build, asking, AskOptions(budget=budget), jobs, table=table_of(seen), seen=seen)
    asker.ask_all(quota)
    return asker.faces - Counter({label: len(ids) for label, ids in asker.failing.items()}), asker.asked.total()


def lines(seen: Sequence[Face], uniform: Mapping[str, int], filled: Mapping[str, int]) -> list[str]:
    """Return the table: faces of every label, and those kept either way."""
    total = Counter(face.label for face in seen)
    out = ["| label | faces | kept, uniform | kept, quota |", "|---|---:|---:|---:|"]
    for label in sorted(total, key=lambda name: -total[name]):
        kept = (f"{found[label]:,} ({found[label] / total[label]:.0%})" for found in (uniform, filled))
        out.append(f"| {label} | {total[label]:,} | {' | '.join(kept)} |")
    return out


def main() -> None:
    words = argparse.ArgumentParser(description="Simulate a noisy teacher, asked uniformly and by quota.")
    words.add_argument("--faces", type=int, default=20_000)
    words.add_argument("--samples", type=int, default=4, help="of every face, the uniform way")
    words.add_argument("--quota", default="0.8")
    words.add_argument("--tries", type=int, default=32, help="of one face at most, by quota")
    words.add_argument("--seed", type=int, default=0)
    options = words.parse_args()
    seen = faces(options.faces, options.seed)
    uniform, spent = run(seen, samples=options.samples, quota=None, budget=None)
    filled, used = run(seen, samples=options.tries, quota=quota_of(options.quota), budget=float(spent))
    print(f"{options.faces:,} faces; uniform: {spent:,} requests; quota {options.quota}: {used:,} requests\n")
    print("\n".join(lines(seen, uniform, filled)))


if __name__ == "__main__":
    main()
