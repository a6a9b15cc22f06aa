"""Named faces out of the body's expressions: the nearest, and how near."""

from __future__ import annotations

import numpy as np
import pytest

from turnaround.data.body.presets import MIXES, fitted
from turnaround.models.avatar.face.presets import PRESETS


def test_what_the_expressions_span_is_found_and_the_rest_is_told():
    rng = np.random.default_rng(0)
    directions = np.linalg.qr(rng.normal(size=(60, 4)))[0].reshape(20, 3, 4)
    within, beyond = directions @ [1.0, -2.0, 0.0, 0.5], rng.normal(size=(60,))
    flat = directions.reshape(60, 4)
    beyond = (beyond - flat @ (flat.T @ beyond)).reshape(20, 3)
    units = {"a": within, "b": beyond}
    found, share = fitted(units, {"a": 2.0}, directions)
    np.testing.assert_allclose(found, [2.0, -4.0, 0.0, 1.0], atol=1e-9)
    assert share == pytest.approx(1.0)
    found, share = fitted(units, {"a": 1.0, "b": 1.0}, directions)
    np.testing.assert_allclose(found, [1.0, -2.0, 0.0, 0.5], atol=1e-9)
    assert share == pytest.approx((within**2).sum() / ((within + beyond) ** 2).sum())


def test_every_preset_has_its_mix():
    assert set(PRESETS) == {*MIXES, "aa"} - {"angry"}, "brows are not among the expressions"
