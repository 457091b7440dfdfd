"""Secrets stay out of journals."""

from __future__ import annotations

import sys

import pytest

import fieldbook
from fieldbook.redaction import is_secret_name, redact_argv, redact_text
from support import Home, meta


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "db_password",
        "HF_TOKEN",
        "apiKey",
        "api-key",
        "--api_key",
        "AWS_SECRET_ACCESS_KEY",
        "accessToken",
        "token",
        "client_secret",
        "wandb_api_key",
    ],
)
def test_names_of_secrets(name: str) -> None:
    """[JRN-15]"""
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "tokenizer",
        "max_tokens",
        "num_tokens",
        "pad_token",
        "eos_token",
        "key",
        "monkey",
        "author",
        "keyboard",
        "token_dropout",
        "n_keys",
        "keys",
        "secretary",
        "learning_rate",
    ],
)
def test_names_of_parameters(name: str) -> None:
    assert not is_secret_name(name)


def test_texts() -> None:
    """[JRN-15]"""
    assert redact_text("https://ada:pass@example.org/x") == "https://[redacted]@example.org/x"
    assert redact_text("s3://b/x?X-Amz-Signature=abc&y=1") == "s3://b/x?X-Amz-Signature=[redacted]&y=1"
    assert redact_text("use ghp_" + "a" * 36 + " now") == "use [redacted] now"
    assert redact_text("AKIA" + "A" * 16) == "[redacted]"
    assert redact_text("a plain text: 3 > 2, sk-learn, mask-rcnn") == "a plain text: 3 > 2, sk-learn, mask-rcnn"


def test_command_lines() -> None:
    """[JRN-15]"""
    assert redact_argv(["t.py", "--token", "abc", "--lr", "1", "--api-key=xyz", "--password", "--verbose", "--max-tokens=5"]) == [
        "t.py", "--token", "[redacted]", "--lr", "1", "--api-key=[redacted]", "--password", "--verbose", "--max-tokens=5",
    ]  # fmt: skip


def test_what_reaches_the_file(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """[JRN-15]"""
    monkeypatch.setattr(sys, "argv", ["train.py", "--token", "tok3n"])
    with fieldbook.init("p", config={"db": {"password": "hunter2"}, "max_tokens": 512, "token": 7}) as run:
        run["login/api_key"] = "k3y"
        run["data"] = "postgres://u:pw0rd@db/x"
    raw = home.files()[0].read_bytes()
    for secret in (b"tok3n", b"hunter2", b"k3y", b"pw0rd"):
        assert secret not in raw
    assert meta(home.only())["argv"] == ["train.py", "--token", "[redacted]"]
    assert home.only().attributes()["params/max_tokens"] == 512
    assert home.only().attributes()["params/token"] == 7
