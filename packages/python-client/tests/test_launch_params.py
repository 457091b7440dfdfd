"""Parameters, scripts and log folders from command lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from fieldbook.launch_params import entry_of, log_folders, params_of, python_of
from launch_support import attributes, launch
from support import Home


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("./train --lr 0.1 --epochs=3 -n 10", {"lr": 0.1, "epochs": 3, "n": 10}),
        ("./train --amp --no-shuffle -v", {"amp": True, "no_shuffle": True, "v": True}),
        ("./train --fast true --slow FALSE --opt adam", {"fast": True, "slow": False, "opt": "adam"}),
        ("./train --shift -0.5 --from -3 data", {"shift": -0.5, "from": -3}),
        ("./train --layers 64 32 16 --name a b", {"layers": ["64", "32", "16"], "name": "a"}),
        ("./train --x 1 --x 2", {"x": ["1", "2"]}),
        ("java -Dlr=0.5 -Dname=x -jar t.jar", {"lr": 0.5, "name": "x", "jar": "t.jar"}),
        (
            "python train.py model.depth=3 +opt=sgd ++a.b=1e-3 ~c=",
            {"model/depth": 3, "opt": "sgd", "a/b": 0.001, "c": ""},
        ),
        ("python -u -W ignore train.py --batch-size 8", {"batch_size": 8}),
        ("python3.11 -m pkg.train --lr 1", {"lr": 1}),
        ("python -m torch.distributed.run --nproc_per_node 2 train.py --lr 1", {"lr": 1}),
        ("torchrun --nproc_per_node=2 train.py --lr 1", {"lr": 1}),
        ("bash -c exit --lr 2", {"lr": 2}),
        ("bash train.sh --lr 2 -- --not 3", {"lr": 2}),
        ("env python train.py --lr 1", {"lr": 1}),
        ("./train 12345678901234567890123 --big 12345678901234567890123", {"big": 12345678901234567890123}),
        (
            "./train --when 2024-01-01 --ip 10.0.0.1 --ver 1.2.3",
            {"when": "2024-01-01", "ip": "10.0.0.1", "ver": "1.2.3"},
        ),
        ("./train a=b=c https://x/?q=1 --", {"a": "b=c"}),
        ("./train", {}),
    ],
)
def test_params(words: str, found: dict[str, object]) -> None:
    """[RUN-5] Every usual way of writing an argument, typed."""
    assert params_of(words.split(" ")) == found


def test_secrets_do_not_reach_the_journal(home: Home) -> None:
    """[RUN-5] Neither as a parameter nor in the command line."""
    words = [
        "--api-key",
        "hush-hush-1",
        "--db_password=hush-hush-2",
        "--url",
        "https://me:hush-hush-3@host/x",
        "--lr",
        "1",
    ]
    assert launch(home, "--", "true", *words).returncode == 0
    (raw,) = [path.read_bytes() for path in home.files()]
    assert b"hush-hush" not in raw
    found = attributes(home.only())
    assert found["params/api_key"] == "[redacted]"
    assert found["params/url"] == "https://[redacted]@host/x"
    assert found["params/lr"] == 1


def test_a_path_that_cannot_be_an_attribute_is_left_out() -> None:
    assert params_of(["t", f"--{'x' * 600}=1", "--a//b=1", "--ok=1"]) == {"ok": 1}


def test_many_arguments_are_bounded() -> None:
    assert len(params_of(["t", *(f"--a{number}=1" for number in range(5000))])) == 500


def test_log_folders(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    words = "t --logdir runs --trainer.default_root_dir=/x/y hydra.run.dir=q --output-dir ~/z --save_dir file --lr 1"
    found = log_folders(words.split(" "), str(tmp_path))
    assert found == [str(tmp_path / "runs"), "/x/y", str(Path.home() / "z")]


def test_entry_and_python(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("")
    assert entry_of(["nice", "python", "train.py"], str(tmp_path)) == str(tmp_path / "train.py")
    assert entry_of(["./train", "other.py"], str(tmp_path)) is None
    assert python_of(["env", "/opt/bin/python3.12", "x.py"]) == "/opt/bin/python3.12"
    assert python_of(["make", "python"]) is None
