"""Calls of an empty tool through the Python client: ``python -m bench_lib.rivals.snakepit_calls ENDPOINTS``.

The load of `snakepit bench` is a Rust program, the others' drivers are Python: here is what such a driver
makes of Snakepit.
"""

from __future__ import annotations

import asyncio
import sys
import time
from functools import partial

from snakepit import AsyncClient, Client

from bench_lib.rivals import driver

TOOL = "noop"


def main() -> None:
    """Measure until standard input ends."""
    out = driver.answers()
    driver.serve(partial(_run, sys.argv[1]), out)


def _run(endpoints: str, clients: int, window: driver.Window) -> None:
    if clients > 1:
        asyncio.run(_many(endpoints, clients, window))
        return
    with Client(endpoints) as client:
        while not window.over():
            began = time.perf_counter()
            client.call(TOOL)
            window.done(began)


async def _many(endpoints: str, clients: int, window: driver.Window) -> None:
    async with AsyncClient(endpoints, spread=True) as client:
        await asyncio.gather(*(_caller(client, window) for _ in range(clients)))


async def _caller(client: AsyncClient, window: driver.Window) -> None:
    while not window.over():
        began = time.perf_counter()
        await client.call(TOOL)
        window.done(began)


if __name__ == "__main__":
    main()
