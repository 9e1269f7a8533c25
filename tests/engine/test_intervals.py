"""The interval of a share, against published values and against what clusters must do to it."""

import pytest

from train.engine.intervals import clustered_interval, wilson


@pytest.mark.parametrize(
    ("right", "count", "low", "high"),
    [
        # Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3 (Wilson).
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_as_published(right, count, low, high):
    assert wilson(right / count, count) == pytest.approx((low, high), abs=5e-5)


def interval(values, clusters, weights=None):
    return clustered_interval(values, weights or [1.0] * len(values), clusters)


def width(bounds):
    return bounds[1] - bounds[0]


def test_observations_alone_in_their_clusters_are_independent():
    values = [1.0] * 60 + [0.0] * 40
    assert interval(values, range(100)) == pytest.approx(wilson(0.6, 99))  # n - 1: the variance is estimated


def test_copies_of_an_observation_add_nothing():
    values = [1.0] * 12 + [0.0] * 8
    once = interval(values, range(20))
    assert interval(values * 5, list(range(20)) * 5) == pytest.approx(once)
    assert width(interval(values * 5, range(100))) < 0.6 * width(once)


def test_where_all_agree_the_clusters_are_what_is_counted():
    assert interval([1.0] * 30, [i % 6 for i in range(30)]) == pytest.approx(wilson(1.0, 6))
    assert interval([1.0] * 30, [0] * 30) == pytest.approx(wilson(1.0, 1))


@pytest.mark.parametrize("clusters", [1, 2, 5])
@pytest.mark.parametrize("values", [[1.0, 0.0, 0.0], [1.0, 0.0, 1.0], [1.0] * 3 + [0.0] * 4])
def test_where_all_clusters_agree_on_a_share_they_are_what_is_counted(clusters, values):
    found = interval(values * clusters, [i // len(values) for i in range(len(values) * clusters)])
    assert found == pytest.approx(wilson(sum(values) / len(values), clusters))


def test_clusters_never_add_to_what_there_is_to_see():
    """Pairs of one right and one wrong each, but for two: clusters that balance are no more observations."""
    values, clusters = [1.0, 0.0] * 20 + [1.0, 1.0, 0.0, 0.0], [i // 2 for i in range(44)]
    assert width(interval(values, clusters)) >= width(wilson(0.5, 44)) - 1e-12


def test_weights_count():
    low, high = interval([1.0, 0.0, 1.0, 0.0], range(4), [3.0, 1.0, 3.0, 1.0])
    assert low < 0.75 < high
