"""A server of one framework that no entry point of the library knows: ``python server.py FRAMEWORK PORT``.

Every request authenticates with its header ``x-api-key``, writes a row, and answers with the key that the row names.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any

HEADER = "x-api-key"


class Key:
    def __init__(self, credential: str) -> None:
        self.id = credential
        self.scopes = ["read"]


def verify(credential: str) -> Key | None:
    """Authenticate."""
    return Key(credential) if credential else None


def record(action: str, additional_fields: dict[str, Any] | None = None) -> dict[str, Any]:
    """Write an audit row."""
    return additional_fields or {}


def answer(credential: str) -> str:
    """Handle one request."""
    verify(credential)
    return str(record("do").get("request_api_key", {}).get("id", "none"))


def aiohttp(port: int) -> None:
    """Serve by aiohttp."""
    web: Any = import_module("aiohttp.web")

    async def handle(request: Any) -> Any:
        await asyncio.sleep(0.001)
        return web.Response(text=answer(request.headers.get(HEADER, "")))

    app = web.Application()
    app.add_routes([web.get("/", handle)])
    web.run_app(app, host="127.0.0.1", port=port, print=None)


def tornado(port: int) -> None:
    """Serve by Tornado."""
    web: Any = import_module("tornado.web")

    class Handler(web.RequestHandler):  # type: ignore[misc]
        async def get(self) -> None:
            await asyncio.sleep(0.001)
            self.write(answer(self.request.headers.get(HEADER, "")))

    async def serve() -> None:
        web.Application([("/", Handler)]).listen(port, "127.0.0.1")
        await asyncio.Event().wait()

    asyncio.run(serve())


def _credential(context: Any) -> str:
    return str(dict(context.invocation_metadata()).get(HEADER, ""))


def _handlers(handle: Callable[..., Any]) -> Any:
    grpc: Any = import_module("grpc")
    return grpc.method_handlers_generic_handler("Shop", {"Do": grpc.unary_unary_rpc_method_handler(handle)})


def grpc_sync(port: int, interceptors: Sequence[Any] = (), handle: Callable[[str], str] = answer) -> None:
    """Serve by the synchronous server of gRPC."""
    grpc: Any = import_module("grpc")

    def do(request: bytes, context: Any) -> bytes:
        return handle(_credential(context)).encode()

    server = grpc.server(ThreadPoolExecutor(4), interceptors=interceptors)
    server.add_generic_rpc_handlers((_handlers(do),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


def grpc_aio(port: int, interceptors: Sequence[Any] = (), handle: Callable[[str], str] = answer) -> None:
    """Serve by the asynchronous server of gRPC."""
    aio: Any = import_module("grpc.aio")

    async def do(request: bytes, context: Any) -> bytes:
        await asyncio.sleep(0.001)
        return handle(_credential(context)).encode()

    async def serve() -> None:
        server = aio.server(interceptors=interceptors)
        server.add_generic_rpc_handlers((_handlers(do),))
        server.add_insecure_port(f"127.0.0.1:{port}")
        await server.start()
        await server.wait_for_termination()

    asyncio.run(serve())


def _name(credential: str) -> str:
    """Handle one request that an interceptor has authenticated."""
    return str(record("do").get("request_api_key", {}).get("id", "none"))


def grpc_interceptor(port: int) -> None:
    """Serve by the synchronous server of gRPC, whose interceptor authenticates before the handler is known."""
    grpc: Any = import_module("grpc")

    class Interceptor(grpc.ServerInterceptor):  # type: ignore[misc]
        def intercept_service(self, continuation: Any, details: Any) -> Any:
            verify(dict(details.invocation_metadata).get(HEADER, ""))
            return continuation(details)

    grpc_sync(port, [Interceptor()], _name)


def grpc_aio_interceptor(port: int) -> None:
    """Serve by the asynchronous server of gRPC, whose interceptor authenticates before the handler is known."""
    aio: Any = import_module("grpc.aio")

    class Interceptor(aio.ServerInterceptor):  # type: ignore[misc]
        async def intercept_service(self, continuation: Any, details: Any) -> Any:
            await asyncio.sleep(0.001)
            verify(dict(details.invocation_metadata).get(HEADER, ""))
            return await continuation(details)

    grpc_aio(port, [Interceptor()], _name)


def sanic(port: int) -> None:
    """Serve by Sanic."""
    text: Any = import_module("sanic.response").text
    app = import_module("sanic").Sanic("outside", configure_logging=False)

    async def handle(request: Any) -> Any:
        await asyncio.sleep(0.001)
        return text(answer(request.headers.get(HEADER, "")))

    app.add_route(handle, "/")
    app.run(host="127.0.0.1", port=port, single_process=True, motd=False)


SERVERS = {
    "aiohttp": aiohttp,
    "tornado": tornado,
    "grpc": grpc_sync,
    "grpc_interceptor": grpc_interceptor,
    "grpc_aio": grpc_aio,
    "grpc_aio_interceptor": grpc_aio_interceptor,
    "sanic": sanic,
}

if __name__ == "__main__":
    SERVERS[sys.argv[1]](int(sys.argv[2]))
