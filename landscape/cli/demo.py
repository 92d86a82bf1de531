"""``landscape demo``: the whole tool on real data, in about a minute."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from landscape.cli.flags import new_parser, parse
from landscape.errors import UsageError

__all__ = ["ANALYSIS", "run"]

ANALYSIS = ["--plugin", "neb", "--plugin", "hessian", "--neb.max-gradients", "4000"]
"""What the demonstration measures; ``configs/demo.yaml`` says the same."""


def run(arguments: Sequence[str], *, debug: bool) -> int:
    """Train small nets on digits, analyse them, write a report; say what to type next."""
    parser = new_parser("demo", "Train a few small nets on scikit-learn's digits, analyse them, write a report.")
    parser.add_argument("--out", type=str, default="demo", help="folder for the training runs and their analysis")
    parser.add_argument("--nets", type=int, default=3, help="how many nets to train, from different seeds")
    given = parse(parser, arguments)
    if given.nets < 1:
        raise UsageError(f"--nets must be at least 1, got {given.nets}")
    from landscape.cli import analyze
    from landscape.cli.tables import notice
    from landscape.demo.training import train
    from landscape.report.build import build_report
    from landscape.run.store import RunStore

    out = Path(given.out)
    RunStore.create(out)
    checkpoints = []
    for seed in range(given.nets):
        notice(f"training net {seed + 1} of {given.nets} on scikit-learn's digits ...")
        checkpoints.append(str(train(out / f"seed{seed}", seed)))
    analysis = out / "analysis"
    words = [*checkpoints, *ANALYSIS]
    notice(f"landscape analyze {' '.join(words)} --out {analysis}")
    code = analyze.run([*words, "--out", str(analysis)], debug=debug)
    page = build_report(analysis)
    print(f"report: {page}")
    print("Next, on checkpoints of your own: landscape inspect CKPT, then landscape analyze CKPT... --plugin neb")
    return code
