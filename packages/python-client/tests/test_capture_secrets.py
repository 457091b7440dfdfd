"""Secrets in every place that is captured: none of their bytes may be below the home."""

from __future__ import annotations

import base64
import itertools
import json
from pathlib import Path

import pytest

from capture_support import Captured, git, project, run_in, write
from fieldbook import redaction
from fieldbook.capture.console import Stream
from fieldbook.redaction import is_secret_path, redact_argv, redact_lines, redact_remote, redact_source
from support import Home, close

GITHUB = "ghp_" + "Aa1" * 13
HUGGING = "hf_" + "Bb2" * 11
OPENAI = "sk-proj-" + "Cc3" * 12
AWS = "AKIA" + "QRSTUVWX" * 2
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
KEY_BODY = "MIIEowIBAAKCAQEAuNiceSecretBody"
PRIVATE_KEY = f"-----BEGIN RSA PRIVATE KEY-----\n{KEY_BODY}\n{KEY_BODY[::-1]}\n-----END RSA PRIVATE KEY-----"
#: Secrets by name or place only: nothing in their look gives them away. Each is used once, so that a leak tells its place.
PLAIN = {
    name: f"pl4in-{name}-s3cret"
    for name in [
        "argv-flag",
        "argv-equals",
        "argv-word",
        "argv-sshpass",
        "argv-option",
        "remote-password",
        "remote-query",
        "config-nested",
        "config-list",
        "config-file",
        "yaml-file",
        "toml-file",
        "json-file",
        "env-token",
        "env-listed",
        "url-argument",
        "patch-literal",
        "patch-yaml",
        "patch-removed",
        "untracked-literal",
        "untracked-sh",
        "printed-assignment",
        "printed-env",
        "printed-header",
        "printed-value",
        "attribute-path",
        "module-literal",
        "environment-file",
        "hydra",
        "dotenv",
        "keyfile",
        "argparse-odd",
        "message",
    ]
}

TRAIN = f"""
import argparse, os, sys
import fieldbook
import helper
parser = argparse.ArgumentParser()
for name in ("--password", "--api-key", "--url", "--config", "-c2", "--config3"): parser.add_argument(name)
parser.add_argument("-k", dest="access_token")
parser.add_argument("words", nargs="*")
args = parser.parse_args()
run = fieldbook.init("p", config={{"db": {{"password": {PLAIN["config-nested"]!r}}}, "secrets": {{"x": "-".join(["pl4in", "config", "list", "s3cret"])}}, "hub": {HUGGING!r}}})
run["login/api_key"] = {PLAIN["attribute-path"]!r}
run["where"] = "postgres://ada:{PLAIN["url-argument"]}@db/x"
print("token is {GITHUB} and {OPENAI}")
print("export HF_TOKEN={PLAIN["printed-assignment"]}")
print("password: " + "-".join(["pl4in", "printed", "value", "s3cret"]), file=sys.stderr)
print("environment:", os.environ["MY_SERVICE_TOKEN"])
print("Authorization: Bearer {PLAIN["printed-header"]}")
print('''{PRIVATE_KEY}''')
for line in '''{PRIVATE_KEY}'''.split("\\n"): print(line)
print("odd:", args.access_token)
sys.stdout.write("{JWT}\\n")
print("split over two writes {GITHUB[:20]}", end="")
print("{GITHUB[20:]}")
run.log({{"a": 1}})
"""
COMMITTED = {
    "train.py": TRAIN,
    "helper.py": "A = 1\n",
    "service.py": f'password = "{PLAIN["patch-removed"]}"\nold = 1\n',
    "conf.yaml": "a: 1\n",
    ".gitignore": "ignored.py\n",
    "Dockerfile": f'FROM x\nENV API_KEY="{PLAIN["environment-file"]}"\n',
}


def test_no_secret_reaches_the_disk(home: Home, tmp_path: Path) -> None:
    """[CAP-14]"""
    folder = project(tmp_path / "x", COMMITTED, commit=False)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", f"deploy with {GITHUB}")
    git(folder, "remote", "add", "origin", f"https://ada:{PLAIN['remote-password']}@example.org/x.git")
    git(folder, "remote", "add", "other", f"https://example.org/y.git?access_token={PLAIN['remote-query']}")
    write(
        folder,
        {
            "service.py": f'password = "changed"\napi_key = "{PLAIN["patch-literal"]}"\nhub = "{HUGGING}"\nKEY = """{PRIVATE_KEY}"""\n',
            "conf.yaml": f"a: 2\ndb:\n  password: {PLAIN['patch-yaml']}\n",
            "new.py": f'client_secret = "{PLAIN["untracked-literal"]}"\nAWS = "{AWS}"\n',
            "deploy.sh": f"export DB_PASSWORD={PLAIN['untracked-sh']}\ncurl -H 'Authorization: Bearer {JWT}' https://u:{OPENAI}@h/\n",
            "c.json": json.dumps(
                {"model": {"lr": 1}, "api_key": PLAIN["json-file"], "list": [{"password": PLAIN["config-file"]}]}
            ),
            "c.yaml": f"lr: 1\npassword: {PLAIN['yaml-file']}\n",
            "c.toml": f'lr = 1\n[db]\npassword = "{PLAIN["toml-file"]}"\n',
            ".env": f"SOMETHING={PLAIN['dotenv']}\n",
            "server.key": f"{PLAIN['keyfile']}\n",
            "credentials.json": json.dumps({"x": PLAIN["keyfile"]}),
            "helper.py": f'B = dict(password="{PLAIN["module-literal"]}")\n',
        },
    )
    arguments = [
        "--password", PLAIN["argv-flag"], f"--api-key={PLAIN['argv-equals']}", "--url", f"https://u:{PLAIN['argv-option']}@h/x?token={GITHUB}",
        "--config", "c.json", "-c2=c.yaml", "--config3=c.toml", "-k", PLAIN["argparse-odd"],
        f"DB_PASSWORD={PLAIN['argv-word']}", f"db.secret={PLAIN['hydra']}", HUGGING,
    ]  # fmt: skip
    environ = {
        "MY_SERVICE_TOKEN": PLAIN["printed-env"],
        "HF_TOKEN": PLAIN["env-token"],
        "LD_LIBRARY_PATH_NOT": "x",
        "TORCH_HOME": f"https://u:{PLAIN['env-listed']}@h/x",
    }
    done = run_in(folder, home, "train.py", *arguments, **environ)
    assert done.returncode == 0, done.stderr
    found = Captured(home)
    assert found.companion
    for needle in (HUGGING, OPENAI, PLAIN["printed-header"]):
        assert needle in done.stdout + TRAIN, "the terminal shows what the script prints"

    # Everything that could have leaked was captured in the first place.
    files = found.files()
    assert {
        "source/diff.patch",
        "source/untracked/new.py",
        "source/untracked/deploy.sh",
        "source/files/train.py",
        "config/c.json",
        "config/c.yaml",
        "config/c.toml",
        "environment/files/Dockerfile",
    } <= set(files)
    sections = found.sections()
    assert sections["git"]["remotes"] == {
        "origin": "https://example.org/x.git",
        "other": "https://example.org/y.git?access_token=[redacted]",
    }
    assert "TORCH_HOME" in sections["variables"]
    assert found.attributes()["config/c/lr"] == 1
    assert any("token is [redacted] and [redacted]" in line for line in found.console())

    leaks: list[str] = []
    looks = {
        "github": GITHUB,
        "hugging": HUGGING,
        "openai": OPENAI,
        "aws": AWS,
        "jwt": JWT,
        "key": KEY_BODY,
        "key reversed": KEY_BODY[::-1],
    }
    for path in sorted(home.path.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            leaks += [
                f"{name} in {path.name}" for name, secret in {**PLAIN, **looks}.items() if secret.encode() in content
            ]
    assert not leaks, "\n".join(leaks)


def test_notes_say_that_a_patch_was_redacted(home: Home, tmp_path: Path) -> None:
    """[CAP-14]"""
    folder = project(tmp_path / "x", {"t.py": "import fieldbook\nfieldbook.init('p')\n", "a.py": "x = 1\ny = 2\n"})
    write(folder, {"a.py": f'x = 1\nhub = "{HUGGING}"\ny = 2\n', "b.py": f'api_key = "{PLAIN["message"]}"\n'})
    run_in(folder, home, "t.py")
    found = Captured(home)
    assert found.companion
    assert "1 secrets were redacted in the patch; it may not apply there" in found.sections()["git"]["notes"]
    patch = found.files()["source/diff.patch"]
    assert b'+hub = "[redacted]"\n' in patch
    fresh = tmp_path / "fresh"
    git(tmp_path, "clone", "-q", str(folder), str(fresh))
    (tmp_path / "patch").write_bytes(patch)
    git(fresh, "apply", str(tmp_path / "patch"))
    assert (fresh / "a.py").read_text() == 'x = 1\nhub = "[redacted]"\ny = 2\n'


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("loss=0.1 acc=0.9 lr=1e-3", True),
        ("next token: Paris", True),
        ("tokens/s: 12345, max_tokens=4096, pad_token=</s>", True),
        ("key: value, keys = [1, 2], monkey=banana", True),
        ("author: Ada <ada@example.org>", True),
        ("see https://example.org/a?page=2#x", True),
        ("token_dropout=0.1 tokenizer=bert-base-uncased", True),
        ("PASSWORD=$DB_PASSWORD api_key=<yours> password: null", True),
        ("git@github.com:x/y.git ssh://git@github.com/x", True),
        ("password=hunter2", False),
        ("HF_TOKEN=abcdef0123", False),
        ('{"api_key": "abc", "x": 1}', False),
        ("authorization: Basic dXNlcjpwYXNz", False),
        ("https://u:p@ss@h/x", False),
        ("https://h/x?sig=abc", False),
        ("https://hooks.slack.com/services/T0000/B0000/XXXXXXXXXXXX", False),
        (f"x {AWS} y", False),
    ],
)
def test_printed_lines(text: str, kept: bool) -> None:
    """[CAP-14]"""
    assert (redact_lines(text) == text) is kept
    assert redact_lines(redact_lines(text)) == redact_lines(text)


def test_code_is_not_taken_for_secrets() -> None:
    """[CAP-14]"""
    code = b"token = tokenizer.next()\npassword = get_password()\nself.api_key = api_key\ndef f(password=None): return password\nsecret: str\n"
    assert redact_source(code, "a.py") == (code, 0)
    assert redact_source(b"password = 'x1'\n", "a.py") == (b"password = '[redacted]'\n", 1)
    assert redact_source(b"password: x1\n", "a.yaml") == (b"password: [redacted]\n", 1)
    binary = bytes(range(256))
    assert redact_source(binary, "a.py") == (binary, 0)


def test_binary_patches_stay_whole() -> None:
    """[CAP-14]"""
    body = "".join(f"z{base64.b85encode((GITHUB + str(n)).encode()).decode()}\n" for n in range(20)) + f"z+{HUGGING}\n"
    patch = f"diff --git a/x.bin b/x.bin\nindex 1..2\nGIT binary patch\nliteral 9\n{body}\ndiff --git a/y.py b/y.py\n@@ -1 +1 @@\n-x\n+{HUGGING}\n"
    redacted, places = redact_source(patch.encode())
    assert places == 1
    assert body in redacted.decode()
    assert redacted.decode().endswith("-x\n+[redacted]\n")


def test_command_lines_of_known_programs() -> None:
    """[CAP-14]"""
    assert redact_argv(["sshpass", "-p", "x", "python", "t.py"]) == ["sshpass", "-p", "[redacted]", "python", "t.py"]
    assert redact_argv(["/usr/bin/mysql", "-px1", "-u", "ada"]) == ["/usr/bin/mysql", "-p[redacted]", "-u", "ada"]
    assert redact_argv(["curl", "-u", "ada:pw", "http://h"]) == ["curl", "-u", "[redacted]", "http://h"]
    assert redact_argv(["train.py", "-p", "8080", "-u", "x"]) == ["train.py", "-p", "8080", "-u", "x"]
    assert redact_argv(["t.py", '{"password": "x1"}']) == ["t.py", '{"password": "[redacted]"}']
    assert redact_argv(["t.py", "db.password=x1", "+api_key=x2", "lr=1"]) == [
        "t.py",
        "db.password=[redacted]",
        "+api_key=[redacted]",
        "lr=1",
    ]


def test_known_values_wherever_they_turn_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """[CAP-14]"""
    monkeypatch.setattr(redaction, "_known", set())
    monkeypatch.setattr(redaction, "_known_pattern", None)
    redaction.learn_environment(
        {
            "DB_PASSWORD": "postgres",
            "MY_TOKEN": "q1w2e3r4t5",
            "OTHER": "z9y8x7w6v5",
            "API_KEY": "short1",
            "X_SECRET": "12345678",
            "S_SECRET": "Ünïcode1x",
        }
    )
    assert (
        redact_lines("postgres q1w2e3r4t5 z9y8x7w6v5 short1 12345678")
        == "postgres [redacted] z9y8x7w6v5 short1 12345678"
    )
    assert redact_source("x = 'Ünïcode1x'".encode(), "a.py") == (b"x = '[redacted]'", 1)


def test_paths_and_remotes() -> None:
    """[CAP-14]"""
    assert is_secret_path("params/db/password")
    assert is_secret_path("secrets/db")
    assert not is_secret_path("params/tokenizer/vocab")
    assert redact_remote("https://ada:pw@h/x.git") == "https://h/x.git"
    assert redact_remote("ssh://git@h:22/x.git") == "ssh://git@h:22/x.git"
    assert redact_remote("ssh://ada:pw@h/x") == "ssh://h/x"
    assert redact_remote("git@h:x.git") == "git@h:x.git"
    assert redact_remote("/srv/x.git") == "/srv/x.git"


def test_how_a_training_failed(home: Home, tmp_path: Path) -> None:
    """[CAP-14]"""
    script = f"""
import fieldbook
fieldbook.init("p")
def connect(password): raise ConnectionError(f"no login at https://ada:{{password}}@db with {GITHUB}")
connect(password="{PLAIN["module-literal"]}")
"""
    write(
        tmp_path, {"t.py": script, "u.py": f"import sys, fieldbook\nfieldbook.init('p')\nsys.exit('no: {HUGGING}')\n"}
    )
    for name in ("t.py", "u.py"):
        assert run_in(tmp_path, home, name, FIELDBOOK_CAPTURE="0").returncode == 1
    one, other = (close(journal) for journal in Captured(home).journals(None))
    assert one is not None
    assert other is not None
    errors = sorted([one["error"], other["error"]])
    assert errors[0].startswith("ConnectionError: no login at https://[redacted]@db with [redacted]")
    assert errors[1] == "SystemExit: no: [redacted]"
    trace = one["traceback"] or other["traceback"]
    assert 'connect(password="[redacted]")' in trace
    for path in home.path.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            for secret in (PLAIN["module-literal"], GITHUB, HUGGING):
                assert secret.encode() not in content, path


def test_a_commit_message_and_a_submodule(home: Home, tmp_path: Path) -> None:
    """[CAP-14]"""
    inner = project(tmp_path / "inner", {"a.py": "x = 1\n"})
    folder = project(tmp_path / "x", {"t.py": "import fieldbook\nfieldbook.init('p')\n"})
    git(folder, "submodule", "add", "-q", str(inner), "sub")
    url = f"https://ada:{PLAIN['remote-password']}@example.org/sub.git"
    git(folder, "config", "-f", ".gitmodules", "submodule.sub.url", url)
    git(folder, "config", "submodule.sub.url", url)
    git(folder, "commit", "-q", "-a", "-m", f"rotate\n\npassword: {PLAIN['message']}")
    git(folder, "config", "-f", ".gitmodules", "submodule.sub.url", url + "2")
    run_in(folder, home, "t.py")
    found = Captured(home)
    assert found.companion
    facts = found.sections()["git"]
    assert facts["message"] == "rotate\n\npassword: [redacted]"
    assert [one["path"] for one in facts["submodules"]] == ["sub"]
    assert b"https://[redacted]@example.org/sub.git2" in found.files()["source/diff.patch"]
    for path in home.path.rglob("*"):
        if path.is_file():
            for secret in (PLAIN["message"], PLAIN["remote-password"]):
                assert secret.encode() not in path.read_bytes(), path


def test_lines_that_are_printed_in_pieces() -> None:
    """[CAP-14] A record of an unfinished line, a key of which somebody only talks, a key within log lines."""
    said: list[str] = []
    ticks = itertools.count(0.0, 10.0)
    stream = Stream(1, lambda number, text, flags: said.append(text), clock=lambda: next(ticks))
    for piece in ("login with ", GITHUB[:9], GITHUB[9:20], GITHUB[20:], "\n"):
        stream.write(piece)
        stream.show()
    for line in ("expected -----BEGIN PRIVATE KEY----- here", "epoch 1: loss 0.5", "epoch 2: loss 0.4"):
        stream.write(line + "\n")
    for line in PRIVATE_KEY.split("\n"):
        stream.write(f"2026-01-01 INFO {line}\n")
    stream.write("done\n")
    stream.close()
    text = "\n".join(said)
    assert "epoch 1: loss 0.5\nepoch 2: loss 0.4\n" in text
    assert text.endswith("\ndone")
    assert "login with [redacted]" in text
    assert "ghp_" not in text
    assert KEY_BODY not in text
    assert KEY_BODY[::-1] not in text


def test_overrides_of_hydra(home: Home, tmp_path: Path) -> None:
    """[CAP-14]"""
    pytest.importorskip("hydra")
    script = "import fieldbook, hydra\n@hydra.main(version_base=None, config_path='.', config_name='c')\ndef main(cfg):\n    fieldbook.init('p').finish()\nmain()\n"
    write(tmp_path, {"t.py": script, "c.yaml": "lr: 1\ndb:\n  password: x\n"})
    done = run_in(tmp_path, home, "t.py", "lr=2", f"db.password={PLAIN['hydra']}", f"+hub={HUGGING}")
    assert done.returncode == 0, done.stderr
    found = Captured(home)
    assert found.companion
    parsed = found.sections()["command"]["parsed"]["hydra"]
    assert parsed["overrides"] == ["lr=2", "db.password=[redacted]", "+hub=[redacted]"]
    for path in home.path.rglob("*"):
        if path.is_file():
            for secret in (PLAIN["hydra"], HUGGING):
                assert secret.encode() not in path.read_bytes(), path
