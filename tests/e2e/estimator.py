# SPDX-License-Identifier: Apache-2.0
"""What the mathematics of Poisson sampling promise of an estimate, to hold the product against.

A block of S bytes is sampled with p = 1 - exp(-S/R) and then stands for 1/p blocks. n blocks of one size give
X ~ Binomial(n, p) samples: the estimate is S*X/p bytes, its variance S^2 * n * (1-p)/p, and the error that the
product prints comes from X itself: S * sqrt(X * (1-p)) / p.
"""

import functools
import math

# A right implementation fails a check with at most this probability.
ODDS = 1e-4


def probability(size: int, interval: float) -> float:
    return -math.expm1(-size / interval)


def total_bytes(sizes: dict[int, int]) -> int:
    return sum(size * blocks for size, blocks in sizes.items())


def variance(sizes: dict[int, int], interval: float) -> float:
    """Of the estimate of bytes of a site with {size: blocks}."""
    return sum(size * size * blocks * math.exp(-size / interval) / probability(size, interval)
               for size, blocks in sizes.items())


def expected_misses(sizes: dict[int, int], interval: float) -> float:
    """How many blocks are expected to escape sampling."""
    return sum(blocks * math.exp(-size / interval) for size, blocks in sizes.items())


def normal_tail(z: float) -> float:
    """P(|N(0,1)| > z)."""
    return math.erfc(z / math.sqrt(2))


@functools.cache
def miss_probability(blocks: int, p: float, errors: float = 3) -> float:
    """P(|estimate - truth| > errors * printed error) for blocks of one size, summed exactly."""
    mean, spread = blocks * p, math.sqrt(blocks * p * (1 - p))
    if spread < 1e-6:
        return 0.0
    low, high = max(0, int(mean - 9 * spread) - 2), min(blocks, int(mean + 9 * spread) + 2)

    def log_mass(x: int) -> float:
        return (math.lgamma(blocks + 1) - math.lgamma(x + 1) - math.lgamma(blocks - x + 1)
                + x * math.log(p) + (blocks - x) * math.log1p(-p))

    return sum(math.exp(log_mass(x)) for x in range(low, high + 1)
               if abs(x - mean) > errors * math.sqrt(x * (1 - p)))


def site_miss_probability(sizes: dict[int, int], interval: float) -> float:
    """miss_probability for a site. Mixed sizes count as the Poisson number of equal samples that has the same
    relative variance."""
    if len(sizes) == 1:
        ((size, blocks),) = sizes.items()
        return miss_probability(blocks, probability(size, interval))
    samples = total_bytes(sizes) ** 2 / variance(sizes, interval)
    return miss_probability(1_000_000, samples / 1_000_000)


def binomial_tail(trials: int, p: float, more_than: int) -> float:
    """P(Binomial(trials, p) > more_than)."""
    if p <= 0:
        return 0.0
    return math.fsum(
        math.exp(math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1)
                 + k * math.log(p) + (trials - k) * math.log1p(-p))
        for k in range(more_than + 1, min(trials, more_than + 400) + 1))


def allowed_misses(trials: int, p: float, odds: float = ODDS) -> int:
    """The smallest number of misses that more than are seen with a probability of at most `odds`."""
    return next(k for k in range(trials + 1) if binomial_tail(trials, p, k) <= odds)


class Tally:
    """Collects (estimate, printed error, truth) of many runs by site, then judges them.

    Sites whose blocks are all sampled with certainty must be exact in every run.
    """

    CERTAIN = 1e-6  # expected escapes in all runs together, below which a site counts as certain

    def __init__(self, truth: dict[str, dict[int, int]], interval: float):
        self.truth, self.interval, self.runs = truth, interval, 0
        self.certain = {name for name, sizes in truth.items()
                        if expected_misses(sizes, interval) < self.CERTAIN}
        for name, sizes in truth.items():
            if name not in self.certain and total_bytes(sizes):
                # Between certainty and many escapes no normal approximation holds; programs avoid it.
                assert expected_misses(sizes, interval) > 20, f"{name} cannot be judged at {interval}"
        self.misses: list[str] = []
        self.relative_errors: dict[str, list[float]] = {name: [] for name in truth}

    def add(self, seen: dict) -> None:
        """`seen`: {site: object with .bytes and .bytes_error}, of one run."""
        self.runs += 1
        for name, sizes in self.truth.items():
            true = total_bytes(sizes)
            got = seen.get(name)
            estimate, error = (got.bytes, got.bytes_error) if got is not None else (0.0, 0.0)
            if true == 0:
                assert estimate == 0, f"{name} holds nothing, the report says {estimate}"
                continue
            if name in self.certain:
                assert estimate == true, f"{name}: {estimate} for {true}, all sampled with certainty"
                continue
            self.relative_errors[name].append(estimate / true - 1)
            if abs(estimate - true) > 3 * error:
                self.misses.append(f"run {self.runs}: {name} {estimate:.0f} ± {error:.0f}, truth {true}")

    def uncertain(self) -> list[str]:
        return [name for name, errors in self.relative_errors.items() if errors]

    def judge_three_errors(self, share: float | None) -> None:
        """At least 1 - `share` of (run, site) pairs lie within 3 printed errors. None: as many as ODDS allow."""
        names = self.uncertain()
        p = max(site_miss_probability(self.truth[name], self.interval) for name in names)
        trials = self.runs * len(names)
        allowed = allowed_misses(trials, p) if share is None else int(share * trials)
        assert binomial_tail(trials, p, allowed) <= ODDS, "too few pairs for this bound"
        assert len(self.misses) <= allowed, f"{len(self.misses)} of {trials} beyond 3 errors: {self.misses}"

    def judge_mean(self, bound: float | None) -> None:
        """The mean relative error of each site is below `bound`. None: as small as ODDS demand."""
        names = self.uncertain()
        for name in names:
            errors = self.relative_errors[name]
            spread = (math.sqrt(variance(self.truth[name], self.interval))
                      / total_bytes(self.truth[name]) / math.sqrt(len(errors)))
            limit = 5 * spread if bound is None else bound
            assert normal_tail(limit / spread) * len(names) <= ODDS, f"{name}: too few runs for this bound"
            mean = math.fsum(errors) / len(errors)
            assert abs(mean) < limit, f"{name}: mean error {mean:+.3%} over {len(errors)} runs"

    def judge_spread(self) -> None:
        """The estimates scatter as the theory says: not only unbiased, but sampled as often as claimed."""
        for name in self.uncertain():
            errors = self.relative_errors[name]
            if len(errors) < 10:
                continue
            theory = variance(self.truth[name], self.interval) / total_bytes(self.truth[name]) ** 2
            ratio = math.fsum(error * error for error in errors) / theory
            # Wilson and Hilferty: the cube root of chi-squared / n is nearly normal.
            n = len(errors)
            z = ((ratio / n) ** (1 / 3) - (1 - 2 / (9 * n))) / math.sqrt(2 / (9 * n))
            assert normal_tail(5) * len(self.truth) <= ODDS
            assert abs(z) < 5, f"{name}: variance {ratio / n:.2f} times the theory's over {n} runs"
