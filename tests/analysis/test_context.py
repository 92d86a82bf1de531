"""What a context gives an analysis: its own part of a batch, and files only where a run opens them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch

from landscape.analysis import Context
from landscape.errors import AnalysisError, UsageError
from landscape.parameters import Point


def test_each_group_has_its_own_key_and_start() -> None:
    start = torch.arange(6.0).reshape(3, 2)
    context = Context(keys=("x", "y"), starts=(None, start))
    assert (context.task(0).key, context.task(0).start) == ("x", None)
    assert context.task(1).start is start
    assert context.task(1).task(0).start is None
    assert Context(key="z").task(1).start is None


HERE = Point(torch.zeros(2), "here")
OPENED: dict[str, Callable[[Context], object]] = {
    "a point": lambda context: context.open_point("a.pt"),
    "points": lambda context: context.open_points("folder"),
    "a path": lambda context: context.open_path("run", HERE, HERE),
    "a mapping": lambda context: context.open_mapping("spec.yaml"),
}


@pytest.mark.parametrize("name", OPENED)
def test_only_a_run_opens_files(name: str) -> None:
    with pytest.raises(AnalysisError, match=r"only a run opens files; call landscape\.analyze"):
        OPENED[name](Context())


class Folder:
    """As many points as the name says."""

    def points(self, source: str) -> list[Point]:
        return [HERE] * int(source)

    def path(self, source: str, first: Point, second: Point) -> torch.Tensor:
        return torch.stack([first.vector, second.vector])

    def mapping(self, source: str) -> Mapping[str, Any]:
        return {source: 1}


def test_one_point_is_one() -> None:
    context = replace(Context(), files=Folder())
    assert context.open_point("1") is HERE
    assert len(context.open_points("3")) == 3
    assert context.open_mapping("x") == {"x": 1}
    with pytest.raises(UsageError, match="3 holds 3 checkpoints, one is wanted: name the file"):
        context.open_point("3")


def test_there_are_no_validation_data_unless_a_run_has_some() -> None:
    assert Context().validation is None
