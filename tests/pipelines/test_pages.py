"""Pages of results: what their charts show of any numbers, and that no text in them is markup."""

import numpy as np
import pytest

from pipelines.pages.charts import MOST_POINTS, Line, line_chart
from pipelines.pages.markup import element, image, page


def drawn(values, **options):
    """The points of the only line of a chart, in the order of x."""
    values = np.asarray(values, float)
    chart = line_chart("title", [Line("one", np.arange(len(values)), values)], **options)
    assert chart is not None
    return [tuple(map(float, point.split(","))) for point in chart.find(".//polyline").get("points").split()]


def test_texts_are_escaped_and_pictures_found_whatever_they_are_called():
    text = page("<b>", element("p", "a < b & c"), image("a b/#1.png", 'say "x"'))
    assert "<title>&lt;b&gt;</title>" in text
    assert "<p>a &lt; b &amp; c</p>" in text
    assert 'src="a%20b/%231.png"' in text
    assert "const" in text.partition("<script>")[2].partition("</script>")[0]  # as it is, not escaped


@pytest.mark.parametrize("values", [[1, 3, 2], [5, 5, 5], [0, 0, 0], [-1e-9, 1e9, 3], [1e-6, 1, 1e5], [2]])
def test_every_point_lies_within_the_drawing_and_higher_values_are_higher(values):
    points = drawn(values)
    assert all(0 <= x <= 400 and 0 <= y <= 230 for x, y in points)
    order = np.argsort(values, kind="stable")
    assert list(np.diff([points[i][1] for i in order]) <= 0) == [True] * (len(values) - 1)


def test_values_that_are_no_numbers_are_left_out_and_a_chart_of_them_alone_is_none():
    assert len(drawn([1, np.inf, 2, np.nan])) == 2
    assert line_chart("title", [Line("one", np.arange(2), np.array([np.nan, np.inf]))]) is None


def test_a_long_line_is_averaged_to_a_few_hundred_points():
    assert len(drawn(np.arange(80_000))) == MOST_POINTS
    assert len(drawn(np.arange(MOST_POINTS))) == MOST_POINTS
