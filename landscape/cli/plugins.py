"""``landscape plugins [--json]`` and ``landscape plugins show NAME``."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from landscape.errors import UsageError, did_you_mean, one_line
from landscape.registry import Registry, registry

__all__ = ["run"]

KINDS = ("analyses", "path_finders", "sources", "objectives")

HELP = """\
usage: landscape plugins [--json]
       landscape plugins show NAME [--json]

What is installed: analyses (--plugin NAME), path finders (--neb.finder NAME), sources of points, objectives
(--objective NAME). `show` lists the options of an analysis or a path finder."""


def run(arguments: Sequence[str], *, debug: bool) -> int:
    """List what is installed, or show one entry."""
    words = [word for word in arguments if word != "--json"]
    as_json = len(words) < len(arguments)
    if words and words[0] in ("-h", "--help"):
        print(HELP)
        return 0
    if words and (words[0] != "show" or len(words) != 2):
        raise UsageError(
            f"`landscape plugins {' '.join(words)}` is not a command. Take `plugins` or `plugins show NAME`"
        )
    known = registry()
    if words:
        _show(known, words[1], as_json)
    else:
        _list(known, as_json)
    return 0


def _list(known: Registry, as_json: bool) -> None:
    listed = {
        kind: [
            {"name": n, "summary": o.summary, "from": known.shipped_by[n]}
            for n, o in sorted(getattr(known, kind).items())
        ]
        for kind in KINDS
    }
    broken = [dataclasses.asdict(plugin) for plugin in known.broken]
    if as_json:
        print(json.dumps({**listed, "broken": broken}, indent=1))
        return
    for kind, offers in listed.items():
        print(kind.replace("_", " "))
        width = max((len(offer["name"]) for offer in offers), default=0)
        for offer in offers:
            foreign = "" if offer["from"] == "landscape-geometry" else f"   [{offer['from']}]"
            print(f"  {offer['name'].ljust(width)}  {offer['summary']}{foreign}")
    for plugin in broken:
        print(f"broken: {plugin['distribution']} ({plugin['entry_point']}): {plugin['error']}")


def _show(known: Registry, name: str, as_json: bool) -> None:
    offer: Any = known.analyses.get(name) or known.path_finders.get(name)
    if offer is None:
        names = sorted({*known.analyses, *known.path_finders})
        raise UsageError(
            f"no analysis or path finder {name!r}{did_you_mean(name, names)} Installed: {', '.join(names)}"
        )
    options = describe(offer.options)
    if as_json:
        print(
            json.dumps(
                {"name": name, "summary": offer.summary, "from": known.shipped_by[name], "options": options}, indent=1
            )
        )
        return
    print(f"{name}: {offer.summary}   [{known.shipped_by[name]}]")
    head = f"--{name}" if name in known.analyses else "--ANALYSIS.finder-options"
    for option in options:
        flag = f"{head}.{option['name'].replace('_', '-')}"
        print(f"\n  {flag}  {option['type']}, default {option['default']}\n      {option['help']}")


def describe(options: type) -> list[dict[str, str]]:
    """Name, type, default and help of each field of an options dataclass; the help is its attribute documentation."""
    from docstring_parser import parse

    helps = {entry.arg_name: one_line(entry.description or "") for entry in parse(options.__doc__ or "").params}
    described = []
    for field in dataclasses.fields(options):
        kind = field.type if isinstance(field.type, str) else getattr(field.type, "__name__", str(field.type))
        default = "required"
        if field.default is not dataclasses.MISSING:
            default = str(field.default)
        elif field.default_factory is not dataclasses.MISSING:
            default = str(field.default_factory())
        described.append({"name": field.name, "type": kind, "default": default, "help": helps.get(field.name, "")})
    return described
