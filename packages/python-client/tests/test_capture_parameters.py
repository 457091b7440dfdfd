"""Values of argparse, click, absl and Hydra, whenever they are parsed and whoever is imported first."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import pytest

import fieldbook
from capture_support import Captured, run_in, write
from fieldbook.capture import imports, parsers
from support import Home

QUIET = {"FIELDBOOK_CAPTURE": "params,command"}
ARGPARSE = """
parser = argparse.ArgumentParser()
parser.add_argument("data")
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--layers", type=int, nargs="+", default=[1, 2])
parser.add_argument("--no-bias", dest="bias", action="store_false")
parser.add_argument("--epochs", default="3", type=int)
parser.add_argument("--batch-size", type=int, default=32)
args = parser.parse_args()
"""
CLICK = """
@click.group()
@click.option("--seed", default=1)
def main(seed): pass
@main.command()
@click.argument("data")
@click.option("--lr", default=0.1)
@click.option("--batch-size", default=32)
def train(data, lr, batch_size): body()
"""
ABSL = """
flags.DEFINE_float("lr", 0.1, "rate")
flags.DEFINE_integer("batch_size", 32, "size")
flags.DEFINE_string("data", None, "file")
"""


@pytest.mark.parametrize(("imported", "parsed"), list(itertools.product(("before", "after"), repeat=2)))
def test_argparse(home: Home, tmp_path: Path, imported: str, parsed: str) -> None:
    """[CAP-6]"""
    lines = ["import argparse", "import fieldbook"] if imported == "before" else ["import fieldbook", "import argparse"]
    lines += [ARGPARSE, "fieldbook.init('p')"] if parsed == "before" else ["fieldbook.init('p')", ARGPARSE]
    done = run_in(
        tmp_path, home, "-c", "\n".join(lines), "x.csv", "--lr=0.5", "--layers", "4", "5", "--epo", "3", **QUIET
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = Captured(home)
    assert found.attributes() == {
        "params/data": "x.csv",
        "params/lr": 0.5,
        "params/layers": "[4, 5]",
        "params/bias": True,
        "params/epochs": 3,
        "params/batch_size": 32,
    }
    assert found.sections()["command"]["parsed"]["argparse"] == {
        "given": ["data", "epochs", "layers", "lr"],
        "defaults": ["batch_size", "bias"],
    }


def test_parsed_before_fieldbook_was_imported(home: Home, tmp_path: Path) -> None:
    """[CAP-6]"""
    script = (
        f"import argparse\n{ARGPARSE}\ndef main(options):\n    import fieldbook\n    fieldbook.init('p')\nmain(args)\n"
    )
    done = run_in(tmp_path, home, "-c", script, "x.csv", "--lr", "2", **QUIET)
    assert (done.returncode, done.stderr) == (0, "")
    found = Captured(home)
    assert found.attributes()["params/lr"] == 2
    assert found.sections()["command"]["parsed"]["argparse"]["given"] is None


def test_what_the_script_says_holds(home: Home, tmp_path: Path) -> None:
    """[CAP-6]"""
    script = """
import argparse, fieldbook
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float); parser.add_argument("--a"); parser.add_argument("--b")
run = fieldbook.init("p", config={"lr": "of config"}) if BEFORE else None
args = parser.parse_args()
if run is None: run = fieldbook.init("p", config={"lr": "of config"})
run["params/a"] = "of the script"
parser.parse_args()
"""
    for before in (True, False):
        other = Home(tmp_path / str(before))
        done = run_in(
            tmp_path, other, "-c", script.replace("BEFORE", str(before)), "--lr", "1", "--a", "1", "--b", "1", **QUIET
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert Captured(other).attributes() == {"params/lr": "of config", "params/a": "of the script", "params/b": "1"}


def test_subcommands_and_known_args(home: Home, tmp_path: Path) -> None:
    """[CAP-6]"""
    script = """
import argparse, fieldbook
parser = argparse.ArgumentParser(); parser.add_argument("--seed", type=int, default=0)
commands = parser.add_subparsers(dest="command")
train = commands.add_parser("train"); train.add_argument("--lr", type=float, default=0.1); train.set_defaults(work=print)
other = commands.add_parser("other"); other.add_argument("--x")
args, rest = parser.parse_known_args()
assert rest == ["--unknown", "1"], rest
assert args.work is print
fieldbook.init("p")
"""
    done = run_in(tmp_path, home, "-c", script, "train", "--lr", "3", "--unknown", "1", **QUIET)
    assert (done.returncode, done.stderr) == (0, "")
    found = Captured(home)
    assert found.attributes() == {
        "params/seed": 0,
        "params/command": "train",
        "params/lr": 3,
        "params/work": "builtins.print",
    }
    assert found.sections()["command"]["parsed"]["argparse"]["given"] == ["command", "lr"]


def test_a_library_that_parses_something_else(home: Home, tmp_path: Path) -> None:
    """[CAP-6]"""
    write(
        tmp_path,
        {
            "site-packages/tool.py": "import argparse\ndef go():\n    p = argparse.ArgumentParser(); p.add_argument('--inner'); p.parse_args(['--inner', 'x'])\n"
        },
    )
    script = """
import sys; sys.path.insert(0, "site-packages")
import argparse, tool, fieldbook
tool.go()
p = argparse.ArgumentParser(); p.add_argument("--own"); p.parse_args(["--own", "1"])
fieldbook.init("p")
"""
    done = run_in(tmp_path, home, "-c", script, **QUIET)
    assert (done.returncode, done.stderr) == (0, "")
    assert Captured(home).attributes() == {"params/own": "1"}


def test_errors_and_help_are_argparses_own(home: Home, tmp_path: Path) -> None:
    """[CAP-6]"""
    script = f"import fieldbook, argparse, sys\n{ARGPARSE}"
    plain = run_in(tmp_path, home, "-c", script.replace("import fieldbook, ", "import "), "--wrong")
    ours = run_in(tmp_path, home, "-c", script, "--wrong")
    assert (ours.returncode, ours.stdout, ours.stderr) == (plain.returncode, plain.stdout, plain.stderr)
    assert ours.returncode == 2
    assert (
        run_in(tmp_path, home, "-c", script, "--help").stdout
        == run_in(tmp_path, home, "-c", script.replace("import fieldbook, ", "import "), "--help").stdout
    )


@pytest.mark.parametrize("order", ["import click, fieldbook", "import fieldbook, click"])
def test_click(home: Home, tmp_path: Path, order: str) -> None:
    """[CAP-6]"""
    script = f"{order}\ndef body(): fieldbook.init('p')\n{CLICK}\nmain()\n"
    done = run_in(tmp_path, home, "-c", script, "--seed", "4", "train", "x.csv", "--lr", "0.5", **QUIET)
    assert (done.returncode, done.stderr) == (0, "")
    found = Captured(home)
    assert found.attributes() == {"params/seed": 4, "params/data": "x.csv", "params/lr": 0.5, "params/batch_size": 32}
    parsed = found.sections()["command"]["parsed"]["click"]
    assert (parsed["given"], parsed["defaults"]) == (["data", "lr", "seed"], ["batch_size"])
    assert parsed["command"].endswith("train")


@pytest.mark.parametrize(
    "order", ["from absl import app, flags\nimport fieldbook", "import fieldbook\nfrom absl import app, flags"]
)
@pytest.mark.parametrize("before", [True, False])
def test_absl(home: Home, tmp_path: Path, order: str, before: bool) -> None:
    """[CAP-6]"""
    begin = "run = fieldbook.init('p')\n" if before else ""
    inside = "pass" if before else "fieldbook.init('p')"
    script = f"{order}\n{ABSL}\ndef main(_): {inside}\n{begin}app.run(main)\n"
    write(tmp_path, {"t.py": script})
    done = run_in(tmp_path, home, "t.py", "--lr=0.5", "--data", "x.csv", **QUIET)
    assert (done.returncode, done.stderr) == (0, "")
    found = Captured(home)
    assert found.attributes() == {"params/lr": 0.5, "params/data": "x.csv", "params/batch_size": 32}
    assert found.sections()["command"]["parsed"]["absl"] == {"given": ["data", "lr"], "defaults": ["batch_size"]}


HYDRA = {
    "app.py": """
ORDER
@hydra.main(version_base=None, config_path="conf", config_name="main")
def train(cfg):
    with fieldbook.init("p") as run:
        run.log({"loss": cfg.optim.lr})
train()
""",
    "conf/main.yaml": "defaults:\n  - optim: sgd\n  - _self_\nseed: 1\nname: run-${seed}\nmissing: ???\nlayers: [1, 2]\ndb: {password: hunter2}\n",
    "conf/optim/sgd.yaml": "lr: 0.1\nmomentum: 0.9\n",
    "conf/optim/adam.yaml": "lr: 0.001\n",
}


@pytest.mark.parametrize("order", ["import hydra, fieldbook", "import fieldbook, hydra"])
def test_hydra(home: Home, tmp_path: Path, order: str) -> None:
    """[CAP-6]"""
    write(tmp_path, {**HYDRA, "app.py": HYDRA["app.py"].replace("ORDER", order)})
    done = run_in(tmp_path, home, "app.py", "optim=adam", "optim.lr=0.5", "+extra=x", **QUIET)
    assert (done.returncode, done.stderr) == (0, "")
    found = Captured(home)
    attributes = found.attributes()
    assert attributes == {
        "params/optim/lr": 0.5,
        "params/seed": 1,
        "params/name": "run-1",
        "params/missing": None,
        "params/layers": "[1, 2]",
        "params/db/password": "[redacted]",
        "params/extra": "x",
    }
    parsed = found.sections()["command"]["parsed"]["hydra"]
    assert parsed["overrides"] == ["optim=adam", "optim.lr=0.5", "+extra=x"]
    assert (parsed["job"], parsed["config_name"], parsed["choices"]["optim"]) == ("app", "main", "adam")
    assert Path(parsed["output_dir"]).is_dir()


def test_each_job_of_a_hydra_sweep_is_its_own(home: Home, tmp_path: Path) -> None:
    """[CAP-6]"""
    write(tmp_path, {**HYDRA, "app.py": HYDRA["app.py"].replace("ORDER", "import hydra, fieldbook")})
    done = run_in(tmp_path, home, "app.py", "-m", "seed=1,2", "optim=sgd,adam", **QUIET)
    assert (done.returncode, done.stderr) == (0, "")
    seen = []
    for one in home.journals():
        found = one.attributes()
        seen.append(
            (found["params/seed"], found["params/name"], found["params/optim/lr"], found.get("params/optim/momentum"))
        )
    assert sorted(seen, key=repr) == sorted(
        [(1, "run-1", 0.1, 0.9), (1, "run-1", 0.001, None), (2, "run-2", 0.1, 0.9), (2, "run-2", 0.001, None)], key=repr
    )


def test_switched_off_nothing_is_hooked(home: Home, tmp_path: Path) -> None:
    """[CAP-1]"""
    script = "import fieldbook, argparse, sys\nassert argparse.ArgumentParser.parse_known_args.__module__ == 'argparse'\nassert not any('fieldbook' in type(f).__module__ for f in sys.meta_path)"
    assert run_in(tmp_path, home, "-c", script, FIELDBOOK_CAPTURE="0").returncode == 0
    assert run_in(tmp_path, home, "-c", script, FIELDBOOK_MODE="disabled").returncode == 0
    assert run_in(tmp_path, home, "-c", script).returncode == 1


def test_a_hook_leaves_a_module_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """[CAP-6]"""
    monkeypatch.setattr(imports, "_waiting", {})
    write(tmp_path, {"fb_hooked.py": "x = 1\n", "fb_broken.py": "raise RuntimeError('its own')\n"})
    monkeypatch.syspath_prepend(str(tmp_path))
    came: list[int] = []
    imports.after("fb_hooked", lambda module: came.append(module.x))
    imports.after("fb_broken", lambda module: came.append(2))
    imports.after("fb_nowhere", lambda module: came.append(3))
    import fb_hooked  # type: ignore[import-not-found]

    assert came == [1]
    assert type(fb_hooked.__loader__).__name__ == "SourceFileLoader"
    assert fb_hooked.__spec__.loader is fb_hooked.__loader__
    assert "exec_module" not in vars(fb_hooked.__loader__)
    with pytest.raises(RuntimeError, match="its own"):
        import fb_broken  # type: ignore[import-not-found]  # noqa: F401
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError):
            import fb_nowhere  # type: ignore[import-not-found]  # noqa: F401
    (tmp_path / "fb_nowhere.py").write_text("")
    import importlib

    importlib.invalidate_caches()
    importlib.import_module("fb_nowhere")
    assert came == [1, 3]
    assert imports._FINDER not in sys.meta_path

    def fails(_: object) -> None:
        raise RuntimeError("ours")

    imports.after("fb_hooked", fails)  # is there already


def test_importing_fieldbook_imports_no_parser(home: Home, tmp_path: Path) -> None:
    """[CAP-6]"""
    script = "import sys, fieldbook; print([n for n in ('argparse', 'click', 'absl', 'hydra', 'subprocess', 'socket', 'ctypes', 'ast', 'inspect') if n in sys.modules])"
    assert run_in(tmp_path, home, "-S", "-c", script).stdout == "[]\n"
    assert parsers._depth == 0
    assert fieldbook.__version__
