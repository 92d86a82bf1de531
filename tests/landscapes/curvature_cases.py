"""The table of small networks whose curvature is held against dense references.

Each case has all its data in one batch, an objective as a user would write it, and the same mean loss in plain PyTorch,
taken apart into the network's outputs and the loss of these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from curvature_models import (
    Cascade,
    CausalModel,
    Loose,
    Residual,
    Steps,
    TwoHeads,
    WithLoss,
    autoencoder,
    bidirectional,
    depthwise,
    frozen,
    group_norm,
    instance_norm,
    last_state,
    masked,
    mlp,
    packed,
    tied_autoencoder,
    unrolled,
    upsampled,
)
from dense import double_reverse, flat, gauss_newton
from network_cases import CASES, RAGGED, SAMPLES, Apply
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from landscape.landscapes.batch_parts import map_tensors
from landscape.landscapes.batches import Batches
from landscape.landscapes.network import NetworkLandscape
from landscape.landscapes.objectives import Objective, cross_entropy, mse, training_step_objective
from landscape.parameters import Point

__all__ = ["CURVATURE_CASES", "CurvatureCase"]

Outputs = tuple[Tensor, ...]
Function = Callable[[Tensor], Tensor]


def _all_but_the_last(call: Callable[..., Any], batch: Any) -> Outputs:
    return (call(*batch[:-1]),)


def _mean(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Outputs, Any], Tensor]:
    """A loss of the only output and the last element of the batch."""
    return lambda z, batch: function(z[0], batch[-1])


_mean_cross_entropy = _mean(F.cross_entropy)


@dataclass(frozen=True, eq=False)
class CurvatureCase:
    """A network, its data and its loss, twice.

    Attributes
    ----------
    model
        Builds the network.
    data
        Draws all samples as one batch of any kind.
    objective
        The loss as the landscape gets it, or a function of the model.
    outputs
        ``outputs(call, batch)``: what the loss is a convex function of.
    loss
        ``loss(outputs, batch)``: the mean over all samples, in plain PyTorch.
    """

    name: str
    model: Callable[[], nn.Module]
    data: Callable[[], Any]
    objective: Objective | Callable[[nn.Module], Objective] = cross_entropy
    outputs: Callable[[Callable[..., Any], Any], Outputs] = _all_but_the_last
    loss: Callable[[Outputs, Any], Tensor] = _mean_cross_entropy

    def network(self, dtype: torch.dtype = torch.float64) -> nn.Module:
        torch.manual_seed(0)
        return self.model().double().eval().to(dtype)

    def batch(self) -> Any:
        torch.manual_seed(1)
        return self.data()

    def landscape(self, sizes: Sequence[int] = RAGGED, dtype: torch.dtype = torch.float64) -> NetworkLandscape:
        model, ends = self.network(dtype), torch.tensor(sizes).cumsum(0).tolist()
        single = torch.promote_types(dtype, torch.float32)
        batch = map_tensors(self.batch(), lambda t: t.to(single) if t.is_floating_point() else t)
        cut = [map_tensors(batch, lambda t: t[e - n : e]) for n, e in zip(sizes, ends, strict=True)]  # noqa: B023
        objective = self.objective if isinstance(self.objective, Objective) else self.objective(model)
        return NetworkLandscape(model, objective, Batches(tuple(cut), sum(sizes), "made up", "data"))

    def point(self, dtype: torch.dtype = torch.float64) -> Point:
        model = self.network(dtype)
        return Point(flat(model)[0], self.name, dict(model.named_buffers()))

    @cache  # noqa: B019
    def dense(self, matrix: str) -> Tensor:
        """The Hessian or the generalised Gauss-Newton matrix of the mean loss, from all samples at once."""
        x, energy, outputs, loss = self.functions()
        return gauss_newton(outputs, loss, x) if matrix == "ggn" else double_reverse(energy, x)

    def functions(self) -> tuple[Tensor, Function, Function, Function]:
        """The parameters x as one vector; energy(x); outputs z(x) as one vector; loss(z), which makes the energy."""
        (x, at), batch = flat(self.network()), self.batch()
        shapes = [z.shape for z in self.outputs(at(x), batch)]

        def outputs(x: Tensor) -> Tensor:
            return torch.cat([z.reshape(-1) for z in self.outputs(at(x), batch)])

        def loss(z: Tensor) -> Tensor:
            parts = z.split([shape.numel() for shape in shapes])
            return self.loss(tuple(part.view(shape) for part, shape in zip(parts, shapes, strict=True)), batch)

        return x, lambda x: loss(outputs(x)), outputs, loss


def normal(*shape: int) -> Tensor:
    return torch.randn(SAMPLES, *shape, dtype=torch.float64)


def labels(classes: int = 3, *shape: int) -> Tensor:
    return torch.randint(classes, (SAMPLES, *shape))


def summed(loss: Callable[[Any, Any], Tensor]) -> Objective:
    """An objective from a sum over samples."""
    return Objective(loss.__name__, lambda model, batch: (loss(model(batch[0]), batch[1]), len(batch[1])))


def _vectors() -> Any:
    return normal(6), labels()


def _images() -> Any:
    return normal(1, 6, 6), labels()


def _sequences() -> Any:
    return normal(4, 3), labels()


def _words() -> Any:
    return labels(7, 4), labels()


# Losses, with the data that they want


def _text() -> Any:
    """Next words, of which each text has another number that counts."""
    words = labels(7, 5)
    targets = words[:, 1:].clone()
    targets[torch.arange(4) >= torch.randint(1, 5, (SAMPLES, 1))] = -100
    return words[:, :-1], targets


def _own_loss(model: nn.Module, batch: Any) -> tuple[Tensor, Tensor]:
    count = (batch["labels"] != -100).sum()
    return model(**batch).loss * count, count


def _per_token(z: Outputs, batch: Any) -> Tensor:
    return F.cross_entropy(z[0].movedim(-1, 1), batch[1])


def _padded() -> Any:
    return normal(4, 4), torch.arange(4) >= torch.randint(1, 5, (SAMPLES, 1)), labels()


def _both(model: nn.Module, batch: Any) -> tuple[Tensor, int]:
    x, y, value = batch
    found = model(x)
    classes, values = found.values() if isinstance(found, dict) else found
    loss = F.cross_entropy(classes, y, reduction="sum") + 0.5 * F.mse_loss(values, value, reduction="sum")
    return loss, len(y)


def _mean_both(z: Outputs, batch: Any) -> Tensor:
    return F.cross_entropy(z[0], batch[1]) + 0.5 * (z[1] - batch[2]).square().sum(1).mean()


def _known_and_own(model: nn.Module, batch: Any) -> tuple[Tensor, int]:
    """A loss that torch has a name for, and a term that it has none for, on another output."""
    classes, values = model(batch[0])
    return F.cross_entropy(classes, batch[1], reduction="sum") + (values - batch[2]).square().sum() / 2, len(batch[1])


def _several_targets() -> Any:
    return normal(6), labels(), normal(2)


def _huber_of_two(model: nn.Module, batch: Any) -> tuple[Tensor, int]:
    one, two = model(batch[0])
    return F.huber_loss(one, batch[2], reduction="sum") + (two - batch[3]).cosh().log().sum(), len(one)


def _both_guesses(model: nn.Module, batch: Any) -> tuple[Tensor, int]:
    return sum(F.cross_entropy(z, batch[1], reduction="sum") for z in model(batch[0])), len(batch[1])


@dataclass
class Pairs:
    x: Tensor
    y: Tensor


def _of_pairs(model: nn.Module, batch: Pairs) -> tuple[Tensor, int]:
    return F.cross_entropy(model(batch.x), batch.y, reduction="sum"), len(batch.y)


def _poisson(z: Tensor, counts: Tensor) -> Tensor:
    return F.poisson_nll_loss(z, counts, reduction="sum")


def _huber(z: Tensor, target: Tensor) -> Tensor:
    return F.huber_loss(z, target, reduction="sum", delta=0.7)


def _smoothed(z: Tensor, target: Tensor) -> Tensor:
    return F.cross_entropy(z, target, reduction="sum", label_smoothing=0.1)


def _soft_labels(z: Tensor, target: Tensor) -> Tensor:
    return F.cross_entropy(z, target, reduction="sum")


def _log_likelihood(z: Tensor, target: Tensor) -> Tensor:
    return F.nll_loss(F.log_softmax(z, dim=1), target, reduction="sum")


def _gathered(z: Tensor, target: Tensor) -> Tensor:
    return -z.log_softmax(1).gather(1, target[:, None]).sum()


def _last_logarithms(z: Tensor, target: Tensor) -> Tensor:
    return F.nll_loss(z, target, reduction="sum")


CLASS_WEIGHTS = torch.tensor([0.2, 1.0, 3.0], dtype=torch.float64)


def _weighted(model: nn.Module, batch: Any) -> tuple[Tensor, Tensor]:
    x, y = batch
    weights = CLASS_WEIGHTS.to(x.dtype)
    return F.cross_entropy(model(x), y, weights, reduction="sum"), weights[y].sum()


def _share_of_sum(model: nn.Module, batch: Any) -> tuple[Tensor, float]:
    """The sum over all samples: the denominators of the batches add up to one."""
    x, y = batch
    return F.mse_loss(model(x), y, reduction="sum"), len(y) / SAMPLES


def _physics(model: nn.Module, batch: Any) -> tuple[Tensor, int]:
    """u'' + u = f at random places: a loss with derivatives of the network in the inputs."""
    with torch.enable_grad():
        residual = _residual(model, batch)
    return F.mse_loss(residual, torch.zeros_like(residual), reduction="sum"), len(residual)


def _residual(call: Callable[..., Any], batch: Any) -> Tensor:
    x = batch[0].clone().requires_grad_()
    u = call(x)
    (slope,) = torch.autograd.grad(u.sum(), x, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), x, create_graph=True)
    return curvature + u - batch[1]


CURVATURE_CASES = [
    *(CurvatureCase(case.name, case.model, case.data, case.objective, loss=_mean(case.mean)) for case in CASES),
    CurvatureCase(
        "deep relu in place",
        lambda: nn.Sequential(
            nn.Linear(6, 5), nn.ReLU(inplace=True), nn.Linear(5, 5), nn.ReLU(inplace=True), nn.Linear(5, 3)
        ),
        _vectors,
    ),
    CurvatureCase("prelu", lambda: mlp(lambda: nn.PReLU(5)), _vectors),
    CurvatureCase("bilinear", lambda: Apply(lambda m, x, y: m.core(x, y), core=nn.Bilinear(4, 2, 3)), CASES[11].data),
    CurvatureCase("residual", Residual, _images),
    CurvatureCase("depthwise, average pooling", depthwise, lambda: (normal(2, 6, 6), labels())),
    CurvatureCase("group norm", group_norm, _images),
    CurvatureCase("instance norm", instance_norm, lambda: (normal(2, 5), labels())),
    CurvatureCase(
        "autoencoder",
        autoencoder,
        lambda: (x := normal(1, 4, 4), x),
        mse,
        loss=_mean(F.mse_loss),
    ),
    CurvatureCase("one class per pixel", upsampled, lambda: (normal(1, 4, 4), labels(3, 4, 4))),
    CurvatureCase(
        "plain rnn",
        lambda: Apply(last_state, core=nn.RNN(3, 4, batch_first=True, nonlinearity="relu"), out=nn.Linear(4, 3)),
        _sequences,
    ),
    CurvatureCase(
        "lstm, two layers, both ways",
        lambda: Apply(bidirectional, core=nn.LSTM(2, 1, 2, batch_first=True, bidirectional=True), out=nn.Linear(4, 3)),
        lambda: (normal(3, 2), labels()),
    ),
    CurvatureCase(
        "gru, packed",
        lambda: Apply(packed, core=nn.GRU(3, 3, batch_first=True), out=nn.Linear(3, 3)),
        lambda: (normal(4, 3), torch.randint(1, 5, (SAMPLES,)), labels()),
    ),
    CurvatureCase("gru cell", lambda: Apply(unrolled, cell=nn.GRUCell(3, 3), out=nn.Linear(3, 3)), _sequences),
    CurvatureCase(
        "masked transformer, norm first",
        lambda: Apply(
            masked, core=nn.TransformerEncoderLayer(4, 2, 3, batch_first=True, norm_first=True), out=nn.Linear(4, 3)
        ),
        _padded,
    ),
    CurvatureCase("language model", CausalModel, _text, loss=_per_token),
    CurvatureCase(
        "language model with its loss",
        WithLoss,
        lambda: dict(zip(("input_ids", "labels"), _text(), strict=True)),
        Objective("own", _own_loss),
        lambda call, batch: (call(**batch).logits,),
        lambda z, batch: F.cross_entropy(z[0].movedim(-1, 1), batch["labels"]),
    ),
    CurvatureCase("training step over tokens", Steps, _text, training_step_objective, loss=_per_token),
    CurvatureCase(
        "embedding, max pooling",
        lambda: Apply(
            lambda m, x: m.out(torch.tanh(m.embed(x)).amax(1)), embed=nn.Embedding(7, 4), out=nn.Linear(4, 3)
        ),
        _words,
    ),
    CurvatureCase(
        "tied autoencoder",
        lambda: Apply(tied_autoencoder, code=nn.Linear(6, 3)),
        lambda: (x := normal(6), x),
        mse,
        loss=_mean(F.mse_loss),
    ),
    CurvatureCase(
        "two outputs in a tuple",
        lambda: TwoHeads(False),
        _several_targets,
        Objective("both", _both),
        lambda call, batch: call(batch[0]),
        _mean_both,
    ),
    CurvatureCase(
        "two outputs in a dict",
        lambda: TwoHeads(True),
        _several_targets,
        Objective("both", _both),
        lambda call, batch: tuple(call(batch[0]).values()),
        _mean_both,
    ),
    CurvatureCase(
        "two outputs, general convex loss",
        lambda: TwoHeads(False),
        lambda: (*_several_targets()[:2], normal(3), normal(2)),
        Objective("huber of two", _huber_of_two),
        lambda call, batch: call(batch[0]),
        lambda z, batch: (
            F.huber_loss(z[0], batch[2], reduction="none").sum(1) + (z[1] - batch[3]).cosh().log().sum(1)
        ).mean(),
    ),
    CurvatureCase(
        "a known loss and a term of one's own",
        lambda: TwoHeads(False),
        _several_targets,
        Objective("known and own", _known_and_own),
        lambda call, batch: call(batch[0]),
        _mean_both,
    ),
    CurvatureCase(
        "an output made from another",
        Cascade,
        _vectors,
        Objective("both guesses", _both_guesses),
        lambda call, batch: call(batch[0]),
        lambda z, batch: F.cross_entropy(z[0], batch[1]) + F.cross_entropy(z[1], batch[1]),
    ),
    CurvatureCase(
        "dict batch",
        mlp,
        lambda: dict(zip(("x", "label"), _vectors(), strict=True)),
        outputs=lambda call, batch: (call(batch["x"]),),
        loss=lambda z, batch: F.cross_entropy(z[0], batch["label"]),
    ),
    CurvatureCase(
        "dataclass batch",
        mlp,
        lambda: Pairs(*_vectors()),
        Objective("pairs", _of_pairs),
        lambda call, batch: (call(batch.x),),
        lambda z, batch: F.cross_entropy(z[0], batch.y),
    ),
    CurvatureCase(
        "summed loss",
        lambda: mlp(classes=2),
        lambda: (normal(6), normal(2)),
        Objective("sum", _share_of_sum),
        loss=_mean(lambda z, y: (z - y).square().sum()),
    ),
    CurvatureCase(
        "huber",
        lambda: mlp(classes=2),
        lambda: (normal(6), normal(2)),
        summed(_huber),
        loss=_mean(lambda z, y: F.huber_loss(z, y, reduction="none", delta=0.7).sum(1).mean()),
    ),
    CurvatureCase(
        "poisson",
        lambda: mlp(classes=2),
        lambda: (normal(6), torch.randint(4, (SAMPLES, 2)).double()),
        summed(_poisson),
        loss=_mean(lambda z, y: (z.exp() - y * z).sum(1).mean()),
    ),
    CurvatureCase(
        "label smoothing",
        mlp,
        _vectors,
        summed(_smoothed),
        loss=_mean(lambda z, y: -((0.9 * F.one_hot(y, 3).double() + 0.1 / 3) * z.log_softmax(1)).sum(1).mean()),
    ),
    CurvatureCase(
        "soft labels",
        mlp,
        lambda: (normal(6), normal(3).softmax(1)),
        summed(_soft_labels),
        loss=_mean(lambda z, y: -(y * z.log_softmax(1)).sum(1).mean()),
    ),
    CurvatureCase(
        "class weights",
        mlp,
        _vectors,
        Objective("weighted", _weighted),
        loss=_mean(lambda z, y: F.cross_entropy(z, y, CLASS_WEIGHTS)),
    ),
    CurvatureCase("nll of log-softmax", mlp, _vectors, summed(_log_likelihood)),
    CurvatureCase("gathered log-softmax", mlp, _vectors, summed(_gathered)),
    # The logits stay the outputs: log-softmax is idempotent and (diag p - p p^T) 1 = 0, so that the two matrices agree.
    CurvatureCase(
        "log-softmax in the model",
        lambda: nn.Sequential(*mlp(), nn.LogSoftmax(1)),
        _vectors,
        summed(_last_logarithms),
    ),
    CurvatureCase(
        "physics-informed",
        lambda: nn.Sequential(nn.Linear(1, 6), nn.Tanh(), nn.Linear(6, 1)),
        lambda: (normal(1), normal(1)),
        Objective("physics", _physics),
        lambda call, batch: (_residual(call, batch),),
        lambda z, batch: z[0].square().mean(),
    ),
    CurvatureCase("frozen parameters", frozen, _vectors),
    CurvatureCase("loose parameters", Loose, _vectors),
]
