"""A chat server that costs next to nothing: every reply is the same and comes after a fixed time. Prints its port.

The machine is shared by server and client, so that a dear server would hide what a client costs.
"""

from __future__ import annotations

import asyncio
import re
import sys

REPLY = (
    b'{"id":"x","object":"chat.completion","created":1,"model":"stub-vl","choices":[{"index":0,"finish_reason":"stop",'
    b'"message":{"role":"assistant","content":"<think>The brows are raised and the mouth is wide open, as in surprise.'
    b'</think><answer>surprise</answer>"}}],"usage":{"prompt_tokens":200,"completion_tokens":40,"total_tokens":240}}'
)
MODELS = b'{"object":"list","data":[{"id":"stub-vl"}]}'
LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
CHUNKED = re.compile(rb"transfer-encoding: *chunked", re.IGNORECASE)


class Chat(asyncio.Protocol):
    """One connection: a request is told by its Content-Length, or by the last chunk."""

    delay_s = 0.2

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.missing: int | None = None
        self.closes = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.missing is not None and len(data) < self.missing:
            self.missing -= len(data)
            return
        if self.missing is not None:
            self.missing = None
            self.answer(REPLY, self.delay_s)
            return
        self.parts.append(data)
        whole = b"".join(self.parts)
        head, end, body = whole.partition(b"\r\n\r\n")
        if not end:
            return
        self.closes = b"connection: close" in head.lower()
        if CHUNKED.search(head):
            if whole.endswith(b"0\r\n\r\n"):
                self.parts.clear()
                self.answer(REPLY, self.delay_s)
            return
        self.parts.clear()
        found = LENGTH.search(head)
        missing = int(found[1]) - len(body) if found else 0
        if missing > 0:
            self.missing = missing
        else:
            self.answer(MODELS if head.startswith(b"GET") else REPLY, 0 if head.startswith(b"GET") else self.delay_s)

    def answer(self, body: bytes, delay_s: float) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        asyncio.get_running_loop().call_later(delay_s, self.send, head + body)

    def send(self, data: bytes) -> None:
        self.transport.write(data)
        if self.closes:
            self.transport.close()


async def main() -> None:
    Chat.delay_s = float(sys.argv[1]) / 1000
    server = await asyncio.get_running_loop().create_server(Chat, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
