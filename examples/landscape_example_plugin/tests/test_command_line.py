"""The plugin as a user meets it: installed beside landscape, found and run by name."""

import json
import subprocess
import sys

import pytest

NAME = "average-sharpness"
CALL = ("analyze", "zoo:quadratic?eigenvalues=10,9,5", "--plugin", NAME, "--json")
OPTIONS = ("--average-sharpness.sigmas", "[0.01,0.1]", "--average-sharpness.num-samples", "100")


def command(*words, cwd):
    return subprocess.run([sys.executable, "-m", "landscape", *words], capture_output=True, text=True, cwd=cwd)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def document(folder):
    done = command(*CALL, *OPTIONS, "--out", "run", cwd=folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_is_found_through_its_entry_point(folder):
    listed = json.loads(command("plugins", "--json", cwd=folder).stdout)
    found = {offer["name"]: offer["from"] for offer in listed["analyses"]}
    assert found[NAME] == "landscape-example-plugin"
    assert "landscape-example-plugin" not in {plugin["distribution"] for plugin in listed["broken"]}


def test_listing_imports_no_torch():
    code = "import sys, landscape_sharpness.hooks; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_options_are_documented(folder):
    shown = json.loads(command("plugins", "show", NAME, "--json", cwd=folder).stdout)
    helps = {option["name"]: option["help"] for option in shown["options"]}
    assert set(helps) == {"sigmas", "num_samples", "rtol", "max_energies"}
    assert all(helps.values())


def test_known_answer(document):
    summary = document["results"][0]["summary"]
    for sigma, value, error in zip((0.01, 0.1), summary["sharpness"], summary["sharpness_stderr"], strict=True):
        assert abs(value - sigma**2 / 2 * 24) < 4 * error
    assert document["results"][0]["points"] == ["minimum"]
    assert document["results"][0]["converged"]
    assert document["results"][0]["cost"]["energies"] == 1 + 2 * 2 * 100


def test_files(document, folder):
    for result in document["results"]:
        for file in (result["data"], *result["figures"]):
            assert (folder / document["run"] / file).stat().st_size > 0
        assert result["figures"]


def test_second_call_takes_what_is_stored(document, folder):
    again = json.loads(command(*CALL, *OPTIONS, "--out", "run", cwd=folder).stdout)
    assert not document["results"][0]["cached"]
    assert again["results"][0]["cached"]
    assert again["results"][0]["summary"] == document["results"][0]["summary"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--average-sharpness.sigmas", "[0.1,-1]"), "sigmas must be positive"),
        (("--average-sharpness.num-sample", "10"), "num_samples"),
    ],
    ids=["nonsense", "misspelt"],
)
def test_usage_errors_are_one_line(folder, words, told):
    done = command(*CALL, *words, cwd=folder)
    assert done.returncode == 2
    assert told in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
