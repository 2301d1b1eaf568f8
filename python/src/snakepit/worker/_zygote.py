"""The process that a node keeps for each pool, to fork workers of: ``python -m snakepit.worker --zygote``.

It has imported what every worker needs, and made neither channel nor event loop nor thread. Standard input
is a Unix socket of SOCK_SEQPACKET; every datagram is one JSON object in UTF-8:

- to the node, once, when the imports are done: ``{"ready": true}``;
- from the node: ``{"env": {"NAME": "value" or null, ...}, "adapter": "pkg.mod.Class"}``, with two descriptors
  (SCM_RIGHTS): the worker's standard output and standard error. `env` is laid over the zygote's own
  environment, null takes a name away; `adapter` may be absent where the environment names it.
- to the node, in the order of the requests: ``{"pid": 123}`` or ``{"error": "why not"}``.

The worker with that pid leads a process group of its own and is already the child of the nearest child
subreaper above the zygote, which the node is. It does not depend on the zygote, which ends, with exit code
0, when the socket does, and is killed with its parent.

With ``--preload``, ``--adapter PATH`` is imported before anything is forked. That saves its import in each
worker and shares its memory, and is right only for adapters that start no thread, open no connection and
touch no accelerator when they are imported: none of these survive a fork.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import signal
import socket
import sys
from collections.abc import Sequence
from typing import Any, Final, NoReturn

from snakepit.errors import Invalid, SnakepitError
from snakepit.worker import _fork, _life, _settings

REQUEST_BYTES_MAX: Final = 256 * 1024
_DESCRIPTORS: Final = 2
_EXIT_WRONG: Final = 2


def main(arguments: Sequence[str]) -> NoReturn:
    """Serve the socket that is standard input until it ends.

    Exit codes: 0 the node closed the socket, 2 the adapter to preload does not load or standard input is
    no such socket, 3 the node is gone.
    """
    # Nothing here is garbage, and a collection would copy pages that are shared; workers turn it on again.
    gc.disable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Whatever it was inherited as: children are waited for here.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _life.die_with_parent()
    node = os.environ.get("SNAKEPIT_NODE_PID", "")
    if node.isascii() and node.isdigit() and os.getppid() != int(node):
        sys.stderr.write(f"snakepit.worker: the parent process is {os.getppid()} and not the node, {node}\n")
        _life.exit_now(_life.EXIT_ORPHAN)
    try:
        channel = _channel()
        _import(_settings.adapter_of(arguments) if "--preload" in arguments else "")
        channel.send(b'{"ready": true}')
        _serve(channel)
    except (SnakepitError, ImportError, OSError) as error:
        sys.stderr.write(f"ERROR snakepit.worker: the zygote ends: {type(error).__name__}: {error}\n")
        _life.exit_now(_EXIT_WRONG)
    _life.exit_now(0)


def _channel() -> socket.socket:
    """Standard input as a socket, moved away from where a worker's standard input will be."""
    descriptor = os.dup(0)
    os.set_inheritable(descriptor, False)
    channel = socket.socket(fileno=descriptor)
    if channel.family != socket.AF_UNIX or channel.type != socket.SOCK_SEQPACKET:
        raise Invalid("standard input is no Unix socket of SOCK_SEQPACKET")
    # So that the end of the socket is seen: nothing but `channel` holds it.
    _fork.point_to_null(0)
    return channel


def _import(adapter: str) -> None:
    """Import what workers need, and then exempt it from collection, which would copy its pages."""
    importlib.import_module("snakepit.worker._worker")
    with contextlib.suppress(ImportError):
        importlib.import_module("uvloop")
    if adapter:
        from snakepit.worker import _host

        _host.preload(adapter)
    threads = _threads()
    if threads > 1:
        sys.stderr.write(
            f"WARNING snakepit.worker: {threads - 1} threads run after the imports; forked workers will not "
            "have them, and may hang on their locks; do without --preload\n"
        )
    gc.collect()
    gc.freeze()


def _threads() -> int:
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return 1


def _serve(channel: socket.socket) -> None:
    while True:
        try:
            data, descriptors, flags, _ = socket.recv_fds(
                channel, REQUEST_BYTES_MAX, _DESCRIPTORS + 1, socket.MSG_CMSG_CLOEXEC
            )
        except ConnectionResetError:
            return
        if not data and not descriptors:
            return
        try:
            answer: dict[str, Any] = {"pid": _start(channel, data, descriptors, flags)}
        except (SnakepitError, OSError) as error:
            answer = {"error": str(error)}
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        try:
            channel.send(json.dumps(answer).encode())
        except (BrokenPipeError, ConnectionResetError):
            return


def _start(channel: socket.socket, data: bytes, descriptors: Sequence[int], flags: int) -> int:
    """Fork the worker that a datagram asks for. Raises Invalid, or OSError where nothing can be forked."""
    if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        raise Invalid(
            f"a request has {REQUEST_BYTES_MAX} bytes and {_DESCRIPTORS} descriptors at most; this has more"
        )
    if len(descriptors) != _DESCRIPTORS:
        raise Invalid(f"a request comes with {_DESCRIPTORS} descriptors, not {len(descriptors)}")
    try:
        request = json.loads(data)
    except ValueError as error:
        raise Invalid(f"the request is not JSON: {error}") from error
    if not isinstance(request, dict):
        raise Invalid("the request is no JSON object")
    environment = request.get("env", {})
    if not isinstance(environment, dict) or not all(
        value is None or isinstance(value, str) for value in environment.values()
    ):
        raise Invalid("the request's env is no object of texts and nulls")
    adapter = request.get("adapter", "")
    if not isinstance(adapter, str):
        raise Invalid("the request's adapter is no text")
    return _fork.worker(channel, environment, adapter, (descriptors[0], descriptors[1]))
