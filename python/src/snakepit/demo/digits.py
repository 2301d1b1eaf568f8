"""Tools that train and score a classifier on handwritten digits, tuned by variables of the session.

The data is the set that scikit-learn carries (1,797 images of 8 by 8), so nothing is downloaded. The model
is a linear classifier trained by stochastic gradient descent, over the pixels or over an approximate
radial-basis map of them.

=========== ======== =====================================================================
C           float    inverse strength of the regularisation, above 0
gamma       float    width of the radial-basis map, above 0; unused where linear
kernel      string   ``linear`` or ``rbf``
epochs      integer  passes over the training data
shuffle     boolean  whether the data is shuffled after each pass
=========== ======== =====================================================================

Results go to `best_score` (float) and `best_trial` (integer), by compare-and-set.
"""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from sklearn.datasets import load_digits
from sklearn.kernel_approximation import RBFSampler
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import train_test_split

from snakepit import Session, tool
from snakepit.errors import Conflict, Invalid

PARAMETERS: Final = ("C", "gamma", "kernel", "epochs", "shuffle")
BEST_SCORE: Final = "best_score"
BEST_TRIAL: Final = "best_trial"
# Everything that is drawn is drawn from this seed, so that a trial run twice has one score.
SEED: Final = 20_260_101
COMPONENTS: Final = 200
ATTEMPTS: Final = 16


@dataclass(frozen=True)
class Digits:
    """The split data; pixels from 0 to 1."""

    train_x: Any
    test_x: Any
    train_y: Any
    test_y: Any


@functools.cache
def digits() -> Digits:
    """The data, loaded once a process."""
    pixels, labels = load_digits(return_X_y=True)
    train_x, test_x, train_y, test_y = train_test_split(
        pixels / 16.0, labels, test_size=0.3, random_state=SEED, stratify=labels
    )
    return Digits(train_x, test_x, train_y, test_y)


def initialize() -> None:
    """Load the data before the first call."""
    digits()


@tool("Train with the session's parameters, score, and keep the best.", idempotent=True)
def train_and_score(session: Session, trial: int) -> dict[str, Any]:
    """Returns trial, score (accuracy, 0 to 1), params, pid, and whether it is the best so far."""
    params = session.get_many(*PARAMETERS)
    score = score_of(params)
    best = record_best(session, trial, score)
    return {"trial": trial, "score": score, "params": params, "pid": os.getpid(), "best": best}


@tool("Tell the best trial so far.", idempotent=True)
def best(session: Session) -> dict[str, Any]:
    """Returns best_score and best_trial."""
    return session.get_many(BEST_SCORE, BEST_TRIAL)


def score_of(params: dict[str, Any]) -> float:
    """The accuracy of a model with these parameters. Raises Invalid where one is out of its range."""
    data = digits()
    train_x, test_x = data.train_x, data.test_x
    if params["kernel"] not in ("linear", "rbf"):
        raise Invalid(f"kernel is {params['kernel']!r}; it is 'linear' or 'rbf'")
    if params["C"] <= 0 or params["gamma"] <= 0 or params["epochs"] < 1:
        raise Invalid("C and gamma are above 0, and epochs is at least 1")
    if params["kernel"] == "rbf":
        sampler = RBFSampler(gamma=params["gamma"], n_components=COMPONENTS, random_state=SEED)
        train_x, test_x = sampler.fit_transform(train_x), sampler.transform(test_x)
    model = SGDClassifier(
        alpha=1.0 / (params["C"] * len(train_x)),
        max_iter=params["epochs"],
        shuffle=params["shuffle"],
        tol=None,
        random_state=SEED,
    )
    model.fit(train_x, data.train_y)
    return float(np.mean(model.predict(test_x) == data.test_y))


def record_best(session: Session, trial: int, score: float) -> bool:
    """Write the score where it is the best (the earlier trial where equal); True where it is.

    Both variables change together or not at all. Raises Conflict after ATTEMPTS lost races.
    """
    for _ in range(ATTEMPTS):
        best_score, best_trial = session.variable(BEST_SCORE), session.variable(BEST_TRIAL)
        if best_trial.value == trial:
            return True
        earlier = score == best_score.value and trial < best_trial.value
        if score <= best_score.value and not earlier:
            return False
        try:
            session.update(
                {BEST_SCORE: score, BEST_TRIAL: trial},
                expected_versions={BEST_SCORE: best_score.version, BEST_TRIAL: best_trial.version},
                metadata={"trial": str(trial)},
            )
        except Conflict:
            continue
        return True
    raise Conflict(f"lost {ATTEMPTS} races for {BEST_SCORE}")
