"""Groups that the user wrote down: what they mean, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from symmetry_nets import BY_NAME

from landscape.errors import UsageError
from landscape.landscapes.analytic import AnalyticLandscape
from landscape.landscapes.protocol import LandscapeInfo
from landscape.parameters import ParameterSpace
from landscape.symmetry.discovery import symmetry_of
from landscape.symmetry.groups import Symmetry
from landscape.symmetry.specification import written_groups


def written(net: str, *groups: Any) -> Symmetry:
    return symmetry_of(BY_NAME[net].landscape(), {"groups": list(groups)}, rng=torch.Generator().manual_seed(0))


NORM = ["5.weight:0", "5.bias:0", "5.running_mean:0", "5.running_var:0"]

SAME = [
    ("mlp", "0", {"axes": ["0.weight:0", "0.bias:0", "2.weight:1"]}),
    ("mlp", "2", {"axes": ["2.weight:-2", "2.bias:-1", "4.weight:-1"], "size": 7}),
    ("cnn", "4", {"axes": ["4.weight:0", "4.bias:0", *NORM, {"tensor": "9.weight", "dim": 1, "block": 4}]}),
    (
        "concatenation",
        "right",
        {"size": 3, "axes": ["right.weight:0", "right.bias:0", {"tensor": "join.weight", "dim": 1, "offset": 4}]},
    ),
    (
        "lstm",
        "core.l0",
        {
            "axes": [
                *(
                    {"tensor": f"core.{name}_l0", "dim": 0, "segments": 4}
                    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
                ),
                "core.weight_hh_l0:1",
                "out.weight:1",
            ]
        },
    ),
    (
        "fused attention",
        "blocks.0.attention heads",
        {
            "size": 2,
            "axes": [
                {"tensor": "blocks.0.attention.qkv.weight", "dim": 0, "block": 4, "segments": 3},
                {"tensor": "blocks.0.attention.qkv.bias", "dim": 0, "block": 4, "segments": 3},
                {"tensor": "blocks.0.attention.proj.weight", "dim": 1, "block": 4},
            ],
        },
    ),
]


@pytest.mark.parametrize(("net", "name", "group"), SAME)
def test_a_written_group_is_the_one_that_is_found(net: str, name: str, group: dict[str, Any]) -> None:
    """Places, roles and whether it can be rescaled."""
    (mine,) = written(net, {"name": name, **group}).groups
    found = symmetry_of(BY_NAME[net].landscape(), rng=torch.Generator().manual_seed(0))
    theirs = {group.name: group for group in found.groups}[name]
    assert (mine.size, mine.homogeneous) == (theirs.size, theirs.homogeneous)
    assert {(a.tensor, a.dim): (a.role, a.index.tolist()) for a in mine.axes} == {
        (a.tensor, a.dim): (a.role, a.index.tolist()) for a in theirs.axes
    }


def test_a_role_can_be_given() -> None:
    axes = [{"tensor": "0.weight", "dim": 0, "role": "affine"}, "0.bias:0", "2.weight:1"]
    (group,) = written("mlp", {"axes": axes}).groups
    assert [axis.role for axis in group.axes] == ["affine", "out", "in"]
    assert not group.homogeneous  # the bias is not scaled with the rest


HIDDEN = ["0.weight:0", "0.bias:0", "2.weight:1"]

WRONG = [
    ([{"axes": ["0.weight:0", "0.bias:0"]}], ["'group 1'", "permuting its 8 units along 0.weight:0, 0.bias:0 changes"]),
    ([{"name": "h", "axes": ["0.weight:0", "2.weight:1"]}], ["'h'", "changes the function"]),
    ([{"axes": ["4.weight:0", "4.bias:0"]}], ["changes the function"]),
    ([{"axes": ["0.weigth:0"]}], ["no tensor '0.weigth'", "Did you mean '0.weight'?"]),
    ([{"axes": ["0.weight:2"]}], ["shape (8, 6) and no dimension 2"]),
    ([{"axes": ["0.weight"]}], ["'0.weight' is no axis", "tensor:dimension"]),
    ([{"axes": ["0.weight:0", "2.weight:0"]}], ["2.weight:0", "8 units", "the dimension has 7"]),
    ([{"axes": [{"tensor": "0.weight", "dim": 0, "block": 3}]}], ["0.weight:0", "are 6, the dimension has 8"]),
    ([{"axes": [{"tensor": "0.weight", "dim": 0, "block": 0}]}], ["at least 1"]),
    ([{"axes": [{"tensor": "0.weight", "dim": 0, "blocks": 3}]}], ["unknown key 'blocks'", "'block'"]),
    ([{"axes": [{"tensor": "0.weight", "dim": "0"}]}], ["dim is '0', wanted a whole number"]),
    ([{"axes": [{"tensor": "0.weight", "dim": False}]}], ["dim is False"]),
    ([{"axes": [{"tensor": "0.weight"}]}], ["'dim' is missing"]),
    ([{"axes": [{"tensor": "0.weight", "dim": 0, "role": "inn"}]}], ["role 'inn'", "Did you mean 'in'?"]),
    ([{"axes": "0.weight:0"}], ["axes is '0.weight:0', wanted a list"]),
    ([{"axes": []}], ["no axes"]),
    ([{"axes": HIDDEN, "size": 1}], ["1 unit;"]),
    ([{"axes": HIDDEN, "size": 9}], ["9 units", "the dimension has 8"]),
    ([{"name": "h"}], ["'axes' is missing"]),
    (["0.weight:0"], ["group 1", "wanted a mapping"]),
    ([{"name": "h", "axes": HIDDEN}, {"name": "h", "axes": HIDDEN}], ["two groups are called 'h'"]),
    ([], ["no groups"]),
]


@pytest.mark.parametrize(("groups", "said"), WRONG)
def test_what_does_not_fit_is_refused_in_one_line(groups: list[Any], said: list[str]) -> None:
    with pytest.raises(UsageError) as refusal:
        written("mlp", *groups)
    assert str(refusal.value).startswith("symmetry file")
    assert "\n" not in str(refusal.value)
    for words in said:
        assert words in str(refusal.value)


@pytest.mark.parametrize("specification", [[], {"group": []}, {}])
def test_a_specification_is_a_mapping_with_groups(specification: Any) -> None:
    with pytest.raises(UsageError, match="symmetry file: "):
        written_groups(specification, BY_NAME["mlp"].model(), {})


def test_a_formula_takes_no_specification() -> None:
    bowl = AnalyticLandscape(
        lambda x: x.square().sum(),
        ParameterSpace(("x",), ((2,),)),
        LandscapeInfo("bowl", "energy"),
        lambda rng: torch.randn(2, generator=rng),
    )
    with pytest.raises(UsageError, match="bowl is a formula"):
        symmetry_of(bowl, {"groups": []}, rng=torch.Generator())


def test_a_group_that_moves_what_is_frozen_is_refused() -> None:
    model = BY_NAME["mlp"].model()
    model[2].requires_grad_(False)
    with pytest.raises(UsageError, match=r"'2\.weight' is frozen"):
        symmetry_of(BY_NAME["mlp"].landscape(model), {"groups": [{"axes": HIDDEN}]}, rng=torch.Generator())
