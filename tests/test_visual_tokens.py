import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ferbuild.builders.visual_tokens import Spread, preflight, visual_tokens
from ferbuild.manifests import load
from ferbuild.manifests.schema import ImageTokens, TeacherEntry

QWEN25 = ImageTokens(patch=28, min_pixels=3136, max_pixels=12845056)
QWEN3 = ImageTokens(patch=32, min_pixels=65536, max_pixels=16777216)
PATCHES = ImageTokens(patch=32, min_pixels=1, max_pixels=2560000, rounding="up")


# Of the Qwen models by `smart_resize` of transformers 5.19; of the patches by the examples in OpenAI's guide.
@pytest.mark.parametrize(
    ("width", "height", "image", "tokens"),
    [
        (48, 48, QWEN25, 4),
        (224, 224, QWEN25, 64),
        (100, 100, QWEN25, 16),
        (100, 60, QWEN25, 8),
        (10, 10, QWEN25, 4),
        (500, 30, QWEN25, 18),
        (5000, 5000, QWEN25, 16129),
        (48, 48, QWEN3, 64),
        (224, 224, QWEN3, 64),
        (300, 200, QWEN3, 70),
        (100, 60, QWEN3, 77),
        (5000, 5000, QWEN3, 16384),
        (48, 48, PATCHES, 4),
        (224, 224, PATCHES, 49),
        (33, 1, PATCHES, 2),
        (1024, 1024, PATCHES, 1024),
    ],
)
def test_tokens_of_known_sizes(width, height, image, tokens):
    assert visual_tokens(width, height, image) == tokens


def test_a_fixed_count_is_the_same_for_all():
    fixed = ImageTokens(patch=16, min_pixels=1, max_pixels=10**6, tokens=1120)
    assert {visual_tokens(side, 99, fixed) for side in (1, 48, 5000)} == {1120}


sides = st.integers(1, 4000)


@given(sides, sides, st.sampled_from([QWEN25, QWEN3, PATCHES]))
def test_tokens_keep_to_the_limits_and_do_not_depend_on_which_way_it_lies(width, height, image):
    tokens = visual_tokens(width, height, image)
    area = image.patch**2
    assert tokens >= 1 and tokens == visual_tokens(height, width, image)
    # A picture that is a thin line is one row of tokens and may break the upper limit, as in the models' own code.
    if max(width, height) / min(width, height) < 100:
        assert tokens * area <= image.max_pixels
    assert tokens >= math.ceil(image.min_pixels / area)


@given(st.integers(1, 1500), st.sampled_from([QWEN25, QWEN3, PATCHES]))  # larger ones are shrunk, in whole patches
def test_a_larger_square_has_no_fewer_tokens(side, image):
    assume(side * side >= image.min_pixels)  # smaller ones are enlarged, by the models' own code up to a row too much
    assert visual_tokens(side, side, image) <= visual_tokens(side + 1, side + 1, image)


def entry(image=QWEN25, kind="http"):
    return TeacherEntry(name="one", kind=kind, model="m", image=image)


def test_preflight_counts_every_source_and_warns_where_the_model_sees_little():
    rows = [("ferplus", 48, 48)] * 5 + [("rafdb", 100, 110)] * 2 + [("rafdb", 224, 224), ("ferplus", 100, 100)]
    small, large = preflight(iter(rows), entry())
    assert small[:4] == ("ferplus", 6, Spread(48, 48, 100), Spread(4, 4, 16))
    assert small.warning.startswith("half of the faces become 4 visual tokens or fewer: enlarge them")
    assert "enlarge_to: 224}" in small.warning and '"shortest_edge": 50176' in small.warning
    assert large == ("rafdb", 3, Spread(100, 100, 224), Spread(16, 16, 64), "")
    assert preflight([], entry()) == []


def test_preflight_of_a_model_that_enlarges_by_itself_or_of_which_nothing_is_known():
    rows = [("ferplus", 48, 48)]
    assert preflight(rows, entry(QWEN3))[0][3:] == (Spread(64, 64, 64), "")
    assert preflight(rows, entry(None))[0][2:] == (Spread(48, 48, 48), None, "")


def test_the_advice_is_what_its_server_takes():
    rows = [("ferplus", 48, 48)]
    assert "engine.mm_processor_kwargs" in preflight(rows, entry(kind="vllm"))[0].warning
    third = preflight(rows, entry(PATCHES))[0].warning
    assert "picture: {enlarge_to: 256}" in third and "mm_processor" not in third


@pytest.mark.parametrize("name", ["qwen72b", "qwen7b", "qwen7b-local", "qwen38"])
def test_what_the_server_is_told_is_what_the_entry_says(name):
    made = load.load_teacher(name)
    edges = f'"shortest_edge": {made.image.min_pixels}, "longest_edge": {made.image.max_pixels}'
    told = made.serve or str(made.engine["mm_processor_kwargs"]).replace("'", '"')
    assert edges in told
    length = made.engine.get("max_model_len") or int(made.serve.split("--max-model-len ")[1].split()[0])
    largest = visual_tokens(9000, 9000, made.image)
    assert largest + made.sampling["max_tokens"] + 1024 < length, "no picture fills the context"
