"""The examples of README.md, in order, as one script."""

from __future__ import annotations

import re
from pathlib import Path

from support import Home, close, meta, run_script

README = Path(__file__).resolve().parents[1] / "README.md"


def test_every_example_runs(home: Home, tmp_path: Path) -> None:
    """[CLT-19]"""
    blocks = re.findall(r"^```python\n(.*?)^```$", README.read_text(encoding="utf-8"), re.S | re.M)
    assert len(blocks) >= 14
    script = f"import os\nos.chdir({str(tmp_path)!r})\n" + "\n".join(blocks)
    code, out, err = run_script(script, home, FIELDBOOK_CAPTURE="0")
    assert code == 0, err
    told = [line for line in err.splitlines() if "nothing of" in line or "please report" in line or "is not" in line]
    assert told == []
    assert "wide finished 0.001" in out
    assert str(Path("restored/last.ckpt")) in out
    assert (tmp_path / "restored/last.ckpt").read_bytes() == b"newer weights"
    ended = [close(found) for found in home.journals() if meta(found).get("role") is None]
    assert {one["status"] if one else None for one in ended} == {"finished"}


def test_every_verb_has_an_example() -> None:
    """[CLT-19]"""
    import fieldbook
    from fieldbook.attribute import Attribute

    text = README.read_text(encoding="utf-8")
    verbs = [name for kind in (fieldbook.Run, Attribute) for name in vars(kind) if not name.startswith("_")]
    code = "\n".join(re.findall(r"^```python\n(.*?)^```$", text, re.S | re.M))
    missing = {name for name in {*verbs, *fieldbook.__all__} if not re.search(rf"\.{name}\b", code)}
    # Types that nobody makes by hand, and what is the same as another example.
    assert missing <= {"Attribute", "Run", "Tags", "Text", "__version__", "delete"}
