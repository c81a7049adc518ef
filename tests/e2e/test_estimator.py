# SPDX-License-Identifier: Apache-2.0
"""The checks of test_statistics.py pass a right estimator and notice wrong ones. Simulated, with fixed seeds."""

import random
from types import SimpleNamespace

import pytest

import estimator

INTERVAL = 8192
TRUTH = {f"site_{size}": {size: blocks}
         for size, blocks in ((256, 6000), (1024, 5000), (4096, 3000), (16384, 768), (1 << 20, 8))}


def simulated(generator: random.Random, interval_used: float, interval_claimed: float, kept: float = 1) -> dict:
    """What a report would say if blocks were sampled with one interval and weighted with another, and if only
    a share of the samples were `kept`."""
    seen = {}
    for name, sizes in TRUTH.items():
        ((size, blocks),) = sizes.items()
        p_used = estimator.probability(size, interval_used)
        p = estimator.probability(size, interval_claimed)
        hits = sum(generator.random() < p_used * kept for _ in range(blocks))
        seen[name] = SimpleNamespace(bytes=round(size * hits / p),
                                     bytes_error=size * (hits * (1 - p)) ** 0.5 / p)
    return seen


def tally(runs: int, **how) -> estimator.Tally:
    generator = random.Random(20)
    result = estimator.Tally(TRUTH, INTERVAL)
    for _ in range(runs):
        result.add(simulated(generator, **({"interval_used": INTERVAL, "interval_claimed": INTERVAL} | how)))
    return result


def test_a_right_estimator_passes():
    result = tally(runs=12)
    result.judge_three_errors(None)
    result.judge_mean(None)
    result.judge_spread()


def test_an_interval_off_by_two_fails():
    result = tally(runs=12, interval_used=INTERVAL * 2)
    with pytest.raises(AssertionError, match="beyond 3 errors"):
        result.judge_three_errors(None)
    with pytest.raises(AssertionError, match="mean error"):
        result.judge_mean(None)


def test_a_bias_of_five_percent_fails():
    result = tally(runs=12, interval_used=INTERVAL * 1.07)
    with pytest.raises(AssertionError, match="mean error"):
        result.judge_mean(None)


def test_sampling_half_as_often_as_claimed_with_right_weights_fails():
    result = tally(runs=60, interval_used=INTERVAL * 4, interval_claimed=INTERVAL * 4)
    result.judge_mean(0.5)
    with pytest.raises(AssertionError, match="times the theory's"):
        result.judge_spread()


def test_a_lost_block_that_was_certain_to_be_sampled_fails():
    with pytest.raises(AssertionError, match="all sampled with certainty"):
        tally(runs=40, kept=0.9)


def test_a_dropped_live_set_fails():
    result = estimator.Tally({name: TRUTH[name] for name in ("site_256", "site_1024")}, INTERVAL)
    with pytest.raises(AssertionError, match="beyond 3 errors"):
        result.add({})
        result.add({})
        result.judge_three_errors(None)


@pytest.mark.parametrize("blocks, p", [(786432, 0.00195), (12288, 0.1175), (768, 0.8647)])
def test_the_exact_probability_of_a_miss_is_near_the_normal_one(blocks, p):
    assert 0.5 < estimator.miss_probability(blocks, p) / estimator.normal_tail(3) < 2
