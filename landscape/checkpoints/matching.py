"""From a file's names to the model's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import takewhile

import torch
from torch import Tensor, nn

from landscape.checkpoints.checkpoint import Checkpoint
from landscape.errors import ArchitectureError, CheckpointError

__all__ = ["match", "state_of"]

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_WRAPPERS = frozenset({"module", "_orig_mod", "_fsdp_wrapped_module"})


def match(checkpoint: Checkpoint, model: nn.Module) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """A checkpoint's tensors under the model's names: trainable parameters, and everything else the model keeps.

    Wrappers (``module.`` of DDP and AveragedModel, ``_orig_mod.`` of torch.compile) and a prefix common to one side
    (``model.`` of a LightningModule) make no difference. Of tied weights one name is enough. Frozen parameters and
    persistent buffers come second. Whatever is missing, left over, of another shape or not finite is a CheckpointError,
    an ArchitectureError where the model does not fit.
    """
    wanted = model.state_dict(keep_vars=True)
    wanted = {name: tensor for name, tensor in wanted.items() if isinstance(tensor, Tensor)}
    groups = _aliases(wanted)
    renamed = _rename(checkpoint, wanted, groups)
    found = {
        name: _one_of(checkpoint, [renamed[alias] for alias in aliases if alias in renamed])
        for name, aliases in groups.items()
    }
    for name, tensor in found.items():
        _check(checkpoint, name, tensor, wanted[name])
    trainable = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    parameters = {name: found[name] for name, _ in model.named_parameters() if name in trainable}
    return parameters, {name: tensor for name, tensor in found.items() if name not in trainable}


def state_of(model: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What ``match`` found, under all names of the model's state dict: a tied tensor under each of its own."""
    wanted = {name: t for name, t in model.state_dict(keep_vars=True).items() if isinstance(t, Tensor)}
    groups = _aliases(wanted).items()
    return {alias: tensors[name] for name, aliases in groups for alias in aliases if name in tensors}


def _aliases(wanted: Mapping[str, Tensor]) -> dict[str, list[str]]:
    """Names that share one tensor, under the first of them, which is the one ``named_parameters`` gives."""
    first: dict[int, str] = {}
    groups: dict[str, list[str]] = {}
    for name, tensor in wanted.items():
        groups.setdefault(first.setdefault(id(tensor), name), []).append(name)
    return groups


def _rename(checkpoint: Checkpoint, wanted: Mapping[str, Tensor], groups: Mapping[str, list[str]]) -> dict[str, Tensor]:
    """The file's tensors under the model's names, by the renaming that leaves fewest differences: none, or an error."""
    given = {name: tensor for name, tensor in checkpoint.tensors.items() if isinstance(tensor, Tensor)}
    if "n_averaged" not in wanted:
        given.pop("n_averaged", None)
    theirs, ours = _unwrapped(given), _unwrapped(wanted)
    tries = [
        (_cut(theirs, prefix), _cut(ours, own)) for prefix in _prefixes(theirs.keys()) for own in _prefixes(ours.keys())
    ]
    theirs, ours = min(tries, key=lambda pair: len(pair[0].keys() ^ pair[1].keys()))
    renamed = {ours[short]: given[theirs[short]] for short in theirs if short in ours}
    missing = [name for name, aliases in groups.items() if not any(alias in renamed for alias in aliases)]
    unexpected = [theirs[short] for short in theirs if short not in ours]
    if missing or unexpected:
        raise ArchitectureError(
            f"{checkpoint.path}: {_listed('lacks', missing)}{_listed('has unknown', unexpected)}{_ADVICE}"
        )
    return renamed


_ADVICE = "is it from another architecture? Check --model and its arguments"


def _listed(verb: str, names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{verb} {', '.join(map(repr, names[:3]))}{more}; " if names else ""


def _unwrapped(names: Iterable[str]) -> dict[str, str]:
    """Original names by what is left of them without wrappers; as they are if two would become one."""
    names = list(names)
    short = {".".join(part for part in name.split(".") if part not in _WRAPPERS): name for name in names}
    return short if len(short) == len(names) else {name: name for name in names}


def _prefixes(names: Iterable[str]) -> list[str]:
    """Dotted prefixes that all names share, the empty one first."""
    parents = [name.split(".")[:-1] for name in names]
    common = [parts[0] for parts in takewhile(lambda parts: len(set(parts)) == 1, zip(*parents, strict=False))]
    return ["".join(f"{part}." for part in common[:length]) for length in range(len(common) + 1)]


def _cut(names: Mapping[str, str], prefix: str) -> dict[str, str]:
    return {short.removeprefix(prefix): name for short, name in names.items()}


def _one_of(checkpoint: Checkpoint, copies: list[Tensor]) -> Tensor:
    if any(not torch.equal(copies[0], other) for other in copies[1:]):
        raise CheckpointError(f"{checkpoint.path}: weights that the model ties differ in the file; check --model")
    return copies[0]


def _check(checkpoint: Checkpoint, name: str, found: Tensor, wanted: Tensor) -> None:
    if nn.parameter.is_lazy(wanted):
        raise CheckpointError(f"{name!r} of the model has no shape yet; run one batch through it where it is made")
    if found.shape != wanted.shape:
        raise ArchitectureError(
            f"{checkpoint.path}: {name!r} has shape {tuple(found.shape)}, the model has {tuple(wanted.shape)}; "
            f"was it trained with other layer sizes? Check --model and its arguments"
        )
    if found.is_meta or (wanted.is_floating_point() and found.dtype not in _FLOATS):
        stored = "without its numbers (device meta)" if found.is_meta else f"as {found.dtype}"
        raise CheckpointError(f"{checkpoint.path}: {name!r} is stored {stored}; wanted 16, 32 or 64 bit floating point")
    if found.is_floating_point() and not bool(found.isfinite().all()):
        raise CheckpointError(f"{checkpoint.path}: {name!r} holds NaN or infinite weights; take an earlier checkpoint")
