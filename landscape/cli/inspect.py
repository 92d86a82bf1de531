"""``landscape inspect CKPT``: what a file holds, how it would be rebuilt, its loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from landscape.cli.flags import add_loading_flags, load_options, new_parser, parse, recipe, sort_words
from landscape.errors import LandscapeError, UsageError

__all__ = ["run"]

UNKNOWN = {
    "model": "not known: say --model",
    "data": "not known: say --data",
    "objective": "a LightningModule's training_step (a mean, weighted by the batch size unless it returns a weight), "
    "else say --objective",
}


def run(arguments: Sequence[str], *, debug: bool) -> int:
    """Print what a checkpoint is; 3 or 4 if it cannot be read."""
    words = sort_words(arguments)
    parser = new_parser("inspect", "What a checkpoint holds, how it would be rebuilt, its loss.")
    parser.add_argument("--config", action="config", help="a YAML file with these options")
    parser.add_argument("checkpoints", nargs="+", type=str, help="a file, a folder, a glob or zoo:NAME")
    add_loading_flags(parser)
    given = parse(parser, words.rest)
    if words.plugins:
        raise UsageError("inspect runs no plugin: leave out --plugin, or take `landscape analyze`")
    from landscape.registry import registry

    named = recipe(given, words)
    options = load_options(given)
    if not any(registry().scheme(name) for name in given.checkpoints):
        _print_files(given.checkpoints, named, options)
    _print_loss(given.checkpoints, named, options, debug)
    return 0


def _print_files(names: Sequence[str], named: Any, options: Any) -> None:
    from landscape.checkpoints.files import expand, read
    from landscape.checkpoints.recipe import PARTS
    from landscape.checkpoints.yaml_recipes import working_folder_recipe
    from landscape.registry import registry

    for path in expand(list(names)):
        checkpoint = read(path, registry().formats, trust=options.trust)
        tensors = checkpoint.tensors
        size = sum(tensor.numel() for tensor in tensors.values())
        dtypes = ", ".join(sorted({str(tensor.dtype).removeprefix("torch.") for tensor in tensors.values()}))
        print(f"{path}\n  {checkpoint.container}: {len(tensors)} tensors, {size:,} numbers, {dtypes}")
        if checkpoint.step is not None:
            print(f"  step {checkpoint.step:,}")
        if checkpoint.hyper_parameters:
            print("  hyperparameters " + ", ".join(f"{k}={v!r}" for k, v in checkpoint.hyper_parameters.items()))
        whole = named.or_else(checkpoint.recipe).or_else(working_folder_recipe())
        for part in PARTS:
            spec = getattr(whole, part)
            print(f"  {part.ljust(9)} " + (f"{spec.in_words()}   from {spec.named_by}" if spec else UNKNOWN[part]))


def _print_loss(names: Sequence[str], named: Any, options: Any, debug: bool) -> None:
    from landscape.cli.tables import landscape_line
    from landscape.run.loading import load_points

    try:
        loaded = load_points(names, named, options)
    except LandscapeError as error:
        if debug:
            raise
        print(f"  loss not known: {error}")
        return
    print(landscape_line(loaded.landscape, loaded.measured))
    for point, one in zip(loaded.points, loaded.measured, strict=True):
        wrong = "" if one.error is None else f"   error {one.error:.4g}"
        print(f"  {point.id}   loss {one.loss:.6g}{wrong}   hash {point.hash[:12]}")
