"""From the options of ``neb`` to a path finder and its own options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, get_args, get_type_hints

from landscape.analysis import Context, PathFinder
from landscape.errors import UsageError, did_you_mean
from landscape_neb.options import NebOptions

__all__ = ["chosen"]

_SHARED = ("max_gradients", "climb", "connected_below", "tolerance")
_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", type(None): "null"}


def chosen(options: NebOptions, num_pairs: int, context: Context) -> tuple[PathFinder, Any]:
    """The finder asked for and an instance of its options: what they share, then ``finder_options``."""
    finder = context.finder(options.preset or options.finder)
    known = {field.name for field in fields(finder.options)}
    for name in options.finder_options:
        if name not in known:
            raise UsageError(
                f"--neb.finder_options: the finder {finder.name!r} has no option {name!r}"
                f"{did_you_mean(name, known)} It has: {', '.join(sorted(known))}"
            )
        if name in _SHARED:
            raise UsageError(f"--neb.finder_options: {name} is an option of neb itself: say --neb.{name}")
    _check_types(finder, options.finder_options)
    shared = {name: getattr(options, name) for name in _SHARED if name in known}
    if "max_gradients" in shared:
        shared["max_gradients"] = _budget(options, num_pairs)
    for name in ("climb", "connected_below"):
        if name not in known and getattr(options, name) not in (None, False):
            raise UsageError(f"--neb.{name}: the finder {finder.name!r} does not offer it; leave it out")
    if options.start is not None and not finder.starts:
        able = ", ".join(sorted(f.name for f in context.finders.values() if f.starts))
        raise UsageError(f"--neb.start: the finder {finder.name!r} begins from its ends alone; take one of {able}")
    try:
        return finder, finder.options(**{**shared, **options.finder_options})
    except (TypeError, ValueError) as error:
        raise UsageError(f"--neb.finder_options: {error}") from None


def _check_types(finder: PathFinder, given: Mapping[str, Any]) -> None:
    """Refuse a value that is not of its option's type; a whole number is a number, too."""
    for name, hint in get_type_hints(finder.options).items():
        types = get_args(hint) or (hint,)
        allowed = {*types, int} if float in types else set(types)
        if name in given and allowed <= _WORDS.keys() and type(given[name]) not in allowed:
            wanted = " or ".join(_WORDS[kind] for kind in types)
            raise UsageError(f"--neb.finder_options: {name} is {given[name]!r:.40}, wanted {wanted}")


def _budget(options: NebOptions, num_pairs: int) -> int:
    """Gradient evaluations of one pair."""
    if options.max_total_gradients is None:
        return options.max_gradients
    share = options.max_total_gradients // num_pairs
    if share < 1:
        raise UsageError(
            f"--neb.max_total_gradients {options.max_total_gradients} leaves none for each of {num_pairs} pairs: "
            f"give at least {num_pairs}"
        )
    return min(options.max_gradients, share)
