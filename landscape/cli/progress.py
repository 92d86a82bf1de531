"""Progress bars on stderr."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

__all__ = ["progress"]


@contextlib.contextmanager
def progress() -> Iterator[Callable[[str, float, float, str], None]]:
    """A reporter ``(key, done, total, text)`` that shows a bar per task while stderr is a terminal."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
    )
    bars: dict[str, TaskID] = {}
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:

        def report(key: str, done: float, total: float, text: str) -> None:
            if key not in bars:
                bars[key] = shown.add_task("", total=total)
            shown.update(bars[key], completed=done, total=total, description=escape(text))
            if done >= total:
                shown.remove_task(bars.pop(key))

        yield report
