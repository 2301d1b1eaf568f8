"""The build hook: generates the protobuf modules before a wheel, an editable install or an sdist."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ProtoHook(BuildHookInterface[Any]):
    """Generates from ../proto; an unpacked sdist has no ../proto and brings the modules along."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Generate, or check that the modules are there."""
        sys.path.insert(0, self.root)
        import generate_protos

        if generate_protos.SCHEMAS.is_dir():
            generate_protos.generate()
        elif not (Path(generate_protos.OUTPUT) / "snakepit_bridge_pb2.py").exists():
            raise RuntimeError(
                "neither the schemas nor the generated modules are here; build from the repository"
            )
