"""The results of functions of any kind."""

from __future__ import annotations

from typing import Any


async def consume(result: Any) -> None:
    """Run a coroutine or a generator to its end; any other result has ended already."""
    if hasattr(result, "__await__"):
        await result
    elif hasattr(result, "__anext__"):
        async for _ in result:
            pass
    elif hasattr(result, "__next__"):
        for _ in result:
            pass
