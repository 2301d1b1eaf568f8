"""Tools of an old and a new kind, told apart by the environment, for tests of calls that run again."""

from __future__ import annotations

import os
from collections.abc import Iterator

from snakepit import Session, StreamChunk, tool

NEW = os.environ.get("SCORES") == "new"
FACTOR = 3 if NEW else 2


@tool("Score a text with the weight of the session, and keep what came out.", version="2" if NEW else "1")
def score(session: Session, text: str, path: str = "") -> dict[str, object]:
    """Reads `weight` and `bias`, sets `score`."""
    if path:
        with open(path, "a") as file:
            file.write(f"{text}\n")
    found = len(text) * session["weight"] * FACTOR + session["bias"]
    session["score"] = found
    if NEW:
        session["new"] = True
    return {"text": text, "score": found, "parts": [1, FACTOR]}


@tool("Read as many variables as there are.")
def read_all(session: Session) -> int:
    """Lists them, and reads one by one."""
    return sum(1 for _ in session)


@tool("Fail, in words of the session.")
def fail(session: Session) -> None:
    """The new kind says more."""
    message = f"weight is {session['weight']}"
    raise ValueError(f"{message}, as asked" if NEW else message)


@tool("Count up in a stream, from the weight.")
def count(session: Session, to: int) -> Iterator[StreamChunk]:
    """The new kind gives one number more, and another second one."""
    first = session["weight"]
    for number in range(first, to + FACTOR - 2):
        yield StreamChunk({"n": number + (NEW and number == first + 1)})


@tool("Give the value back.", idempotent=True)
def echo(value: object = None) -> object:
    """Any value that has a wire form."""
    return value
