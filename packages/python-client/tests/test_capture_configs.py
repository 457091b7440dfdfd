"""Configuration files that the command line names."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from capture_support import Captured, run_in, write
from fieldbook.capture import configs
from support import Home

SCRIPT = "import fieldbook\nfieldbook.init('p')\n"
QUIET = {"FIELDBOOK_CAPTURE": "config"}


def test_files_are_kept_and_become_attributes(home: Home, tmp_path: Path) -> None:
    """[CAP-7]"""
    write(
        tmp_path,
        {
            "t.py": SCRIPT,
            "conf/model.json": '{"model": {"layers": [{"size": 3}, {"size": 4}], "name": "mlp"}, "lr": 0.1, "api_key": "k3y-of-json"}',
            "train.yaml": "optimizer:\n  lr: 0.5\n  betas: [0.9, 0.999]\npassword: hunter2  # secret\nnested: {token: abcdef0123456789abcdef}\n",
            "broken.json": "{",
            "list.json": "[1, 2]",
            "other.yaml": "unnamed: 1\n",
        },
    )
    done = run_in(
        tmp_path,
        home,
        "t.py",
        "conf/model.json",
        "--config=train.yaml",
        "--x",
        "broken.json",
        "list.json",
        "nowhere.yaml",
        **QUIET,
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = Captured(home)
    assert found.companion
    assert found.attributes() == {
        "config/model/model/layers/0/size": 3,
        "config/model/model/layers/1/size": 4,
        "config/model/model/name": "mlp",
        "config/model/lr": 0.1,
        "config/model/api_key": "[redacted]",
        "config/train/optimizer/lr": 0.5,
        "config/train/optimizer/betas": "[0.9, 0.999]",
        "config/train/password": "[redacted]",
        "config/train/nested/token": "[redacted]",
    }
    files = found.files()
    assert set(files) == {f"config/{name}" for name in ("model.json", "train.yaml", "broken.json", "list.json")}
    assert files["config/train.yaml"].startswith(b"optimizer:\n  lr: 0.5\n")
    assert b"hunter2" not in files["config/train.yaml"]
    notes = found.sections()["config"]["notes"]
    assert notes["list.json"] == "not a mapping"
    assert "JSONDecodeError" in notes["broken.json"]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib came with Python 3.11")
def test_toml() -> None:
    """[CAP-7]"""
    content, note = configs.parse("x.toml", b'lr = 0.1\n[model]\nname = "a"\n')
    assert (content, note) == ({"lr": 0.1, "model": {"name": "a"}}, None)


def test_without_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    """[CAP-7]"""
    monkeypatch.setitem(sys.modules, "yaml", None)
    monkeypatch.setitem(sys.modules, "tomllib", None)
    assert configs.parse("x.yaml", b"a: 1") == (None, "YAML is read where a yaml module is installed")
    assert configs.parse("x.toml", b"a = 1") == (None, "TOML is read by Python 3.11 and newer")


def test_limits_and_odd_names() -> None:
    """[CAP-7]"""
    found, note = configs.attributes("big.json", {str(number): number for number in range(1000)})
    assert len(found) == configs.VALUES
    assert note is not None
    assert "more than" in note
    found, note = configs.attributes("x.json", {"a": {"": 1}, "b\n": 2, "c": 3})
    assert found == {"config/x/c": 3}
    assert note == "2 values have no usable name or are not values"
    deep: dict[str, object] = {}
    for _ in range(100):
        deep = {"a": deep}
    assert "nested deeper" in str(configs.attributes("x.json", deep)[1])
    assert configs.parse("x.json", b"[" * 100_000)[1] is not None


def test_which_words_are_files(tmp_path: Path) -> None:
    """[CAP-7]"""
    write(tmp_path, {"a.yaml": "", "b.json": "", "c.toml": "", "d.txt": "", "secrets.yaml": ""})
    (tmp_path / "big.json").write_bytes(b" " * (configs.FILE_BYTES + 1))
    words = [
        "t.py",
        "a.yaml",
        "--b=b.json",
        "@c.toml",
        "d.txt",
        "secrets.yaml",
        "big.json",
        "a.yaml",
        "gone.json",
        "",
        "=",
    ]
    assert configs.named(words, str(tmp_path)) == [str(tmp_path / name) for name in ("a.yaml", "b.json", "c.toml")]
