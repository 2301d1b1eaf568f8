"""A worker whose stream broke dials its node again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from snakepit._proto.worker_v1_pb2 import Hello, Welcome
from snakepit.errors import Refused, Unavailable
from snakepit.worker._connection import WELCOME_TIMEOUT_S, Connection
from snakepit.worker._output import logger
from snakepit.worker._settings import Settings

PAUSE_S: Final = 0.1


async def dial_again(
    settings: Settings, hello: Callable[[], Hello], *, lasted_s: float
) -> tuple[Connection, Welcome] | None:
    """A new connection and its welcome; None where there is none in time, or the node says no.

    Tries at once and then every 100 ms, for `reconnect_ms`. `hello` is made anew for each try. A stream that
    lasted no longer than that counts as a try.
    """
    clock = asyncio.get_running_loop().time
    ends = clock() + settings.reconnect_ms / 1000
    if settings.reconnect_ms and lasted_s < PAUSE_S:
        await asyncio.sleep(PAUSE_S)
    while (left := ends - clock()) > 0:
        began = clock()
        connection = Connection(settings.target, settings.message_bytes_max, frames=settings.frames)
        try:
            welcome = await connection.greet(hello(), timeout_s=min(left, WELCOME_TIMEOUT_S))
        except (Unavailable, Refused) as error:
            await connection.close()
            if isinstance(error, Refused):
                logger.error("%s", error)
                return None
            logger.debug("%s", error)
        else:
            return connection, welcome
        await asyncio.sleep(max(0.0, min(began + PAUSE_S, ends) - clock()))
    if settings.reconnect_ms:
        logger.error("the node did not take this worker back within %d ms", settings.reconnect_ms)
    return None
