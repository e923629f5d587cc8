"""The proof that the training learns, on shards made by fer-build, and that it does so from the pictures alone."""

from __future__ import annotations

from statistics import mean
from typing import Any

import pytest

CHANCE = 0.25  # four labels, drawn evenly


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    from training_demo import prove

    return prove(tmp_path_factory.mktemp("proof"), control_steps=30)


def ends(curve: list[tuple[int, float]]) -> tuple[float, float]:
    """The first two and the last two logged values."""
    values = [value for _, value in curve]
    return mean(values[:2]), mean(values[-2:])


def gain(run: dict[str, Any]) -> float:
    first, last = ends(run["curve"])
    return last - first


def test_the_loss_of_sft_falls_and_the_pictures_are_seen(found):
    first, last = ends(found["sft"]["curve"])
    assert last < 0.1 < 1.0 < first
    assert found["sft"]["held_out"] > CHANCE + 0.3, "a model that does not see is right about one of four"


def test_grpo_raises_the_accuracy_reward_and_the_held_out_accuracy(found):
    run = found["grpo"]
    assert run["curve"][-1][0] <= 60
    assert gain(run) >= 0.2, run
    assert run["held_out"] > found["sft"]["held_out"], run


def test_a_reward_that_is_the_same_for_all_teaches_nothing(found):
    run = found["constant reward"]
    assert gain(run) < 0.1, run
    assert run["held_out"] <= found["sft"]["held_out"] + 0.02, run


def test_pictures_of_other_rows_teach_nothing(found):
    run = found["shuffled pictures"]
    assert gain(run) < 0.1 and max(value for _, value in run["curve"]) < 0.6, run
    assert run["held_out"] < found["sft"]["held_out"], run
