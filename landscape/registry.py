"""What is installed: analyses, path finders, sources and objectives, found through entry points.

Only hook modules are imported, each guarded: a broken plugin is reported by the name of its distribution and harms no
other.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

import landscape.hooks as specifications
from landscape.analysis import Analysis, NamedObjective, PathFinder, Source
from landscape.errors import UsageError, did_you_mean, one_line

__all__ = ["GROUP", "BrokenPlugin", "Registry", "collect", "registry"]

GROUP = "landscape.plugins"

RESERVED = frozenset(
    """plugin config out json pairs device dtype seed bn model data split objective batch_size max_samples workers
    scheduler strict trust debug print_config help""".split()
)
"""Names that are flags of the core: an analysis cannot take them."""

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@dataclass(frozen=True)
class BrokenPlugin:
    """A plugin that could not be used: which distribution ships it, and why, in one line."""

    distribution: str
    entry_point: str
    error: str


@dataclass(frozen=True)
class Registry:
    """All that the installed plugins offer, by name, and who ships it."""

    analyses: Mapping[str, Analysis] = field(default_factory=dict)
    path_finders: Mapping[str, PathFinder] = field(default_factory=dict)
    sources: Mapping[str, Source] = field(default_factory=dict)
    objectives: Mapping[str, NamedObjective] = field(default_factory=dict)
    shipped_by: Mapping[str, str] = field(default_factory=dict)
    broken: tuple[BrokenPlugin, ...] = ()

    def analysis(self, name: str) -> Analysis:
        """The analysis of that name, or a usage error that suggests one."""
        if name in self.analyses:
            return self.analyses[name]
        known = ", ".join(sorted(self.analyses))
        hint = "".join(f" {b.distribution} is installed but broken: {b.error}" for b in self.broken)
        raise UsageError(f"unknown plugin {name!r}{did_you_mean(name, self.analyses)} Installed: {known}.{hint}")

    @property
    def formats(self) -> tuple[Source, ...]:
        """The checkpoint formats."""
        return tuple(source for source in self.sources.values() if source.scheme is None)

    def scheme(self, text: str) -> Source | None:
        """The source whose scheme ``text`` begins with (``zoo:...``), if any."""
        return next((s for s in self.sources.values() if s.scheme and text.startswith(f"{s.scheme}:")), None)


def _check_analysis(offer: Any) -> None:
    if not isinstance(offer, Analysis):
        raise TypeError(f"landscape_analyses returned {offer!r}, not an Analysis")
    if not _NAME.fullmatch(offer.name) or offer.name.replace("-", "_") in RESERVED:
        raise ValueError(
            f"an analysis cannot be called {offer.name!r}: lower case with hyphens, and no flag of the core"
        )
    if not dataclasses.is_dataclass(offer.options) or not offer.options.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        raise TypeError(f"the options of {offer.name!r} must be a frozen dataclass")


def _check_source(offer: Any) -> None:
    if not isinstance(offer, Source) or (offer.scheme is None) == (offer.recognise is None):
        raise TypeError(f"{offer!r} must be a Source with either a scheme or a recognise function")


def _check_type(wanted: type) -> Any:
    def check(offer: Any) -> None:
        if not isinstance(offer, wanted):
            raise TypeError(f"expected a {wanted.__name__}, got {offer!r}")

    return check


_KINDS = (
    ("landscape_analyses", "analyses", _check_analysis),
    ("landscape_path_finders", "path_finders", _check_type(PathFinder)),
    ("landscape_sources", "sources", _check_source),
    ("landscape_objectives", "objectives", _check_type(NamedObjective)),
)


def _offers(point: EntryPoint, manager: pluggy.PluginManager) -> dict[str, dict[str, Any]]:
    """What one plugin offers, checked; any error is the plugin's own."""
    module = point.load()
    manager.register(module, name=f"{_distribution(point)}:{point.name}")
    callers = {caller.name: caller for caller in manager.get_hookcallers(module) or ()}
    offers: dict[str, dict[str, Any]] = {}
    for hook, kind, check in _KINDS:
        for implementation in callers[hook].get_hookimpls() if hook in callers else ():
            if implementation.plugin is module:
                found: list[Any] = list(implementation.function())  # type: ignore[call-overload]
                for offer in found:
                    check(offer)
                offers[kind] = {offer.name: offer for offer in found}
    if not offers:
        raise ValueError(f"{point.value} implements none of the landscape hooks")
    return offers


def _distribution(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.value


def collect(points: list[EntryPoint]) -> Registry:
    """The registry of the given entry points. Earlier ones win: a name that is taken breaks the later plugin."""
    manager = pluggy.PluginManager(specifications.PROJECT)
    manager.add_hookspecs(specifications)
    found: dict[str, dict[str, Any]] = {kind: {} for _, kind, _ in _KINDS}
    shipped: dict[str, str] = {}
    broken: list[BrokenPlugin] = []
    for point in points:
        try:
            offers = _offers(point, manager)
            for kind, named in offers.items():
                taken = sorted(set(named) & set(found[kind]))
                if taken:
                    raise ValueError(f"{taken[0]!r} is already offered by {shipped[taken[0]]}")
        except (Exception, SystemExit) as error:
            broken.append(BrokenPlugin(_distribution(point), point.name, one_line(f"{type(error).__name__}: {error}")))
            continue
        for kind, named in offers.items():
            found[kind].update(named)
            shipped.update(dict.fromkeys(named, _distribution(point)))
    return Registry(**found, shipped_by=shipped, broken=tuple(broken))


@cache
def registry() -> Registry:
    """The registry of this Python environment: our own plugins first, then others by name."""
    own = "landscape-geometry"
    points = {(p.name, p.value): p for p in entry_points(group=GROUP)}.values()
    return collect(sorted(points, key=lambda p: (_distribution(p) != own, _distribution(p), p.name)))
