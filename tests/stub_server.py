"""A chat server for the tests, in a process of its own: it answers at once, and fails as often as it is told.

Prints its port on stdout. Every request adds a line to the log: its key and what became of it; `--times` logs when,
and how many are in flight. Faults are drawn from (seed, key, attempt), so a run repeats; a key's attempt number
`patience` is always answered.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import random
import sys
import time
from base64 import b64decode
from collections import Counter
from pathlib import Path

import orjson
from aiohttp import web

FAULTS = ("429", "500", "503", "reset", "hang", "cut", "odd", "html")
MISSHAPEN = {
    "empty": ("", "stop"),
    "truncated": ("<think>on and on", "length"),
    "badtags": ("<think>wide eyes</think>fear", "stop"),
}
"""What stands in the place of a reply, and why it ends: kinds of fault too."""


class Stub:
    def __init__(self, options):
        self.options = options
        self.attempts = Counter()
        self.log = os.open(options.log, os.O_CREAT | os.O_APPEND | os.O_WRONLY) if options.log else None
        self.times = os.open(options.times, os.O_CREAT | os.O_APPEND | os.O_WRONLY) if options.times else None
        self.slots = asyncio.Semaphore(options.slots) if options.slots else None
        self.labels = json.loads(Path(options.noise).read_text()) if options.noise else {}
        self.right = dict(pair.split("=") for pair in options.right.split(",") if pair)
        self.began = None
        self.in_flight = self.busy = 0

    def note(self, key, what):
        if self.log is not None:
            os.write(self.log, f"{key} {what}\n".encode())

    def time(self, what):
        """Log seconds since the first request, what happened, requests in flight, and slots in use."""
        if self.times is not None:
            at = time.monotonic() - self.began
            os.write(self.times, f"{at:.4f} {what} {self.in_flight} {self.busy}\n".encode())

    def fault(self, key):
        self.attempts[key] += 1
        if time.monotonic() - self.began < self.options.storm_s:
            return "storm"
        rng = random.Random(f"{self.options.seed}/{key}/{self.attempts[key]}")
        if self.attempts[key] >= self.options.patience or rng.random() >= self.options.faults:
            return None
        return rng.choice(self.options.kinds.split(","))

    async def models(self, request):
        if self.options.key and request.headers.get("Authorization") != f"Bearer {self.options.key}":
            return web.json_response({"error": "no"}, status=401)
        return web.json_response({"object": "list", "data": [{"id": self.options.model}]})

    async def chat(self, request):
        raw = await request.read()
        self.began = self.began or time.monotonic()
        self.in_flight += 1
        self.time("came")
        try:
            return await self.answer(request, raw)
        finally:
            self.in_flight -= 1
            self.time("went")

    async def answer(self, request, raw):
        key = hashlib.sha256(raw).hexdigest()[:16]
        fault = self.fault(key)
        if fault is None or fault in MISSHAPEN:
            await self.work()
        self.note(key, fault or "200")
        if fault in (None, *MISSHAPEN):
            return web.json_response(self.reply(orjson.loads(raw), key, MISSHAPEN.get(fault)))
        if fault == "storm":
            return web.json_response({"error": "slow down"}, status=429)
        if fault == "reset":
            request.transport.abort()
            raise web.HTTPInternalServerError
        if fault == "hang":
            await asyncio.sleep(3600)
        if fault == "429":
            return web.json_response({"error": "slow down"}, status=429, headers={"Retry-After": "0.01"})
        if fault == "quota":
            return web.json_response({"error": {"code": "insufficient_quota"}}, status=429)
        if fault in ("400", "401", "403", "404", "500", "503"):
            return web.json_response({"error": f"fault {request.headers}"}, status=int(fault))
        if fault == "cut":
            response = web.StreamResponse(headers={"Content-Length": "500"})
            await response.prepare(request)
            await response.write(b'{"choices": [')
            request.transport.abort()
            return response
        if fault == "odd":
            return web.json_response({"choices": []})
        return web.Response(text="<html>gateway</html>")

    async def work(self):
        """Take as long as a reply takes: with slots, wait for one first."""
        if self.slots is None:
            await asyncio.sleep(self.options.delay_ms / 1000)
            return
        async with self.slots:
            self.busy += 1
            self.time("began")
            await asyncio.sleep(self.options.slots / self.options.rate)
            self.busy -= 1
            self.time("ended")

    def reply(self, body, key, misshapen):
        said = self.options.say or f"<think>I see {key}.</think><answer>{self.label(body)}</answer>"
        finish, message = "stop", {"role": "assistant", "content": said}
        content = body["messages"][-1]["content"]
        parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
        words = " ".join(part["text"] for part in parts if part["type"] == "text")
        if misshapen:
            message["content"], finish = misshapen
        if "EMPTY" in words:
            message["content"] = ""
        if "LONG" in words:
            message["content"], finish = "<think>on and on", "length"
        if "REASONING" in words:
            message |= {"content": "<answer>fear</answer>", "reasoning_content": "wide eyes"}
        if "HALF" in words:
            message["content"] = "wide eyes</think><answer>fear</answer>"
        pattern = body.get("structured_outputs", {}).get("regex", "")
        if self.options.structured and pattern and "<" not in pattern:
            message["content"] = pattern
        read, written = map(int, self.options.usage.split(","))
        usage = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
        return {"model": body["model"], "choices": [{"message": message, "finish_reason": finish}], "usage": usage}

    def label(self, body):
        """Answer as a noisy teacher does: with the picture's label as often as `--right` says, else with another."""
        if not self.labels:
            return "happiness"
        urls = [part["image_url"]["url"] for part in body["messages"][-1]["content"] if part["type"] == "image_url"]
        picture = hashlib.sha256(b64decode(urls[0].partition(",")[2])).hexdigest()
        label, known = self.labels[picture], sorted(set(self.labels.values()))
        self.attempts[picture] += 1
        rng = random.Random(f"{self.options.seed}/{picture}/{body.get('seed')}/{self.attempts[picture]}")
        if rng.random() < float(self.right.get(label, 0.8)):
            return label
        return rng.choice([one for one in known if one != label] or [label])


async def serve(options):
    stub = Stub(options)
    app = web.Application(client_max_size=64 * 2**20)
    app.router.add_get("/v1/models", stub.models)
    app.router.add_post("/v1/chat/completions", stub.chat)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", options.port)
    await site.start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--model", default="stub-vl")
    parser.add_argument("--key", default="")
    parser.add_argument("--log", default="")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--faults", type=float, default=0.0, help="share of attempts that fail, 0..1")
    parser.add_argument("--kinds", default=",".join(FAULTS))
    parser.add_argument("--patience", type=int, default=4)
    parser.add_argument("--say", default="", help="the text of every reply")
    parser.add_argument("--delay-ms", type=float, default=0.0)
    parser.add_argument("--times", default="", help="a log of when requests come, begin, end and go")
    parser.add_argument("--storm-s", type=float, default=0.0, help="nothing but 429 for so long from the first request")
    parser.add_argument("--slots", type=int, default=0, help="replies that are made at the same time")
    parser.add_argument("--rate", type=float, default=40.0, help="replies a second, with all slots in use")
    parser.add_argument("--usage", default="100,20", help="tokens read and written by every reply")
    parser.add_argument("--structured", action="store_true", help="keep to the regex of structured_outputs")
    parser.add_argument("--noise", default="", help="JSON of picture sha256 to label: answer by a noisy rule")
    parser.add_argument("--right", default="", help="label=share,…: how often it is answered rightly; else 0.8")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
