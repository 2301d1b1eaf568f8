"""Two Ray actors on a Ray of their own."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from bench_lib.environments import python_with
from bench_lib.talk import Driven, Driver

RAY = "ray==2.60.0"


class Ray(Driven):
    """Defaults without the dashboard. `following` says how several calls under way are awaited."""

    def __init__(self, following: str = "wait") -> None:
        self.name = "ray" if following == "wait" else f"ray {following}"
        self.following = following
        self.python = python_with(RAY)
        self.home = Path()

    def start(self, folder: Path) -> None:
        """Its sockets need a short path; its token and other files shall not stay in the user's home."""
        self.driver = None
        self.home = Path(tempfile.mkdtemp(prefix="sp-ray-"))
        env = {"HOME": str(self.home), "RAY_USAGE_STATS_ENABLED": "0"}
        log = folder / "log"
        self.driver = Driver(self.python, "ray_calls", self.home, self.following, log=log, env=env)
        self.driver.wait_ready()

    def stop(self) -> None:
        """Ray's own processes are below the driver's."""
        if self.driver:
            self.driver.child.stop(20.0)
        if self.home.name.startswith("sp-ray-"):
            shutil.rmtree(self.home, ignore_errors=True)

    def pids(self) -> list[int]:
        """The driver, and so all of Ray."""
        return [self.driver.child.pid] if self.driver else []
