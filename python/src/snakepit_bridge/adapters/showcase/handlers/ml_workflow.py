"""A workflow over several calls, whose state is in the session: the mean and spread of numbers."""

from __future__ import annotations

import statistics
from typing import Any, Final

from snakepit_bridge.adapters.showcase.tool import Tool

DATA: Final = "workflow_data"
MODEL: Final = "workflow_model"


def load_data(ctx: Any, values: list[float]) -> dict[str, Any]:
    """Keep the numbers."""
    ctx[DATA] = list(values)
    return {"count": len(values)}


def train(ctx: Any) -> dict[str, Any]:
    """Fit the model to them."""
    values = ctx[DATA]
    model = {"mean": statistics.fmean(values), "spread": statistics.pstdev(values)}
    ctx[MODEL] = model
    return model


def predict(ctx: Any, value: float) -> dict[str, Any]:
    """How many spreads a value is from the mean."""
    model = ctx[MODEL]
    distance = (value - model["mean"]) / model["spread"] if model["spread"] else 0.0
    return {"value": value, "distance": distance, "usual": abs(distance) <= 2}


TOOLS: Final = [Tool(function) for function in (load_data, train, predict)]
