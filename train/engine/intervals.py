"""The interval of a share whose observations come in clusters."""

import math
from collections import defaultdict
from collections.abc import Hashable, Sequence

ROUNDING = 1e-12  # a variance below this part of p (1 - p) is none
Z = 1.959964  # of the normal distribution's 97.5th percentile


def clustered_interval(
    values: Sequence[float], weights: Sequence[float], clusters: Sequence[Hashable]
) -> tuple[float, float]:
    """Return the 95% interval of a weighted share whose observations are alike within clusters.

    Wilson's interval with the effective sample size p (1 - p) / v, where v is the share's variance between
    clusters (linearised, of a ratio of totals). Where all clusters agree there is no variance to see, and the
    effective size is the number of clusters.

    Source: Dean and Pagano 2015, "Evaluating confidence interval methods for binomial proportions in clustered
    surveys", https://doi.org/10.1093/jssam/smv024 (Wilson's interval with the effective sample size)

    Args:
        values: what is shared, each 0 to 1.
        weights: of the values, 0 or more, at least one above 0.
        clusters: which cluster each value is of.
    """
    total = math.fsum(weights)
    share = math.fsum(w * v for w, v in zip(weights, values, strict=True)) / total
    residuals: defaultdict[Hashable, float] = defaultdict(float)
    for value, weight, cluster in zip(values, weights, clusters, strict=True):
        residuals[cluster] += weight * (value - share) / total
    count = len(residuals)
    variance = math.fsum(r * r for r in residuals.values()) * count / max(1, count - 1)
    spread = share * (1 - share)
    if count < 2 or variance <= ROUNDING * spread:
        return wilson(share, count)
    most = total * total / math.fsum(w * w for w in weights)  # Kish's effective size: clusters never add to it
    return wilson(share, min(spread / variance, most))


def wilson(share: float, size: float) -> tuple[float, float]:
    """Return Wilson's 95% interval of a share of `size` observations.

    Source: Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953
    """
    centre = (share + Z * Z / (2 * size)) / (1 + Z * Z / size)
    half = Z / (1 + Z * Z / size) * math.sqrt(share * (1 - share) / size + Z * Z / (4 * size * size))
    return max(0.0, centre - half), min(1.0, centre + half)
