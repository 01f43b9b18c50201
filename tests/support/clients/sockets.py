"""A client of plain sockets, which costs little beside the tested server."""

from __future__ import annotations

import asyncio

from support.clients.traffic import Sent


def _head(sent: Sent, *, is_last: bool = False) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in sent.headers.items())
    close = "Connection: close\r\n" if is_last else ""
    return f"POST {sent.path} HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n{lines}{close}\r\n".encode()


async def _read_answer(reader: asyncio.StreamReader) -> int:
    """Read an answer to its end; return its status."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if b"transfer-encoding: chunked" in head:
        while size := int(await reader.readuntil(b"\r\n"), 16):
            await reader.readexactly(size + 2)
        await reader.readexactly(2)
    else:
        await reader.readexactly(int(head.partition(b"content-length:")[2].split()[0]))
    return int(head.split()[1])


async def _one_after_another(port: int, requests: list[Sent]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for sent in requests:
        writer.write(_head(sent))
        assert await _read_answer(reader) == (401 if sent.key == "wrong" else 200), sent
    writer.close()
    await writer.wait_closed()


async def send(port: int, requests: list[Sent], connections: int = 100) -> None:
    """Send requests over many connections, each of which is kept alive."""
    shares = [requests[start::connections] for start in range(connections)]
    await asyncio.gather(*[_one_after_another(port, share) for share in shares if share])


async def pipeline(port: int, requests: list[Sent]) -> None:
    """Send all requests over one connection without waiting for answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.writelines(_head(sent, is_last=sent is requests[-1]) for sent in requests)
    answered = await reader.read()
    assert answered.count(b"HTTP/1.1 200") == len(requests)
    writer.close()
    await writer.wait_closed()
