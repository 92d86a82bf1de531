"""What is said of numbers that are not to be believed, and which options cannot be."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from landscape_local_entropy.analysis import run
from landscape_local_entropy.options import LocalEntropyOptions
from landscape_zoo.opening import open_zoo

from landscape.analysis import Context, Result

QUICK = LocalEntropyOptions(
    beta=10.0, gamma=1.0, chains=2, nodes=4, gamma_nodes=1, probes=2, rtol=0.2, max_gradients=4000
)


def measured(name: str, batch_norm: str = "") -> Result:
    landscape, points = open_zoo(name, device=torch.device("cpu"))
    landscape = replace(landscape, info=replace(landscape.info, batch_norm=batch_norm))
    return run(landscape, points[:1], QUICK, context=Context())


@pytest.mark.parametrize(("policy", "doubted"), [("", False), ("frozen", False), ("recalibrate", True)])
def test_statistics_that_follow_the_weights_are_a_doubt(policy, doubted):
    result = measured("bowl?dim=5&condition=10", policy)
    assert any("--bn frozen" in message for message in result.messages) == doubted
    assert not (doubted and result.converged)


def test_a_saddle_has_no_gradient_and_is_no_minimum():
    result = measured("quadratic?eigenvalues=0.01,-0.05,-0.06")
    assert not result.converged
    assert result.messages[0].startswith("saddle is not a minimum: the loss is lower around it (phi ")


@pytest.mark.parametrize("step", [2.0, 5.0])
def test_steps_that_overshoot_are_refused(step):
    with pytest.raises(ValueError, match="sgld_step must be below 2"):
        LocalEntropyOptions(sgld_step=step)
