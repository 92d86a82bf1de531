"""`landscape analyze` and its neighbours on small landscapes: output, options, configs, reuse."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from cli_nets import RECIPE, Shown

from landscape.cli.demo import ANALYSIS
from landscape.run.opened import open_run

Run = Callable[..., Shown]
CONFIGS = Path(__file__).parents[2] / "configs"
BOWL = "zoo:quadratic?eigenvalues=10,9,5"


def document(shown: Shown) -> dict[str, Any]:
    assert shown.code == 0, shown.err
    return json.loads(shown.out)


def test_the_json_document_has_every_key_of_the_schema(nets: Path, run: Run) -> None:
    shown = document(run("analyze", "a.pt", "b.pt", *RECIPE, "--plugin", "hessian", "--json", "--out", "run"))
    assert list(shown) == ["schema", "run", "landscape", "points", "results", "left_out", "failed"]
    assert (shown["schema"], shown["run"]) == (1, "run")
    assert shown["landscape"] == {
        "parameters": 32, "samples": 24, "objective": "cross_entropy", "device": "cpu", "dtype": "float32",
    }  # fmt: skip
    assert [point["id"] for point in shown["points"]] == ["a", "b"]
    assert set(shown["points"][0]) == {"id", "source", "hash", "loss", "error", "step"}
    result = shown["results"][0]
    assert set(result) == {
        "analysis", "points", "summary", "converged", "messages", "data", "figures", "cost", "cached",
    }  # fmt: skip
    assert set(result["cost"]) == {"seconds", "gradients", "hvps", "energies", "peak_memory_mb"}
    for name in [result["data"], *result["figures"]]:
        assert (nets / "run" / name).stat().st_size > 0


def test_the_same_call_finds_its_own_run_and_computes_nothing(nets: Path, run: Run) -> None:
    words = ["analyze", "a.pt", *RECIPE, "--plugin", "hessian", "--json"]
    first, second = document(run(*words)), document(run(*words))
    assert first["run"] == second["run"]
    assert [r["cached"] for r in first["results"] + second["results"]] == [False, True]
    assert first["results"][0]["summary"] == second["results"][0]["summary"]


def test_stdout_holds_the_result_and_stderr_the_rest(nets: Path, run: Run) -> None:
    shown = run("analyze", "a.pt", *RECIPE, "--plugin", "hessian")
    assert shown.err.startswith("Net 32 params · ")
    assert "24 samples · loss 0." in shown.err
    assert "eigenvalue_max" in shown.out


def test_hyphens_and_underscores_are_one_flag(nets: Path, run: Run) -> None:
    words = ["analyze", BOWL, "--plugin", "hessian", "--print-config"]
    configs = [run(*words, flag, "7").out for flag in ("--hessian.max-hvps", "--hessian.max_hvps")]
    assert configs[0] == configs[1]
    assert yaml.safe_load(configs[0])["hessian"]["max_hvps"] == 7


def test_a_printed_config_runs_the_same_call(nets: Path, run: Run) -> None:
    words = ["analyze", "a.pt", *RECIPE, "--model.width", "5", "--plugin", "hessian", "--hessian.top", "2"]
    (nets / "call.yaml").write_text(run(*words, "--print-config").out)
    by_flags, by_config = document(run(*words, "--json")), document(run("analyze", "--config", "call.yaml", "--json"))
    assert by_config["results"][0]["cached"]
    assert by_config["results"][0]["summary"] == by_flags["results"][0]["summary"]


def test_flags_override_the_config(nets: Path, run: Run) -> None:
    (nets / "call.yaml").write_text("plugin: [neb]\nseed: 3\nmodel: cli_nets:Net\nhessian: {top: 2}\n")
    words = ["a.pt", "--config", "call.yaml", *RECIPE[2:], "--model.width", "5", "--plugin", "hessian", "--seed", "4"]
    config = yaml.safe_load(run("analyze", *words, "--print-config").out)
    assert (config["plugin"], config["seed"], config["hessian"]["top"]) == (["hessian"], 4, 2)
    assert config["model"] == {"class_path": "cli_nets:Net", "init_args": {"width": "5"}}


@pytest.mark.parametrize("name", sorted(path.stem for path in CONFIGS.glob("*.yaml")))
def test_every_config_runs(nets: Path, run: Run, name: str) -> None:
    plugins = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())["plugin"]
    short = {"neb": "300", "local-entropy": "4000"}
    budgets = [word for plugin in plugins if plugin in short for word in (f"--{plugin}.max-gradients", short[plugin])]
    shown = document(run("analyze", "zoo:double-well?dim=3", "--config", CONFIGS / f"{name}.yaml", *budgets, "--json"))
    assert {result["analysis"] for result in shown["results"]} == set(plugins)


def test_the_demo_config_is_what_the_demo_measures(nets: Path, run: Run) -> None:
    by_config = run("analyze", BOWL, "--config", CONFIGS / "demo.yaml", "--print-config").out
    assert run("analyze", BOWL, *ANALYSIS, "--print-config").out == by_config


def test_a_larger_budget_continues_the_stored_path(nets: Path, run: Run) -> None:
    words = ["analyze", "zoo:mueller-brown", "--plugin", "neb", "--pairs", "star", "--json", "--out", "run"]
    short, again, longer = (
        [r for r in document(run(*words, "--neb.max-gradients", budget))["results"] if len(r["points"]) == 2]
        for budget in ("200", "200", "600")
    )
    assert [r["cached"] for r in again] == [True, True]
    for before, after in zip(short, longer, strict=True):
        assert not after["cached"]
        assert 200 < after["summary"]["gradient_evaluations"] <= 600
        assert after["summary"]["max_loss"] <= before["summary"]["max_loss"]


def test_one_checkpoint_is_told_of_its_partner_in_the_first_line(nets: Path, run: Run) -> None:
    words = ["analyze", "a.pt", *RECIPE, "--plugin", "neb", "--neb.max-gradients", "200"]
    shown = run(*words)
    assert shown.code == 0, shown.err
    assert shown.out.splitlines()[0].startswith("one checkpoint: its partner")
    again = document(run(*words, "--json"))
    assert again["results"][0]["cached"]
    assert again["results"][0]["summary"]["partner"] == "retrain"
    with_file = document(run(*words, "--neb.partner", "b.pt", "--json"))
    assert with_file["results"][0]["points"] == ["a", "b~partner"]


def test_plugins_are_listed_and_shown(nets: Path, run: Run) -> None:
    listed = document(run("plugins", "--json"))
    assert {"neb", "hessian"} <= {offer["name"] for offer in listed["analyses"]}
    shown = document(run("plugins", "show", "hessian", "--json"))
    top = next(option for option in shown["options"] if option["name"] == "top")
    assert {"name": "top", "type": "int", "default": "10"}.items() <= top.items()
    assert all(option["help"] for option in shown["options"])
    assert run("plugins", "show", "hesian").code == 2


def test_inspect_says_what_it_knows_and_what_it_lacks(nets: Path, run: Run) -> None:
    bare = run("inspect", "a.pt")
    assert bare.code == 0
    assert "32 numbers, float32" in bare.out
    assert "not known: say --model" in bare.out
    whole = run("inspect", "a.pt", *RECIPE)
    assert "cli_nets:Net" in whole.out
    assert "loss 0." in whole.out
    assert run("inspect", "missing.pt").code == 3


def test_a_report_is_one_page_and_needs_no_network(nets: Path, run: Run) -> None:
    words = ["analyze", "a.pt", "b.pt", *RECIPE, "--plugin", "neb", "--plugin", "hessian", "--neb.max-gradients", "100"]
    run(*words, "--out", "run")
    shown = run("report", "run")
    page = (nets / shown.out.strip()).read_text()
    assert page.count("data:image/svg+xml;base64,") >= 2
    assert not [word for word in ("http://", "https://", "<script") if word in page.replace("http://www.w3.org", "")]
    assert all(result.analysis in page for result in open_run(nets / "run").results)
    assert run("report", "nowhere").code == 2


def test_text_from_outside_is_escaped(nets: Path, run: Run) -> None:
    (nets / "a.pt").rename(nets / "[bold]<b>x&y.pt")
    shown = run("analyze", "[bold]<b>x&y.pt", *RECIPE, "--plugin", "hessian", "--out", "run")
    assert "[bold]<b>x&y" in shown.out
    run("report", "run")
    page = (nets / "run" / "report.html").read_text()
    assert "<b>x" not in page
    assert "&lt;b&gt;x&amp;y" in page


def test_no_command_is_an_error_and_help_is_not(run: Run) -> None:
    assert run().code == 2
    assert "analyze" in run("--help").out
    assert run("--version").out.startswith("landscape ")
    assert "Did you mean 'report'" in run("repot").complaint


def test_the_demonstration_takes_its_flags(run: Run) -> None:
    shown = run("demo", "--out", "run", "--nets", "0")
    assert shown.code == 2
    assert "--nets must be at least 1, got 0" in shown.complaint
