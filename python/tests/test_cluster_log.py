"""The event log, from Python."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta

import pytest

import snakepit
from snakepit import errors
from tests.cluster import Cluster


def test_events_are_found_by_what_they_are(cluster: Cluster) -> None:
    with snakepit.connect(cluster.endpoints, principal="ada") as ada:
        session = ada.create_session(_new_id())
        before = datetime.now(UTC) - timedelta(minutes=5)
        for value in range(3):
            session["x"] = value
        session["y"] = "text"
        found = list(ada.log(session=session))
        assert [event.kind for event in found] == [
            "SessionCreated",
            "VariableRegistered",
            "VariableSet",
            "VariableSet",
            "VariableRegistered",
        ]
        assert [event.revision for event in found] == [1, 2, 3, 4, 5]
        assert all(event.cause.principal == "ada" and event.time > before for event in found)
        sets = list(ada.log(session=session.id, events=["VariableSet"], variable="x", principal="ada"))
        assert [event.change["version"] for event in sets] == ["2", "3"]
        assert list(ada.log(session=session, principal="eve")) == []
        assert list(ada.log(session=session, until=before)) == []
        assert len(list(ada.log(session=session, limit=2))) == 2
        last = found[-1].position
        assert [event.position for event in ada.log(start=last, end=last)] == [last]
        with pytest.raises(errors.Invalid, match="there is no event Set"):
            list(ada.log(events=["Set"]))
        with pytest.raises(errors.Invalid, match="time zone"):
            ada.log(since=datetime.now())


def test_who_follows_sees_what_comes(cluster: Cluster) -> None:
    with snakepit.connect(cluster.endpoints) as client:
        session = client.create_session(_new_id())
        with client.log(session=session, follow=True) as log:
            assert next(log).kind == "SessionCreated"
            session["x"] = 1
            assert next(log).change["name"] == "x"
            assert log.position > 0


def test_the_same_for_asyncio(cluster: Cluster) -> None:
    async def main() -> None:
        async with snakepit.connect_async(cluster.endpoints) as client:
            session = await client.create_session(_new_id())
            await session.put("x", 1)
            kinds = [event.kind async for event in client.log(session=session)]
            assert kinds == ["SessionCreated", "VariableRegistered"]

    asyncio.run(main())


def _new_id() -> str:
    return f"s-{uuid.uuid4().hex}"
