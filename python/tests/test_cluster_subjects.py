"""Sealed sessions and erasure, from Python."""

from __future__ import annotations

import asyncio
import uuid

import numpy as np
import pytest

import snakepit
from snakepit import errors
from tests.cluster import Cluster


def _new_name() -> str:
    return f"subject-{uuid.uuid4()}"


def test_a_sealed_session_is_used_as_any_other_until_it_is_erased(cluster: Cluster) -> None:
    subject = _new_name()
    with snakepit.connect(cluster.endpoints) as client:
        session = client.create_session(f"sealed:{subject}", subject=subject)
        assert session.info().subject == subject
        session["x"] = 0.5
        session["x"] = 0.75
        session["matrix"] = np.arange(6, dtype=np.float32).reshape(2, 3)
        session["notes"] = {"name": "Ada"}
        assert session["x"] == 0.75
        assert session["notes"] == {"name": "Ada"}
        np.testing.assert_array_equal(session["matrix"], np.arange(6, dtype=np.float32).reshape(2, 3))
        assert [version.value for version in session.history("x")] == [0.75, 0.5]
        changes = [event.change for event in client.log(session=session, events=["VariableSet"])]
        assert all(set(change["value"]) & {"sealedValue", "sealed_value"} for change in changes)
        document = session.export()
        copy = client.import_session(document, f"sealed:{subject}-2")
        assert copy["x"] == 0.75
        with pytest.raises(errors.Invalid, match="plain text"):
            client.import_session(document, f"{subject}-plain")

        erasure = client.erase_subject(subject)
        assert erasure.erased
        assert not client.erase_subject(subject).erased
        for sealed in (session, copy):
            with pytest.raises(errors.SnakepitError, match="were erased"):
                sealed["x"]
            with pytest.raises(errors.SnakepitError, match="were erased"):
                sealed["x"] = 1.0
        found = {held.name: held for held in client.subjects()}
        assert found[subject].erased_at is not None
        assert found[subject].created_at <= found[subject].erased_at


def test_names_and_subjects_go_together(cluster: Cluster) -> None:
    async def run() -> None:
        async with snakepit.connect_async(cluster.endpoints) as client:
            with pytest.raises(errors.Invalid, match="must begin with sealed:"):
                await client.create_session(_new_name(), subject="ada")
            with pytest.raises(errors.Invalid, match="name a subject"):
                await client.create_session(f"sealed:{_new_name()}")
            with pytest.raises(errors.NotFound, match="there is no subject"):
                await client.erase_subject(_new_name())
            subject = _new_name()
            session = await client.create_session(f"sealed:{subject}", subject=subject)
            await session.register("x", 3, "integer")
            assert await session.get("x") == 3
            names = [held.name async for held in client.subjects()]
            assert subject in names

    asyncio.run(run())
