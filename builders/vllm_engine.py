"""vLLM's engine as the teacher in process uses it: the entry's words turned into vLLM's own, and its replies back.

By the signatures of vLLM 0.22 to 0.32: `LLM.chat(messages, sampling_params, use_tqdm, chat_template_kwargs,
mm_processor_kwargs)`, `SamplingParams.from_optional`, `StructuredOutputsParams`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from ferbuild.builders.chat import Said, data_url, read_reply
from ferbuild.builders.errors import FerError, did_you_mean
from ferbuild.builders.replies import GAVE_UP, Reply, Request, chat_body
from ferbuild.manifests.schema import TeacherEntry

FROM_THE_MODEL = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")
"""What a server takes from the model's generation_config.json where a request does not say it."""
TO_CHAT = ("chat_template_kwargs", "mm_processor_kwargs")
"""What of a request's body is an argument of `LLM.chat`, not of the sampling."""
_DETAIL = 300  # characters of a complaint that are kept


class Engine:
    """A running engine; it ends with the last reference to it."""

    def __init__(self, entry: TeacherEntry) -> None:
        """Check the entry's sampling and load its model. FerError where either cannot be."""
        import vllm

        self.entry = entry
        self._sampling = _Sampling(vllm.SamplingParams.from_optional, entry)
        self._refusals = _refusals()
        try:
            self._llm = vllm.LLM(model=entry.model, **entry.engine)
        except Exception as err:  # whatever a driver, a download or a wrong argument raises
            hint = "`engine:` holds the arguments of vllm.LLM; or serve the model, and ask it with `kind: http`"
            raise FerError(f"teacher {entry.name}", f"vLLM cannot load {entry.model}: {_told(err)}", hint) from err
        self._sampling.defaults = self._llm.get_default_sampling_params()

    def say(self, requests: Sequence[Request]) -> list[Said]:
        """Return a reply to each, in their order; outcome "gave up" where the engine refuses a request.

        FerError where the engine itself fails.
        """
        bodies: list[dict[str, Any] | Said] = []
        for request in requests:
            try:
                bodies.append(chat_body(self.entry.model, self.entry.sampling, request, data_url))
            except ValueError as err:
                bodies.append(_refused(err))
        sound = iter(self._chat([body for body in bodies if isinstance(body, dict)]))
        return [body if isinstance(body, Said) else next(sound) for body in bodies]

    def _chat(self, bodies: Sequence[Mapping[str, Any]]) -> list[Said]:
        """Ask all at once; where vLLM refuses, half by half, until the one that it refuses is alone."""
        if not bodies:
            return []
        try:
            outputs = self._llm.chat(
                [body["messages"] for body in bodies],
                [self._sampling.of(body) for body in bodies],
                use_tqdm=False,
                **self._sampling.to_chat,
            )
        except self._refusals as err:
            if len(bodies) == 1:
                return [_refused(err)]
            half = len(bodies) // 2
            return [*self._chat(bodies[:half]), *self._chat(bodies[half:])]
        except Exception as err:  # the engine has died, or the card is out of memory
            hint = "what is stored is kept: the same command asks for the rest; less memory: engine.max_model_len"
            raise FerError(f"teacher {self.entry.name}", f"vLLM has failed: {_told(err)}", hint) from err
        return [_read(output) for output in outputs]


class _Sampling:
    """The entry's sampling, which is worded as for a server, in vLLM's own words."""

    def __init__(self, make: Callable[..., Any], entry: TeacherEntry) -> None:
        """Check it. FerError where vLLM does not know a word of it, or refuses a value."""
        self._make = make
        self.to_chat = {name: entry.sampling[name] for name in TO_CHAT if name in entry.sampling}
        self.defaults: Any = None
        """The model's own, once it is loaded."""
        refusals: tuple[type[Exception], ...] = (TypeError, *_refusals())
        try:
            self._words = _in_vllms_words(entry, set(inspect.signature(make).parameters))
            make(**self._words)
        except refusals as err:
            hint = "what a server takes beside its own words may not be known in process"
            raise FerError(f"teacher {entry.name}", f"sampling: vLLM refuses it: {_told(err)}", hint) from err

    def of(self, body: Mapping[str, Any]) -> Any:
        """Return the SamplingParams of one request, whose seed is that of its sample."""
        said = {name: getattr(self.defaults, name) for name in FROM_THE_MODEL} | self._words
        return self._make(**said | ({"seed": body["seed"]} if "seed" in body else {}))


def _in_vllms_words(entry: TeacherEntry, known: set[str]) -> dict[str, Any]:
    """Return the arguments of `SamplingParams.from_optional`; FerError for what it does not know."""
    words = {name: value for name, value in entry.sampling.items() if name not in TO_CHAT}
    most = words.pop("max_completion_tokens", None)
    # Without a limit a server goes on to the end of the context; SamplingParams would stop after 16 tokens.
    words.setdefault("max_tokens", most)
    for name in words:
        if name not in known:
            raise FerError(f"teacher {entry.name}", f"sampling: vLLM has no {name!r}", did_you_mean(name, known))
    if "structured_outputs" in words:
        from vllm.sampling_params import StructuredOutputsParams

        words["structured_outputs"] = StructuredOutputsParams(**words["structured_outputs"])
    return words


def _read(output: Any) -> Said:
    """Return of a vllm.RequestOutput what a server would have made of it."""
    best = output.outputs[0]
    read, written = len(output.prompt_token_ids or ()), len(best.token_ids)
    usage = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
    choice = {"message": {"content": best.text}, "finish_reason": best.finish_reason}
    said = read_reply(orjson.dumps({"choices": [choice], "usage": usage}))
    return said if isinstance(said, Said) else _refused(ValueError(said.detail))


def _refused(err: Exception) -> Said:
    return Said(Reply("", "", GAVE_UP, _told(err)), {})


def _told(err: Exception) -> str:
    return f"{type(err).__name__}: {err}"[:_DETAIL]


def _refusals() -> tuple[type[Exception], ...]:
    """Return what is raised for a request that is at fault itself: too long, or with a picture that does not open."""
    try:
        from vllm.exceptions import VLLMClientError  # of late versions; in the others they are ValueErrors
    except ImportError:
        return (ValueError, OSError)
    return (ValueError, OSError, VLLMClientError)
