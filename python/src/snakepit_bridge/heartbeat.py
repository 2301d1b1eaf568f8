"""Signs of life for a session, sent from a thread, or from the loop over a stub of `grpc.aio`."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import threading
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Self

import grpc

from snakepit._proto import snakepit_bridge_pb2 as pb

logger: Final = logging.getLogger("snakepit_bridge.heartbeat")
ENVIRONMENT: Final = "SNAKEPIT_HEARTBEAT_CONFIG"


@dataclass(frozen=True)
class HeartbeatConfig:
    """How often, and when it is over. `dependent`: this process ends when the node is silent for too long."""

    enabled: bool = True
    interval_ms: int = 2000
    timeout_ms: int = 10_000
    max_missed_heartbeats: int = 3
    initial_delay_ms: int = 0
    dependent: bool = True

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """From names and values; others are ignored. `ping_interval_ms`, `max_missed` are understood."""
        known = dict(values)
        for old, new in (("ping_interval_ms", "interval_ms"), ("max_missed", "max_missed_heartbeats")):
            if old in known:
                known.setdefault(new, known[old])
        names = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in known.items() if name in names})

    @classmethod
    def from_environment(cls) -> Self:
        """From the JSON in SNAKEPIT_HEARTBEAT_CONFIG; the defaults where it is unset or no object."""
        try:
            values = json.loads(os.environ.get(ENVIRONMENT, "") or "{}")
        except ValueError:
            logger.warning("%s is no JSON; the defaults are taken", ENVIRONMENT)
            values = {}
        return cls.from_mapping(values if isinstance(values, dict) else {})


class _Done:
    """Nothing to wait for, for those who wait."""

    def __await__(self) -> Generator[None]:
        yield from ()


class HeartbeatClient:
    """Sends heartbeats of a session from `start` to `stop`.

    `on_timeout` is called once where too many in a row got no answer. Without it, a dependent client asks its
    own process to end (SIGTERM), as Snakepit's does. A session that has ended just ends the heartbeats.
    """

    def __init__(
        self,
        stub: Any,
        session_id: str,
        config: HeartbeatConfig | Mapping[str, Any] | None = None,
        on_timeout: Callable[[], None] | None = None,
    ) -> None:
        if isinstance(config, Mapping):
            config = HeartbeatConfig.from_mapping(config)
        self.config = config or HeartbeatConfig.from_environment()
        self.session_id = session_id
        self.missed = 0
        self._stub = stub
        self._on_timeout = on_timeout
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        """Whether it is between `start` and its end."""
        if self._task is not None:
            return not self._task.done()
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> bool:
        """Begin; False where it is switched off, or runs."""
        if not self.config.enabled or self.running:
            return False
        self._stopped.clear()
        self.missed = 0
        if isinstance(self._stub.Heartbeat, grpc.aio.UnaryUnaryMultiCallable):
            self._task = asyncio.get_running_loop().create_task(self._beat_on_loop())
        else:
            self._thread = threading.Thread(target=self._beat, name="snakepit-heartbeat", daemon=True)
            self._thread.start()
        return True

    def stop(self) -> _Done:
        """Send no more. May be awaited; there is nothing to wait for."""
        self._stopped.set()
        if self._task is not None:
            self._task.cancel()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=1.0)
        return _Done()

    def _beat(self) -> None:
        wait_s = self.config.initial_delay_ms / 1000
        while not self._stopped.wait(wait_s):
            wait_s = self.config.interval_ms / 1000
            try:
                answer = self._stub.Heartbeat(self._request(), timeout=self.config.timeout_ms / 1000)
            except grpc.RpcError as error:
                answer = error
            if not self._goes_on(answer):
                return

    async def _beat_on_loop(self) -> None:
        await asyncio.sleep(self.config.initial_delay_ms / 1000)
        while True:
            try:
                answer = await self._stub.Heartbeat(self._request(), timeout=self.config.timeout_ms / 1000)
            except grpc.RpcError as error:
                answer = error
            if not self._goes_on(answer):
                return
            await asyncio.sleep(self.config.interval_ms / 1000)

    def _request(self) -> pb.HeartbeatRequest:
        request = pb.HeartbeatRequest(session_id=self.session_id)
        request.client_time.GetCurrentTime()
        return request

    def _goes_on(self, answer: Any) -> bool:
        if self._stopped.is_set():
            return False
        if isinstance(answer, grpc.RpcError):
            self.missed += 1
            if self.missed < self.config.max_missed_heartbeats:
                return True
            self._over(f"{self.missed} heartbeats in a row got no answer")
            return False
        self.missed = 0
        if answer.session_valid:
            return True
        logger.info("session %s has ended; no more heartbeats", self.session_id)
        return False

    def _over(self, why: str) -> None:
        logger.error("session %s: %s", self.session_id, why)
        if self._on_timeout is not None:
            self._on_timeout()
        elif self.config.dependent:
            os.kill(os.getpid(), signal.SIGTERM)
