"""Labels are short, distinct and never empty."""

import pytest

from landscape.labels import heading, joined, short_labels


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (["seed0/checkpoints/last", "seed1/checkpoints/last"], ["seed0", "seed1"]),
        (["a/last", "b/best"], ["a/last", "b/best"]),
        (["A", "B"], ["A", "B"]),
        (["x/y/last"], ["x/y/last"]),
        (["last", "a/last"], ["last", "a/last"]),
        (["a/last", "a/last#2"], ["a/last", "a/last#2"]),
        ([], []),
    ],
)
def test_labels(ids: list[str], expected: list[str]) -> None:
    assert list(short_labels(ids).values()) == expected


def test_many_points_are_not_all_named() -> None:
    assert joined(["A", "B"]) == "A – B"
    assert joined(["A", "B"], " –\n") == "A –\nB"
    assert joined(list("ABCDE")) == "A … E (5 points)"


def test_a_result_of_several_points_beside_single_ones_compares_them() -> None:
    assert heading("hessian", 1, {1, 3}) == "hessian"
    assert heading("hessian", 3, {1, 3}) == "hessian: points compared"
    assert heading("neb", 2, {2}) == "neb"
    assert heading("neb", 3, {2, 3}) == "neb: points compared"
    assert heading("neb", 2, {2, 3}) == "neb"
