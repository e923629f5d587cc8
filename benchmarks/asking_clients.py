"""The rivals of `asking.py`: each asks a server so many questions about pictures of 12 kB and prints what that took.

`python benchmarks/asking_clients.py NAME --url URL --count N`, in whichever environment has the package. Prints JSON:
seconds and processor seconds of the asking itself (imports left out), the peak of memory, and the package's version.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

QUESTION = "Which expression does the face show: happiness, surprise or fear? Reason in <think>, answer in <answer>."
CHOICES = ("happiness", "surprise", "fear")
SAMPLING = {"temperature": 0.7, "max_tokens": 256, "seed": 0}
MODEL = "stub-vl"


def pictures(count: int, size: int = 12_000) -> Iterator[bytes]:
    """Yield so many different files that begin as a JPEG does."""
    filler = random.Random(0).randbytes(size)
    for at in range(count):
        yield b"\xff\xd8\xff\xe0" + at.to_bytes(8, "big") + filler[12:]


def body(picture: bytes) -> dict[str, Any]:
    url = f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}"
    content = [{"type": "text", "text": QUESTION}, {"type": "image_url", "image_url": {"url": url}}]
    return {"model": MODEL, "messages": [{"role": "user", "content": content}], **SAMPLING}


def bare(options: argparse.Namespace) -> Callable[[], int]:
    """The floor: a loop that posts and reads, stores nothing and survives nothing."""
    import aiohttp
    import orjson

    async def ask() -> int:
        todo, done = pictures(options.count), 0
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:

            async def work() -> None:
                nonlocal done
                for picture in todo:
                    data, headers = orjson.dumps(body(picture)), {"Content-Type": "application/json"}
                    async with session.post(f"{options.url}/chat/completions", data=data, headers=headers) as response:
                        done += bool(orjson.loads(await response.read())["choices"][0]["message"]["content"])

            await asyncio.gather(*(work() for _ in range(options.concurrency)))
        return done

    return lambda: asyncio.run(ask())


def ours(options: argparse.Namespace) -> Callable[[], int]:
    from ferbuild.builders.endpoints import Limits
    from ferbuild.builders.http_teacher import HttpTeacher
    from ferbuild.builders.replies import Reply, Request
    from ferbuild.manifests.schema import TeacherEntry

    entry = TeacherEntry(name="stub", kind="http", model=MODEL, endpoints=[options.url], sampling=SAMPLING)
    limits = Limits(options.concurrency, read_s=options.read_s, backoff_s=options.backoff_s)
    teacher = HttpTeacher(entry, Path(options.store), (options.url,), limits)
    told = os.open(options.told, os.O_CREAT | os.O_APPEND | os.O_WRONLY) if options.told else None
    done = 0

    def watch(request: Request, reply: Reply | None, fresh: bool) -> None:
        nonlocal done
        done += reply is not None and reply.outcome == "ok"
        if told is not None and fresh and reply:
            os.write(told, f"{reply.text}\n".encode())

    def ask() -> int:
        message = {"role": "user", "content": QUESTION}
        asked = (
            Request(str(at), (message,), (picture,), CHOICES, None)
            for at, picture in enumerate(pictures(options.count))
        )
        teacher.ask(asked, watch)
        return done

    return ask


def openai(options: argparse.Namespace) -> Callable[[], int]:
    from openai import AsyncOpenAI

    async def ask() -> int:
        todo, done = pictures(options.count), 0
        async with AsyncOpenAI(base_url=options.url, api_key="none", max_retries=5) as client:

            async def work() -> None:
                nonlocal done
                for picture in todo:
                    said = await client.chat.completions.create(**body(picture))
                    done += bool(said.choices[0].message.content)

            await asyncio.gather(*(work() for _ in range(options.concurrency)))
        return done

    return lambda: asyncio.run(ask())


def datatrove(options: argparse.Namespace) -> Callable[[], int]:
    from datatrove.data import Document
    from datatrove.pipeline.inference.run_inference import InferenceConfig, InferenceRunner
    from datatrove.pipeline.writers import JsonlWriter

    async def rollout(document: Any, generate: Any) -> Any:
        return await generate({"messages": body(document.metadata.pop("picture"))["messages"], **SAMPLING})

    folder = tempfile.mkdtemp(dir=Path(options.store).parent)
    config = InferenceConfig(
        server_type="endpoint",
        model_name_or_path=MODEL,
        endpoint_url=options.url.removesuffix("/v1"),
        max_concurrent_generations=options.concurrency,
        metric_interval=10_000,
    )
    writer = JsonlWriter(folder, output_filename="${rank}_${chunk_index}.jsonl", compression=None)
    runner = InferenceRunner(
        rollout, config, writer, checkpoints_local_dir=f"{folder}/checkpoints", records_per_chunk=500
    )

    def ask() -> int:
        documents = (
            Document(text="face", id=str(at), metadata={"picture": picture})
            for at, picture in enumerate(pictures(options.count))
        )
        runner.run(documents)
        return sum(len(path.read_text().splitlines()) for path in Path(folder).glob("*.jsonl"))

    return ask


def curator(options: argparse.Namespace) -> Callable[[], int]:
    # It counts tokens with a file that is fetched from the network, if litellm did not bring it along.
    vocabulary = Path(str(find_spec("litellm").origin)).parent / "litellm_core_utils/tokenizers"  # type: ignore[union-attr]
    os.environ |= {"OPENAI_API_KEY": "none", "TELEMETRY_ENABLED": "0", "HF_HUB_OFFLINE": "1"}
    os.environ |= {"CURATOR_DISABLE_CACHE": "1", "TIKTOKEN_CACHE_DIR": str(vocabulary)}
    from bespokelabs import curator as package

    class Faces(package.LLM):  # type: ignore[misc, name-defined]
        def prompt(self, row: dict[str, Any]) -> Any:
            picture = package.types.Image(content=base64.b64encode(row["picture"]).decode(), mime_type="image/jpeg")
            return QUESTION, picture

        def parse(self, row: dict[str, Any], response: Any) -> dict[str, Any]:
            return {"text": response if isinstance(response, str) else str(response)}

    limits = {"max_requests_per_minute": 10**6, "max_tokens_per_minute": 10**9}
    backend = {"base_url": options.url, "max_concurrent_requests": options.concurrency, "max_retries": 5, **limits}
    model = Faces(
        model_name="gpt-4o-mini",  # it needs a name whose longest reply it knows; the server takes any
        backend="openai",
        backend_params={**backend, "in_mtok_cost": 1, "out_mtok_cost": 1},
        generation_params={"max_tokens": 256},
    )
    rows = [{"picture": picture} for picture in pictures(options.count)]
    return lambda: len(model(rows, working_dir=tempfile.mkdtemp(dir=Path(options.store).parent)).dataset)


CLIENTS: dict[str, tuple[Callable[[argparse.Namespace], Callable[[], int]], str]] = {
    "bare": (bare, "aiohttp"),
    "ours": (ours, "fer-build"),
    "openai": (openai, "openai"),
    "datatrove": (datatrove, "datatrove"),
    "curator": (curator, "bespokelabs-curator"),
}


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("name", choices=list(CLIENTS))
    words.add_argument("--url", required=True)
    words.add_argument("--count", type=int, required=True)
    words.add_argument("--concurrency", type=int, default=256)
    words.add_argument("--store", default="replies.sqlite")
    words.add_argument("--told", default="", help="a file that gets the text of every reply that is told of as got")
    words.add_argument("--read-s", type=float, default=600.0)
    words.add_argument("--backoff-s", type=float, default=0.5)
    options = words.parse_args()
    client, package = CLIENTS[options.name]
    ask = client(options)
    wall, cpu = time.perf_counter(), time.process_time()
    done = ask()
    taken = {"seconds": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(taken | {"done": done, "peak": peak, "version": version(package)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
