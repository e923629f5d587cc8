"""Of vllm/sampling_params.py."""

from vllm.exceptions import VLLMValidationError


class StructuredOutputsParams:
    def __init__(self, json=None, regex=None, choice=None, grammar=None):
        if sum(one is not None for one in (json, regex, choice, grammar)) != 1:
            raise VLLMValidationError("You must use one kind of structured outputs constraint")
        self.regex = regex


class SamplingParams:
    def __init__(
        self, *, temperature=1.0, top_p=1.0, top_k=0, min_p=0.0, repetition_penalty=1.0, seed=None, max_tokens=16
    ):
        self.temperature, self.top_p, self.top_k, self.min_p = temperature, top_p, top_k, min_p
        self.repetition_penalty, self.seed, self.max_tokens = repetition_penalty, seed, max_tokens

    @staticmethod
    def from_optional(
        temperature=1.0,
        top_p=1.0,
        top_k=0,
        min_p=0.0,
        repetition_penalty=1.0,
        seed=None,
        max_tokens=16,
        structured_outputs=None,
    ):
        if not 0 < top_p <= 1:
            raise VLLMValidationError(f"top_p must be in (0, 1], got {top_p}")
        said = {"temperature": temperature, "top_p": top_p, "top_k": top_k, "min_p": min_p}
        made = SamplingParams(**said, repetition_penalty=repetition_penalty, seed=seed, max_tokens=max_tokens)
        if structured_outputs:
            made.regex = structured_outputs.regex
        return made
