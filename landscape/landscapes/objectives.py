"""Losses as sums with their denominators, so that batches of any size add up to the right mean."""

from __future__ import annotations

import hashlib
import inspect
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from landscape.errors import CheckpointError
from landscape.landscapes.batch_parts import num_samples

__all__ = [
    "Measure",
    "Objective",
    "as_objective",
    "bce",
    "cross_entropy",
    "measured",
    "mse",
    "training_step_objective",
]

IGNORED = -100
"""The target that torch's cross-entropy leaves out by default."""

TARGET_KEYS = ("y", "target", "targets", "label", "labels")

Measure = Callable[[nn.Module, Any], Any]
"""``measure(model, batch) -> (sum, weight)``: a loss, or a number of wrong answers."""


@dataclass(frozen=True)
class Objective:
    """What is summed over the data.

    Attributes
    ----------
    name
        What the output calls it.
    loss
        ``loss(model, batch) -> (sum of losses, weight)``. The weight is the loss's own denominator: samples; tokens
        that count; elements for element-wise means. The energy of a landscape is the sum over all batches of the first
        over the sum of the second.
    error
        ``error(model, batch) -> (number wrong, weight)``, where there is a right and a wrong.
    """

    name: str
    loss: Measure
    error: Measure | None = None

    @property
    def fingerprint(self) -> str:
        """A hash of the names and, where Python has it, of the source of the loss."""
        function = inspect.unwrap(self.loss)
        owner = function if hasattr(function, "__qualname__") else type(function)
        try:
            source = inspect.getsource(function)
        except (OSError, TypeError):
            source = ""
        identity = f"{self.name}|{owner.__module__}:{owner.__qualname__}|{source}"
        return hashlib.sha256(identity.encode()).hexdigest()


def as_objective(value: Any) -> Objective:
    """An objective from itself, or from a function ``(model, batch) -> (sum of losses, weight)``."""
    if isinstance(value, Objective):
        return value
    if not callable(value) or isinstance(value, type):
        raise CheckpointError(
            f"{value!r} is no objective: wanted cross_entropy, mse, bce or a function (model, batch) -> (sum, weight)"
        )
    owner = value if hasattr(value, "__qualname__") else type(value)
    return Objective(f"{owner.__module__}:{owner.__qualname__}", value)


def measured(measure: Measure, model: nn.Module, batch: Any) -> tuple[Tensor, Tensor]:
    """``(sum, weight)`` as two scalar tensors, the weight in float64; refuses anything else."""
    value = measure(model, batch)
    if not (isinstance(value, tuple | list) and len(value) == 2 and isinstance(value[0], Tensor)):
        name = getattr(measure, "__qualname__", repr(measure))
        raise CheckpointError(
            f"objective {name} returned {_described(value)}; wanted (sum of losses, weight), "
            "as in `return loss.sum(), len(y)`"
        )
    total, weight = value
    if total.numel() != 1:
        raise CheckpointError(f"an objective returned a sum of shape {tuple(total.shape)}; wanted a scalar: sum it up")
    return total.reshape(()), torch.as_tensor(weight, dtype=torch.float64, device=total.device).reshape(())


def _described(value: Any) -> str:
    return f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__


def _output_and_target(model: nn.Module, batch: Any) -> tuple[Tensor, Tensor]:
    """The model's answer to a batch and what was wanted.

    The last element of a tuple is the target, the others are the model's inputs. In a mapping the target is called
    ``y``, ``target(s)`` or ``label(s)``; a single other entry is the input, several are passed by name.
    """
    if isinstance(batch, tuple | list) and len(batch) >= 2:
        output, target = model(*batch[:-1]), batch[-1]
    elif isinstance(batch, Mapping) and (key := next((k for k in TARGET_KEYS if k in batch), None)):
        inputs, target = {k: v for k, v in batch.items() if k != key}, batch[key]
        output = model(*inputs.values()) if len(inputs) == 1 else model(**inputs)
    else:
        raise CheckpointError(
            f"a batch of type {type(batch).__name__} has no target: wanted (input, target) or a mapping with one of "
            f"{', '.join(TARGET_KEYS)}; for other batches pass --objective FILE.py:FUNCTION"
        )
    return getattr(output, "logits", output), target


def _class_scores(model: nn.Module, batch: Any) -> tuple[Tensor, Tensor]:
    """Logits with the classes in dimension 1, and targets.

    Classes are looked for in dimension 1, as torch has them, then in the last one, as language models have them.
    """
    logits, target = _output_and_target(model, batch)
    if logits.ndim == target.ndim + 1:
        if (logits.shape[0], *logits.shape[2:]) == target.shape:
            return logits, target
        if logits.shape[:-1] == target.shape:
            return logits.movedim(-1, 1), target
    raise CheckpointError(
        f"cross_entropy: the model's answer has shape {tuple(logits.shape)}, the targets {tuple(target.shape)}; "
        "wanted one score per class for each target. For a regression pass --objective mse"
    )


def _cross_entropy(model: nn.Module, batch: Any) -> tuple[Tensor, Tensor]:
    logits, target = _class_scores(model, batch)
    return F.cross_entropy(logits, target, reduction="sum", ignore_index=IGNORED), (target != IGNORED).sum()


def _misclassified(model: nn.Module, batch: Any) -> tuple[Tensor, Tensor]:
    logits, target = _class_scores(model, batch)
    counted = target != IGNORED
    return ((logits.argmax(1) != target) & counted).sum(), counted.sum()


def _elements(model: nn.Module, batch: Any, name: str) -> tuple[Tensor, Tensor]:
    """Outputs and targets of one shape; ``(N, 1)`` against ``(N,)`` is the same thing written twice."""
    output, target = _output_and_target(model, batch)
    if [n for n in output.shape if n != 1] != [n for n in target.shape if n != 1]:
        raise CheckpointError(
            f"{name}: the model's answer has shape {tuple(output.shape)}, the targets {tuple(target.shape)}; "
            "wanted the same. For class labels pass --objective cross_entropy"
        )
    return output, target.reshape(output.shape).to(output.dtype)


def _squared_error(model: nn.Module, batch: Any) -> tuple[Tensor, int]:
    output, target = _elements(model, batch, "mse")
    return F.mse_loss(output, target, reduction="sum"), output.numel()


def _binary_cross_entropy(model: nn.Module, batch: Any) -> tuple[Tensor, int]:
    output, target = _elements(model, batch, "bce")
    return F.binary_cross_entropy_with_logits(output, target, reduction="sum"), output.numel()


def _wrong_sign(model: nn.Module, batch: Any) -> tuple[Tensor, int]:
    output, target = _elements(model, batch, "bce")
    return ((output > 0) != (target > 0.5)).sum(), output.numel()


cross_entropy = Objective("cross_entropy", _cross_entropy, _misclassified)
"""Mean cross-entropy of logits; targets of -100 do not count. Error: the largest score is not the target's."""

mse = Objective("mse", _squared_error)
"""Mean squared error over all elements."""

bce = Objective("bce", _binary_cross_entropy, _wrong_sign)
"""Mean binary cross-entropy of logits over all elements. Error: the sign is not the target's."""


def training_step_objective(module: nn.Module) -> Objective:
    """The loss that a LightningModule was trained with.

    ``training_step(batch, 0)`` gives a mean and the weight is the batch size. A step whose mean is over something else
    (tokens, say) returns ``{"loss": mean, "weight": its denominator}``.
    """
    step: Callable[..., Any] = type(module).training_step  # type: ignore[attr-defined]
    takes_index = len(inspect.signature(step).parameters) > 2

    def loss(model: nn.Module, batch: Any) -> tuple[Tensor, Any]:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r"You are trying to `self\.log\(\)`")
            returned = step(model, batch, 0) if takes_index else step(model, batch)
        parts = returned if isinstance(returned, Mapping) else {"loss": returned}
        mean, weight = parts.get("loss"), parts.get("weight")
        if not isinstance(mean, Tensor) or mean.numel() != 1:
            raise CheckpointError(
                f"{type(module).__name__}.training_step returned {_described(returned)}; wanted the mean loss as a "
                'scalar or {"loss": mean, "weight": denominator}; or pass --objective'
            )
        weight = num_samples(batch) if weight is None else weight
        return mean.reshape(()) * weight, weight

    loss.__wrapped__ = step  # type: ignore[attr-defined]  # its source, not this one's, enters the fingerprint
    return Objective("training_step", loss)
