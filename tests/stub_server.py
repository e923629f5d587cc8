"""A chat server for the tests, in a process of its own: it answers at once, and fails as often as it is told.

Prints its port on stdout. Every request adds a line to the log: its key and what became of it. Faults are
drawn from (seed, key, attempt), so a run repeats; a key's attempt number `patience` is always answered.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import random
import sys
from collections import Counter

import orjson
from aiohttp import web

FAULTS = ("429", "500", "503", "reset", "hang", "cut", "odd", "html")


class Stub:
    def __init__(self, options):
        self.options = options
        self.attempts = Counter()
        self.log = os.open(options.log, os.O_CREAT | os.O_APPEND | os.O_WRONLY) if options.log else None

    def note(self, key, what):
        if self.log is not None:
            os.write(self.log, f"{key} {what}\n".encode())

    def fault(self, key):
        self.attempts[key] += 1
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
        key = hashlib.sha256(raw).hexdigest()[:16]
        fault = self.fault(key)
        if fault is None:
            await asyncio.sleep(self.options.delay_ms / 1000)
        self.note(key, fault or "200")
        if fault == "reset":
            request.transport.abort()
            raise web.HTTPInternalServerError
        if fault == "hang":
            await asyncio.sleep(3600)
        if fault == "429":
            return web.json_response({"error": "slow down"}, status=429, headers={"Retry-After": "0.01"})
        if fault in ("400", "500", "503"):
            return web.json_response({"error": f"fault {request.headers}"}, status=int(fault))
        if fault == "cut":
            response = web.StreamResponse(headers={"Content-Length": "500"})
            await response.prepare(request)
            await response.write(b'{"choices": [')
            request.transport.abort()
            return response
        if fault == "odd":
            return web.json_response({"choices": []})
        if fault == "html":
            return web.Response(text="<html>gateway</html>")
        return web.json_response(self.reply(orjson.loads(raw), key))

    def reply(self, body, key):
        said = self.options.say or f"<think>I see {key}.</think><answer>happiness</answer>"
        finish, message = "stop", {"role": "assistant", "content": said}
        words = " ".join(part["text"] for part in body["messages"][-1]["content"] if part["type"] == "text")
        if "EMPTY" in words:
            message["content"] = ""
        if "LONG" in words:
            message["content"], finish = "<think>on and on", "length"
        if "REASONING" in words:
            message |= {"content": "<answer>fear</answer>", "reasoning_content": "wide eyes"}
        if "HALF" in words:
            message["content"] = "wide eyes</think><answer>fear</answer>"
        usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
        return {"model": body["model"], "choices": [{"message": message, "finish_reason": finish}], "usage": usage}


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
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
