"""Generates the protobuf modules of `snakepit._proto` from the repository's schemas.

Run it after a change of a schema: ``python python/generate_protos.py``. The build runs it too. The output
is flat: `snakepit/worker/v1/worker.proto` becomes `snakepit._proto.worker_v1_pb2`, because a generated
package named `snakepit.worker` would collide with the runtime of that name. The descriptors keep the
schema's own names.
"""

from __future__ import annotations

import re
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
SCHEMAS = HERE.parent / "proto"
OUTPUT = HERE / "src" / "snakepit" / "_proto"

# Schema → stem of the generated modules.
MODULES = {
    "snakepit_bridge.proto": "snakepit_bridge",
    "snakepit/worker/v1/worker.proto": "worker_v1",
    "snakepit/cluster/v1/cluster.proto": "cluster_v1",
    "snakepit/session/v1/session.proto": "session_v1",
    "snakepit/events/v1/events.proto": "events_v1",
}


def generate(schemas: Path = SCHEMAS, output: Path = OUTPUT) -> list[Path]:
    """Write all modules and stubs to `output`; returns the files. Raises RuntimeError where protoc fails."""
    from grpc_tools import protoc

    well_known = Path(protoc.__file__).parent / "_proto"
    with tempfile.TemporaryDirectory() as scratch:
        arguments = [
            "protoc",
            f"--proto_path={schemas}",
            f"--proto_path={well_known}",
            f"--plugin=protoc-gen-mypy={_plugin('protoc-gen-mypy')}",
            f"--plugin=protoc-gen-mypy_grpc={_plugin('protoc-gen-mypy_grpc')}",
            f"--python_out={scratch}",
            f"--grpc_python_out={scratch}",
            f"--mypy_out=quiet:{scratch}",
            f"--mypy_grpc_out=quiet:{scratch}",
            *MODULES,
        ]
        if protoc.main(arguments) != 0:
            raise RuntimeError(f"protoc refused the schemas in {schemas}; its complaint is above")
        written = []
        for schema, stem in MODULES.items():
            source = Path(scratch) / schema.removesuffix(".proto")
            for suffix in ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py", "_pb2_grpc.pyi"):
                generated = source.with_name(source.name + suffix)
                if suffix.startswith("_pb2_grpc") and "service " not in (schemas / schema).read_text():
                    continue
                target = output / f"{stem}{suffix}"
                target.write_text(_repackage(generated.read_text()))
                written.append(target)
    return written


def _plugin(name: str) -> str:
    """The plugin of the environment that runs this, wherever its scripts are."""
    beside = Path(sysconfig.get_path("scripts")) / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise RuntimeError(f"{name} is not installed: pip install 'snakepit[dev]'")
    return found


def _repackage(text: str) -> str:
    """Rewrite imports between generated modules to their place in `snakepit._proto`."""
    for schema, stem in MODULES.items():
        path = schema.removesuffix(".proto")
        package, _, name = path.rpartition("/")
        dotted = package.replace("/", ".")
        for suffix in ("_pb2_grpc", "_pb2"):
            old, new = f"{name}{suffix}", f"{stem}{suffix}"
            statement = f"from {dotted} import {old}" if dotted else f"import {old}"
            new_statement = f"from snakepit._proto import {new}"
            text = re.sub(rf"^{re.escape(statement)}\b", new_statement, text, flags=re.MULTILINE)
        # Where the message classes say that they live; pickling looks there.
        old_home = f"{dotted}.{name}_pb2" if dotted else f"{name}_pb2"
        text = text.replace(f"DESCRIPTOR, '{old_home}'", f"DESCRIPTOR, 'snakepit._proto.{stem}_pb2'")
    return text


if __name__ == "__main__":
    for path in generate():
        sys.stdout.write(f"{path.relative_to(HERE)}\n")
