"""What is taken out of texts, and what stays in them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fieldbook import redaction
from fieldbook.redaction import (
    is_secret_name,
    is_secret_path,
    redact_argv,
    redact_lines,
    redact_source,
    redact_text,
    redact_unfinished,
    redact_value,
)

S = "pl4inS3cret9x"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.py", f'api_key: str = "{S}"'),
        ("a.py", f'password: Optional[str] = "{S}"'),
        ("a.py", f'password: str | None = "{S}"'),
        ("a.py", f'SECRET_KEY = b"{S}"'),
        ("a.py", f'password = """{S}"""'),
        ("a.py", f'password = (\n    "{S}"\n)'),
        ("a.py", f'os.environ.setdefault("HF_TOKEN", "{S}")'),
        ("a.py", f'flags.DEFINE_string("api_key", "{S}", "help")'),
        ("a.py", f'parser.add_argument("--api-key", type=str, default="{S}")'),
        ("a.py", f'parser.add_argument(\n    "--api-key",\n    default="{S}",\n)'),
        ("a.py", f'wandb.login("{S}{S}")'),
        ("a.py", f'wandb.login(key="{S}{S}")'),
        ("a.py", f'subprocess.run(["x", "--token", "{S}"])'),
        ("a.py", f"command = \"run --x 1 API_KEY='{S}'\""),
        ("a.ts", f'const apiKey: string = "{S}"'),
        ("a.go", f'apiKey := "{S}"'),
        ("a.r", f'api_key <- "{S}"'),
        ("a.rb", f"'password' => '{S}'"),
        ("a.sql", f"CREATE USER x IDENTIFIED BY '{S}'"),
        ("Dockerfile", f"ENV API_KEY {S}"),
        ("Dockerfile", f"ARG api_key={S}"),
        ("docker/Dockerfile.gpu", f"ENV LR=1 db_password={S}"),
        ("Makefile", f"TOKEN = {S}"),
        ("Makefile", f"token := {S}"),
        ("a.yaml", f"password: ab)cd&{S}"),
        ("a.yaml", f"passphrase: correct horse {S}  # why"),
        ("a.yaml", f"api_keys:\n  - {S}\n  - {S}1\nlr: 1\n"),
        ("a.yaml", f"PGPASSWORD: {S}"),
        ("a.env", f"DB_PASS=a;b&{S}"),
        ("a.sh", f"curl -u ada:{S} http://x"),
        ("a.sh", f"mysql -u x -p{S} db"),
        ("a.sh", f"train.py --password {S} --x 1"),
        ("environment.yml", f"- https://conda.anaconda.org/t/tk-{S}/chan"),
        ("requirements.txt", f"--extra-index-url https://u:{S}@h/x"),
        ("requirements.txt", f"x @ git+https://{S}@github.com/x/y"),
        ("broken.ipynb", f'"source": ["password = \\"{S}\\"\\n"'),
    ],
)
def test_sources(name: str, text: str) -> None:
    """[CAP-14]"""
    changed, places = redact_source(text.encode(), name)
    assert S not in changed.decode()
    assert places >= 1
    assert changed.count(b"\n") == text.count("\n"), "lines stay lines"
    assert redact_source(changed, name)[0] == changed
    patch = f"diff --git a/{name} b/{name}\n@@ -1 +1 @@\n" + "".join(f"+{line}\n" for line in text.split("\n"))
    assert S not in redact_source(patch.encode())[0].decode(), "nor as lines of a patch"


@pytest.mark.parametrize(
    "text",
    [
        f"password: ab)cd&{S}",
        f"DB_PASS={S}",
        f"PGPASSWORD={S}",
        f"x-api-key: {S}",
        f"Set-Cookie: sid={S}",
        f"{{'api_key': b'{S}'}}",
        f"started with --password {S}",
        f'"password": ["{S}"]',
        f"https://h/x?api_key={S}&page=1",
        f"key -----BEGIN PRIVATE KEY-----\\nMIIEvQIBADANBgkqhkiG9w0BAQEF{S}AASC\\n",
    ],
)
def test_lines(text: str) -> None:
    """[CAP-14]"""
    assert S not in redact_lines(text)


@pytest.mark.parametrize(
    "text",
    [
        "PWD=/home/ada/exp",
        "token_count: 3",
        "placeholder_token=<cat-toy-1234567890>",
        '"stop_token": "<|endoftext|>"',
        "commit: 4b825dc642cb6eb9a060e54bf8d69288fbee4904",
        f"sha256: {'ab12' * 16}",
        "image_token: <image>",
        "https://example.org/@user/x?sort_key=loss&page=2",
        "use --password to give it, and --token TOKEN",
        "[--password PASSWORD] [--token TOKEN]",
        "error: expected '-----BEGIN PRIVATE KEY-----' at line 1",
        "primary_key: id, group_key = model",
        "forward_pass=fused backward pass: 3",
        "next_token: '12345678'",
        "tokens: ['hello', 'world']",
        "kernel: rbf, monkey_path = /x",
    ],
)
def test_what_only_resembles_a_secret(text: str) -> None:
    """[CAP-18]"""
    assert redact_lines(text) == text


def test_code_that_talks_of_keys() -> None:
    """[CAP-18]"""
    code = (
        b'if text.startswith("-----BEGIN PRIVATE KEY-----"):\n    load(text)\nx = 1\n'
        b'parser.add_argument("--token", type=str, default=None, help="a token of the hub")\n'
        b'parser.add_argument("--password", "-p")\n'
        b'if password == "":\n    raise ValueError("no password: give one")\n'
        b"def login(user: str, password: str = None) -> Token: ...\n"
    )
    assert redact_source(code, "a.py") == (code, 0)


@pytest.mark.parametrize(
    "name", ["PGPASSWORD", "DB_PASS", "openai_key", "GITHUB_PAT", "hftoken", "api_keys", "SECRETKEY"]
)
def test_names(name: str) -> None:
    """[CAP-14]"""
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name", ["forward_pass", "sort_key", "token_count", "placeholder_token", "compat", "path", "n_pass"]
)
def test_other_names(name: str) -> None:
    """[CAP-18]"""
    assert not is_secret_name(name)


def test_attributes() -> None:
    """[CAP-14]"""
    assert is_secret_path("config/x/api_keys/0")
    assert redact_value("params/db_password", S) == "[redacted]"
    assert redact_value("params/token", "abc") == "[redacted]"
    assert redact_value("params/token", "<|endoftext|>") == "<|endoftext|>", "of a vocabulary"
    assert redact_value("params/pwd", "/home/ada") == "/home/ada"


@pytest.mark.parametrize(
    "argv",
    [
        ["x", f"-Dpassword={S}"],
        ["curl", "--user", f"ada:{S}"],
        ["curl", f"--user=ada:{S}"],
        ["x", "--db-pass", S],
        ["env", f"PGPASSWORD={S}", "x"],
        ["x", "--password", f"-{S}"],
        ["bash", "-c", f"train --token {S}"],
        ["docker", "login", "-u", "x", "-p", S],
        ["torchrun", "--nproc-per-node=2", "train.py", "--hub-token", S],
        ["x", "--wandb-key", S],
    ],
)
def test_command_lines(argv: list[str]) -> None:
    """[CAP-14]"""
    assert S not in " ".join(redact_argv(argv))
    assert len(redact_argv(argv)) == len(argv)


def test_folders_are_not_learned(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """[CAP-18]"""
    monkeypatch.setattr(redaction, "_known", set())
    monkeypatch.setattr(redaction, "_known_pattern", None)
    file = tmp_path / "sa1.json"
    file.write_text("{}")
    redaction.learn_environment(
        {
            "PWD": "/home/ada/exp2",
            "GOOGLE_APPLICATION_CREDENTIALS": str(file),
            "AWS_SECRET_ACCESS_KEY": "/a1b2c3d4e5/f6",
        }
    )
    assert redact_text(f"/home/ada/exp2/train.py {file} /a1b2c3d4e5/f6") == f"/home/ada/exp2/train.py {file} [redacted]"


def test_the_beginning_of_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """[CAP-14]"""
    monkeypatch.setattr(redaction, "_known", {S})
    assert redact_unfinished("loading with ghp_Aa1Aa1") == "loading with [redacted]"
    assert redact_unfinished("from https://ada:hunt") == "from https[redacted]"
    assert redact_unfinished(f"it is {S[:7]}") == "it is [redacted]"
    for line in ("epoch 3: 40%|████      | 4/10", "loading tokenizer", "downloading https://h/x "):
        assert redact_unfinished(line) == line


def test_notebooks() -> None:
    """[CAP-14]"""
    picture = "iVBORw0KGgo" + "A" * 200 + "AKIAQRSTUVWXQRSTUVWX" + "="
    book: dict[str, Any] = {
        "cells": [
            {
                "cell_type": "code",
                "source": ["import os\n", f'password = "{S}"\n', "token = tokenizer.next()"],
                "outputs": [
                    {"output_type": "stream", "text": [f"password: {S}\n", "loss: 1\n"]},
                    {"output_type": "error", "evalue": f"bad login https://u:{S}@h", "traceback": [f"api_key='{S}'"]},
                    {
                        "data": {
                            "image/png": picture,
                            "text/plain": f"{{'api_key': '{S}'}}",
                            "application/json": {"password": S},
                        }
                    },
                ],
            },
            {"cell_type": "markdown", "source": f"the password: {S}"},
        ],
        "metadata": {"papermill": {"parameters": {"hf_token": S, "lr": 0.1}}},
        "nbformat": 4,
    }
    content, places = redact_source(json.dumps(book).encode(), "x.ipynb")
    assert S.encode() not in content
    assert places == 8
    found = json.loads(content)
    assert found["cells"][0]["source"] == ["import os\n", 'password = "[redacted]"\n', "token = tokenizer.next()"]
    assert found["cells"][0]["outputs"][0]["text"] == ["password: [redacted]\n", "loss: 1\n"]
    assert found["cells"][0]["outputs"][2]["data"]["image/png"] == picture
    assert found["metadata"]["papermill"]["parameters"] == {"hf_token": "[redacted]", "lr": 0.1}
    clean = json.dumps({"cells": [{"cell_type": "code", "source": "x = 1", "outputs": []}]}, indent=3).encode()
    assert redact_source(clean, "x.ipynb") == (clean, 0), "byte for byte"
