"""What teachers.yaml may say: the shipped entries, and what an entry of the user's is told."""

import pytest
import yaml

from ferbuild.builders.errors import FerError
from ferbuild.manifests import load

MODELS = ("qwen72b", "qwen7b", "qwen7b-local", "qwen38", "gpt", "gpt-batch", "gemini")
HTTP = {"kind": "http", "model": "m", "endpoints": ["http://127.0.0.1:8000/v1"]}
BATCH = {"kind": "batch", "model": "m", "endpoints": ["https://api.openai.com/v1"], "key": "KEY"}
VLLM = {"kind": "vllm", "model": "m"}


def test_the_shipped_entries_are_complete():
    assert load.entries("teachers.yaml") == ["geometry", *MODELS[:4], "gpt", "gpt-batch", "gemini"]
    for name in MODELS:
        made = load.load_teacher(name)
        assert made.model and made.about.endswith(".") and made.terms and made.image and made.sampling
        third = made.party == "third"
        assert (bool(made.key), bool(made.prices), any("https://" in url for url in made.endpoints)) == (third,) * 3
        assert (made.kind == "http" and not third) == (made.model in made.serve) == bool(made.serve)
        assert not third or made.prices["cached"] < made.prices["input"] < made.prices["output"]
    assert load.load_teacher("geometry").baseline and not load.load_teacher("geometry").terms


def test_models_in_process_and_in_batches_are_those_that_are_served():
    for one, other in (("qwen7b-local", "qwen7b"), ("gpt-batch", "gpt")):
        first, second = load.load_teacher(one), load.load_teacher(other)
        assert (first.model, first.sampling, first.image) == (second.model, second.sampling, second.image)
        assert (first.terms, first.party) == (second.terms, second.party)
    assert load.load_teacher("gpt-batch").prices == load.load_teacher("gpt").prices | {"batch": 0.5}


def written(tmp_path, entry):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(entry))
    return load.load_teacher(str(path))


@pytest.mark.parametrize(
    "entry",
    [
        HTTP,
        HTTP | {"endpoints": []},  # it may be named by --endpoint
        HTTP | {"prices": {"input": 0.1, "output": 0.2}},  # what a GPU hour comes to, say
        HTTP | {"image": {"patch": 28, "min_pixels": 3136, "max_pixels": 3136}},
        BATCH,
        BATCH | {"prices": {"input": 1, "output": 2, "batch": 0}},
        VLLM | {"engine": {"tensor_parallel_size": 8, "distributed_executor_backend": "ray"}},
        {"kind": "geometry"},
    ],
)
def test_what_goes_together_is_read(entry, tmp_path):
    assert written(tmp_path, entry).name == "mine"


@pytest.mark.parametrize(
    ("entry", "problem", "hint"),
    [
        (HTTP | {"endpoint": []}, "unknown key 'endpoint'", "did you mean 'endpoints'?"),
        (HTTP | {"kind": "grpc"}, "kind: Input should be 'http', 'vllm', 'batch' or 'geometry'", "'grpc'"),
        (HTTP | {"model": ""}, "model: none is named", "the name under which the server"),
        (HTTP | {"engine": {"seed": 1}}, "engine: nothing of it reaches a teacher of kind http", "in its own line"),
        (HTTP | {"key": "sk-12345"}, "key: is no name of a variable", "never the key itself"),
        (HTTP | {"sampling": {"stream": True}}, "sampling.stream: cannot be set here", "in every request"),
        (HTTP | {"sampling": {"n": 4}}, "sampling.n: cannot be set here", "--samples"),
        (HTTP | {"prices": {"input": 1}}, "prices: only half of a request's cost is known", "`output`"),
        (HTTP | {"prices": {"input": -1, "output": 1}}, "prices.input: Input should be greater than or equal", "-1"),
        (HTTP | {"prices": {"in": 1}}, "prices.in.[key]: Input should be 'input', 'output', 'cached' or", "'in'"),
        (BATCH | {"prices": {"input": 1, "output": 2, "batch": 50}}, "prices.batch: 50", "0.5 for half"),
        (BATCH | {"key": None}, "key: a batch is kept by an account", "the variable that holds its key"),
        (BATCH | {"endpoints": []}, "endpoints: 0 of them", "write one"),
        (BATCH | {"endpoints": ["http://a", "http://b"]}, "endpoints: 2 of them", "where it was handed in"),
        (VLLM | {"endpoints": ["http://a"]}, "endpoints: there is no server to ask", "write `kind: http`"),
        (VLLM | {"key": "KEY"}, "key: there is no server to ask", "leave `key` out"),
        (VLLM | {"serve": "vllm serve m"}, "serve: there is no server to ask", "leave `serve` out"),
        (VLLM | {"party": "third"}, "party: nobody else is asked", "`party: local`"),
        ({"kind": "geometry", "model": "m"}, "model: the baseline measures and asks none", "leave it out"),
        (HTTP | {"image": {"patch": 28, "min_pixels": 9, "max_pixels": 1}}, "image: min_pixels is above", "width"),
        (HTTP | {"image": {"patch": 28}}, "image.min_pixels: Field required", "28"),
        (HTTP | {"image": {"patch": 28, "pixels": 1}}, "unknown key 'image.pixels'", "did you mean"),
    ],
)
def test_what_does_not_go_together_is_told_with_what_to_do(entry, problem, hint, tmp_path):
    with pytest.raises(FerError) as caught:
        written(tmp_path, entry)
    assert caught.value.where.endswith("mine.yaml")
    assert caught.value.problem.startswith(problem) and hint in caught.value.hint


def test_a_misspelt_name_is_told():
    with pytest.raises(FerError) as caught:
        load.load_teacher("qwen7b-lokal")
    assert caught.value.hint == "did you mean 'qwen7b-local'?"
