"""The examples of the README run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import snakepit
from tests.fake_node import FakeNode

README = (Path(__file__).parent.parent / "README.md").read_text()


def test_the_examples_run(
    node: FakeNode, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    endpoint = f"unix:{node.socket}"

    def connect(_: str, **options: Any) -> snakepit.Client:
        client = snakepit.connect(endpoint, **options)
        clients.append(client)
        return client

    clients: list[snakepit.Client] = []
    # The first two need a worker, as do those that say so.
    found = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[2:]
    blocks = [block for block in found if not block.startswith("# needs workers")]
    assert len(blocks) > 10
    names: dict[str, Any] = {"connect": connect, "errors": snakepit.errors}
    try:
        for block in blocks:
            exec(compile(block, "README.md", "exec"), names)
    finally:
        for client in clients:
            client.close()
    assert "value_change a 12" in capsys.readouterr().out
