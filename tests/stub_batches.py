"""A server of OpenAI's Batch API for the tests, in a process of its own: it answers a batch some time after it is made.

Prints its port on stdout. Every step adds a line to the log: what was done, and to what; of a batch that is made one
line for each of its requests, "run KEY", since that is what is paid for. With --hold STEP one of these steps is
answered --hold-s seconds late, so that whoever asked can be killed in between. Files and batches live as
long as the process.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections import Counter

import orjson
from aiohttp import web


class Batches:
    def __init__(self, options):
        self.options = options
        self.inputs = {}
        self.files, self.batches, self.number, self.failing = {}, {}, 0, options.failing
        self.steps = Counter()
        self.log = os.open(options.log, os.O_CREAT | os.O_APPEND | os.O_WRONLY) if options.log else None

    def note(self, *words):
        if self.log is not None:
            os.write(self.log, (" ".join(map(str, words)) + "\n").encode())

    def name(self, kind):
        self.number += 1
        return f"{kind}-{self.number}"

    async def hold(self, step):
        self.steps[step] += 1
        if step == self.options.hold and self.steps[step] == self.options.hold_at:
            await asyncio.sleep(self.options.hold_s)

    @web.middleware
    async def guard(self, request, handler):
        if self.options.key and request.headers.get("Authorization") != f"Bearer {self.options.key}":
            return web.json_response({"error": {"message": "no such key"}}, status=401)
        if self.failing > 0:
            self.failing -= 1
            self.note("busy", request.method, request.path)
            return web.json_response({"error": {"message": "busy"}}, status=503)
        return await handler(request)

    # --- files

    def add_file(self, name, data, purpose):
        file = {"id": self.name("file"), "object": "file", "bytes": len(data), "created_at": int(time.time())}
        file |= {"filename": name, "purpose": purpose, "status": "processed"}
        self.files[file["id"]] = (file, data)
        return file

    async def upload(self, request):
        self.note("uploading")
        await self.hold("uploading")
        form = await request.post()
        file = self.add_file(form["file"].filename, form["file"].file.read(), form["purpose"])
        self.note("uploaded", file["id"], file["filename"], file["bytes"])
        await self.hold("uploaded")
        return web.json_response(file)

    async def list_files(self, request):
        found = [file for file, _ in self.files.values() if file["purpose"] == request.query.get("purpose")]
        return web.json_response({"object": "list", "data": found, "has_more": False})

    async def content(self, request):
        name = request.match_info["id"]
        if name not in self.files:
            return web.json_response({"error": {"message": "no such file"}}, status=404)
        data = self.files[name][1]
        self.note("content", name)
        response = web.StreamResponse(headers={"Content-Length": str(len(data))})
        await response.prepare(request)
        await response.write(data[: len(data) // 2])
        if self.options.cut > 0:
            self.options.cut -= 1
            request.transport.abort()
            return response
        await self.hold("content")
        await response.write(data[len(data) // 2 :])
        return response

    async def delete(self, request):
        await self.hold("deleting")
        found = self.files.pop(request.match_info["id"], None)
        self.note("deleted", request.match_info["id"])
        status = 200 if found else 404
        return web.json_response({"id": request.match_info["id"], "object": "file", "deleted": True}, status=status)

    # --- batches

    async def create(self, request):
        said = orjson.loads(await request.read())
        self.note("creating", said["input_file_id"])
        lines = [orjson.loads(line) for line in self.files[said["input_file_id"]][1].splitlines()]
        await self.hold("creating")
        batch = {"id": self.name("batch"), "object": "batch", "status": "validating", "created_at": int(time.time())}
        batch |= {"endpoint": said["endpoint"], "completion_window": said["completion_window"]}
        batch |= {"input_file_id": said["input_file_id"], "metadata": said["metadata"], "began": time.monotonic()}
        batch |= {"request_counts": {"total": len(lines), "completed": 0, "failed": 0}}
        self.note("created", batch["id"], len(lines))
        self.inputs[batch["id"]] = lines
        if fault := self.fault(lines):
            batch |= {"status": "failed", "errors": {"object": "list", "data": [fault]}}
        else:
            for line in lines:
                self.note("run", line["custom_id"])
        self.batches[batch["id"]] = batch
        await self.hold("created")
        if self.options.lose_answers > 0:
            self.options.lose_answers -= 1
            return web.json_response({"error": {"message": "gateway"}}, status=502)
        return web.json_response(self.shown(batch))

    def fault(self, lines):
        if self.options.refuse:
            return {"code": "invalid", "message": self.options.refuse, "line": 1, "param": None}
        running = sum(
            b["request_counts"]["total"] for b in self.batches.values() if b["status"] not in ("failed", "completed")
        )
        if self.options.queue and running + len(lines) > self.options.queue:
            return {"code": "token_limit_exceeded", "message": "Enqueued token limit reached", "line": None}
        return None

    def shown(self, batch):
        return {name: value for name, value in batch.items() if name != "began"}

    async def look(self, request):
        batch = self.batches.get(request.match_info["id"])
        if batch is None:
            return web.json_response({"error": {"message": "no such batch"}}, status=404)
        self.advance(batch)
        return web.json_response(self.shown(batch))

    async def list_batches(self, request):
        newest = list(reversed(self.batches.values()))
        after = request.query.get("after")
        start = next((at + 1 for at, batch in enumerate(newest) if batch["id"] == after), 0)
        page = newest[start : start + min(2, int(request.query.get("limit", 20)))]  # small pages, so that some follow
        more = start + len(page) < len(newest)
        data = [self.shown(batch) for batch in page]
        return web.json_response({"object": "list", "data": data, "has_more": more})

    def advance(self, batch):
        """Finish a batch that has run long enough."""
        age = time.monotonic() - batch["began"]
        if batch["status"] not in ("validating", "in_progress"):
            return
        batch["status"] = "in_progress"
        if age < self.options.takes_s:
            return
        good, bad = [], []
        for at, line in enumerate(self.inputs[batch["id"]]):
            self.answer(at, line, good, bad)
        batch["request_counts"] |= {"completed": len(good), "failed": len(bad)}
        batch["status"] = self.options.ends
        batch["completed_at"] = int(time.time())
        good = good[: len(good) - self.options.short]
        for kind, rows in (("output", list(reversed(good))), ("error", bad)):
            if rows:
                data = b"".join(orjson.dumps(row) + b"\n" for row in rows)
                batch[f"{kind}_file_id"] = self.add_file(f"{kind}.jsonl", data, "batch_output")["id"]

    def answer(self, at, line, good, bad):
        row = {"id": f"r{at}", "custom_id": line["custom_id"], "error": None, "response": None}
        if self.options.untried and at % self.options.untried == 0:
            bad.append(row | {"error": {"code": "batch_expired", "message": "the batch expired"}})
            return
        if self.options.bad and at % self.options.bad == 0:
            body = {"error": {"message": f"picture refused {self.options.key}"}}
            bad.append(row | {"response": {"status_code": 400, "body": body}})
            return
        said = f"<think>I see {line['custom_id'][:8]}.</think><answer>happiness</answer>"
        body = {"choices": [{"message": {"role": "assistant", "content": said}, "finish_reason": "stop"}]}
        body["usage"] = {"prompt_tokens": 100, "completion_tokens": self.options.written, "total_tokens": 0}
        good.append(row | {"response": {"status_code": 200, "body": body}})


async def serve(options):
    stub = Batches(options)
    app = web.Application(client_max_size=256 * 2**20, middlewares=[stub.guard])
    app.router.add_post("/v1/files", stub.upload)
    app.router.add_get("/v1/files", stub.list_files)
    app.router.add_get("/v1/files/{id}/content", stub.content)
    app.router.add_delete("/v1/files/{id}", stub.delete)
    app.router.add_post("/v1/batches", stub.create)
    app.router.add_get("/v1/batches", stub.list_batches)
    app.router.add_get("/v1/batches/{id}", stub.look)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--key", default="")
    parser.add_argument("--log", default="")
    parser.add_argument("--takes-s", type=float, default=0.2, help="from a batch's making to its end")
    parser.add_argument("--ends", default="completed", help="how a batch ends: completed, expired, cancelled")
    parser.add_argument("--untried", type=int, default=0, help="every Nth request is not tried")
    parser.add_argument("--bad", type=int, default=0, help="every Nth request is refused")
    parser.add_argument("--short", type=int, default=0, help="lines that the output lacks")
    parser.add_argument("--cut", type=int, default=0, help="downloads that are cut off")
    parser.add_argument("--refuse", default="", help="why every batch is refused")
    parser.add_argument("--queue", type=int, default=0, help="requests that may be in open batches")
    parser.add_argument("--lose-answers", type=int, default=0, help="batches whose making is answered by a 502")
    parser.add_argument("--failing", type=int, default=0, help="calls that are answered by a 503 at first")
    parser.add_argument("--written", type=int, default=20, help="tokens of every reply")
    parser.add_argument("--hold", default="", help="uploading, uploaded, creating, created, content or deleting")
    parser.add_argument("--hold-at", type=int, default=1, help="which of these steps, counted from 1")
    parser.add_argument("--hold-s", type=float, default=60.0)
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
