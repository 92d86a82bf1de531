"""Which layers' channels belong together, from torch-pruning's dependency graph of a forward pass."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

__all__ = ["Coupling", "Member", "couplings"]

OPAQUE = (nn.RNNBase, nn.MultiheadAttention)
"""Layers that the graph must not look into: their own rules say what happens inside."""


@dataclass(frozen=True, eq=False)
class Member:
    """A layer, or a bare parameter, that takes part in a coupling.

    Attributes
    ----------
    layer
        The module or parameter.
    makes
        Whether its outputs are meant, not its inputs.
    channels
        Which of them belong to each unit of the coupling; none for a unit that the layer does not know.
    dim
        Of a parameter: the dimension in question.
    """

    layer: nn.Module | Tensor
    makes: bool
    channels: tuple[tuple[int, ...], ...]
    dim: int


@dataclass(frozen=True, eq=False)
class Coupling:
    """Channels of several layers that are one thing: a permutation of one must permute all.

    Attributes
    ----------
    size
        How many units there are.
    members
        The layers, that from which the graph was walked first.
    answers
        Whether the units are outputs of the network, whose order matters.
    """

    size: int
    members: tuple[Member, ...]
    answers: bool


def couplings(model: nn.Module, trace: Callable[[nn.Module], Sequence[Tensor]]) -> list[Coupling]:
    """All couplings that torch-pruning (Fang et al. 2023, DepGraph) finds in one forward and no backward pass.

    Parameters
    ----------
    model
        A copy to work on: its parameters are made trainable, and attention and recurrent layers opaque to autograd.
    trace
        Runs the model and returns its outputs with their graph.
    """
    import torch_pruning  # type: ignore[import-untyped]  # here, since it takes a second

    for parameter in model.parameters():
        parameter.requires_grad_(parameter.is_floating_point())
    opaque = [module for module in model.modules() if isinstance(module, OPAQUE)]
    for module in opaque:
        module.forward = _opaque_forward(module)  # type: ignore[method-assign]
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        graph = torch_pruning.DependencyGraph().build_dependency(
            model,
            None,
            forward_fn=lambda traced, _: list(trace(traced)),
            customized_pruners={type(module): _opaque_channels(torch_pruning) for module in opaque},
            verbose=False,
        )
        roots = (_ConvNd, nn.Linear, nn.Embedding, *OPAQUE)
        return [_coupling(graph, group) for group in graph.get_all_groups(root_module_types=roots)]


def _coupling(graph: Any, group: Any) -> Coupling:
    size = len(group[0].idxs)
    members, answers = [], False
    for item in group:
        node, makes = item.dep.target, graph.is_out_channel_pruning_fn(item.dep.handler)
        channels: list[list[int]] = [[] for _ in range(size)]
        for channel, unit in zip(item.idxs, item.root_idxs, strict=True):
            if unit is not None:  # it loses the units where keys and values are repeated over queries
                channels[unit].append(channel)
        members.append(Member(node.module, makes, tuple(tuple(sorted(c)) for c in channels), node.pruning_dim))
        answers |= makes and not node.outputs
    return Coupling(size, tuple(members), answers)


class _Opaque(torch.autograd.Function):
    """The identity on its first argument, which the graph takes for one operation on all the others."""

    @staticmethod
    def forward(ctx: Any, answer: Tensor, *parents: Tensor) -> Tensor:
        return answer.clone()


def _opaque_forward(module: nn.Module) -> Callable[..., Any]:
    """``forward`` as one operation in the graph; its first output stands for the others."""
    run = module.forward
    parameter = next(module.parameters())  # gives the answer a place in the graph where the inputs have none
    inputs_used = 1 if isinstance(module, nn.RNNBase) else 3

    def forward(*inputs: Any, **named: Any) -> Any:
        with torch.no_grad():
            first, *rest = run(*inputs, **named)
        given = [*inputs, *(named[name] for name in ("query", "key", "value", "input") if name in named)]
        seen = _Opaque.apply(first, parameter, *given[:inputs_used])  # type: ignore[no-untyped-call]
        return (seen, *_attached(rest, seen))

    return forward


def _attached(outputs: Sequence[Any], to: Tensor) -> Iterator[Any]:
    for output in outputs:
        if isinstance(output, tuple):
            yield tuple(_attached(output, to))
        else:
            yield _Opaque.apply(output, to) if isinstance(output, Tensor) else output  # type: ignore[no-untyped-call]


def _opaque_channels(torch_pruning: Any) -> Any:
    """How many channels an opaque layer has; that its inputs and outputs are distinct is all else that is wanted."""

    class OpaqueChannels(torch_pruning.BasePruningFunc):  # type: ignore[misc]
        def prune_out_channels(self, layer: Any, idxs: Any) -> Any:
            raise NotImplementedError

        def prune_in_channels(self, layer: Any, idxs: Any) -> Any:
            raise NotImplementedError

        def get_out_channels(self, layer: Any) -> int:
            if isinstance(layer, nn.MultiheadAttention):
                return layer.embed_dim
            return (layer.proj_size or layer.hidden_size) * (2 if layer.bidirectional else 1)

        def get_in_channels(self, layer: Any) -> int:
            return layer.embed_dim if isinstance(layer, nn.MultiheadAttention) else layer.input_size

    return OpaqueChannels()
