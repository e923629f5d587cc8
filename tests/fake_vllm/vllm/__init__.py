"""A stand-in for vLLM in the tests: what the teacher in process calls of it, with the signatures of vLLM 0.32.

`LLM(model, **engine)` and `LLM.chat` are those of vllm/entrypoints/llm.py, `SamplingParams.from_optional` of
vllm/sampling_params.py; an engine argument or a word of the sampling that vLLM does not know is refused as there. What
is asked is noted in the file that FAKE_VLLM_LOG names, a line a call.
"""

import json
import os
import time
from pathlib import Path

from vllm.exceptions import VLLMValidationError
from vllm.sampling_params import SamplingParams

__all__ = ["LLM", "SamplingParams"]

ENGINE = ("max_model_len", "tensor_parallel_size", "limit_mm_per_prompt", "mm_processor_kwargs")
ENGINE += ("distributed_executor_backend", "dtype", "seed", "gpu_memory_utilization")


def note(**what):
    with Path(os.environ["FAKE_VLLM_LOG"]).open("a") as file:
        file.write(json.dumps(what) + "\n")


class Completion:
    def __init__(self, text, finish):
        self.text, self.finish_reason, self.token_ids = text, finish, list(range(20))


class Output:
    """Of vllm/outputs.py: RequestOutput."""

    def __init__(self, text, finish):
        self.prompt_token_ids, self.outputs = list(range(100)), [Completion(text, finish)]


class LLM:
    def __init__(self, model, **engine):
        for name in engine:
            if name not in ENGINE:
                raise TypeError(f"EngineArgs.__init__() got an unexpected keyword argument '{name}'")
        if model == "missing":
            raise OSError("missing is not a local folder and is not a valid model identifier")
        note(loaded=model, engine=engine)

    def get_default_sampling_params(self):
        return SamplingParams(repetition_penalty=1.05, temperature=0.1, top_k=1)

    def chat(
        self,
        messages,
        sampling_params=None,
        use_tqdm=True,
        lora_request=None,
        priority=None,
        chat_template=None,
        chat_template_content_format="auto",
        add_generation_prompt=True,
        continue_final_message=False,
        tools=None,
        chat_template_kwargs=None,
        tokenization_kwargs=None,
        mm_processor_kwargs=None,
    ):
        assert len(messages) == len(sampling_params) and not use_tqdm
        note(
            asked=len(messages),
            sampling=vars(sampling_params[0]),
            seeds=[one.seed for one in sampling_params],
            chat_template_kwargs=chat_template_kwargs,
            first=messages[0],
        )
        return [self.answer(said, sampling) for said, sampling in zip(messages, sampling_params, strict=True)]

    def answer(self, messages, sampling):
        text, picture = messages[-1]["content"]
        assert picture["image_url"]["url"].startswith("data:image/")
        words = text["text"]
        if "TOO LONG" in words:
            raise VLLMValidationError("The decoder prompt is longer than the maximum model length of 512")
        if "BROKEN" in words:
            raise OSError("image file is truncated")
        if "DIE" in words:
            raise RuntimeError("EngineCore encountered an issue")
        if "SLOW" in words:
            time.sleep(0.1)
        if "LONG" in words:
            return Output("<think>on and on", "length")
        if "HALF" in words:
            return Output("wide eyes</think><answer>fear</answer>", "stop")
        return Output(f"<answer>happiness</answer> {sampling.seed}", "stop")
