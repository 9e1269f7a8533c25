"""The geometry of charts."""

import pytest

from jobs.charts import PLOT_WIDTH, Mark, Scale, decimal, downsample, keep_apart, mark, nice_scale, path


def test_downsample_keeps_the_ends_and_the_order():
    points = [(step, float(step)) for step in range(1, 1001)]
    kept = downsample(points)
    assert len(kept) == 200
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    assert kept == sorted(kept)


def test_downsample_leaves_a_short_line_alone():
    assert downsample([(1, 2.0), (2, 3.0)]) == [(1, 2.0), (2, 3.0)]


@pytest.mark.parametrize(
    ("values", "low", "high", "ticks"),
    [
        ([0.55, 0.7], 0.5, 0.7, ("0.7", "0.6", "0.5")),
        ([-142.0, -160.5], -180, -140, ("−140", "−160", "−180")),
        ([0.0, 0.32], 0.0, 0.4, ("0.4", "0.2", "0.0")),
        ([3.0, 3.0], None, None, None),
        ([-0.2, 0.9], -1.0, 1.0, ("1", "0", "−1")),
    ],
)
def test_a_nice_scale_holds_the_values_between_round_numbers(values, low, high, ticks):
    scale = nice_scale(values)
    assert scale.low <= min(values) <= max(values) <= scale.high
    if ticks:
        assert (scale.low, scale.high) == pytest.approx((low, high))
        assert scale.ticks() == ticks


def test_a_path_runs_from_left_to_right_and_downwards():
    assert path([(0, 0.0), (5, 1.0), (10, 0.5)], Scale(0, 10), Scale(0, 1)) == "M0 100 50 0 100 50"
    assert path([], Scale(0, 1), Scale(0, 1)) == ""


def test_a_mark_stands_on_its_line():
    assert mark("p", (10, 0.25), Scale(0, 10), Scale(0, 1), "now") == Mark("p", f"{PLOT_WIDTH}%", "75%", "now")


def test_labels_of_near_points_move_apart():
    above, below = keep_apart(Mark("p", "9%", "52%", "a"), Mark("p rej", "9%", "50%", "b"))
    assert (above.label, below.label) == ("b", "a")
    assert below.dy - above.dy > 13  # pixels: the text's size
    far = [Mark("p", "9%", "10%", "a"), Mark("p", "9%", "90%", "b")]
    assert keep_apart(*far) == far


def test_a_minus_is_a_minus():
    assert decimal(-1234.56, 1) == "−1,234.6"
    assert decimal(-0.001, 2) == "0.00"
