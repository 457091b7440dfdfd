"""Files that are secrets as a whole are in no part of a run."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from capture_support import Captured, git, project, run_in, write
from fieldbook.capture import configs
from fieldbook.secret_files import is_secret_content, is_secret_file, without_secret_files
from support import Home

SECRET = "pl4in0ff1ceS3cret"
KERNEL = {
    "shell_port": 1, "iopub_port": 2, "stdin_port": 3, "control_port": 4, "hb_port": 5, "ip": "127.0.0.1",
    "key": SECRET, "transport": "tcp", "signature_scheme": "hmac-sha256", "kernel_name": "python3",
}  # fmt: skip
CONTENTS = {
    "tmpqx3.json": json.dumps(KERNEL),
    "server.json": json.dumps({"pid": 1, "url": "http://localhost:8888/", "token": SECRET, "root_dir": "/x"}),
    "sa.json": json.dumps({"type": "service_account", "project_id": "p", "private_key": SECRET}),
    "adc.json": json.dumps({"type": "authorized_user", "refresh_token": SECRET, "client_id": "c"}),
    "oauth.json": json.dumps({"installed": {"client_id": "c", "client_secret": SECRET}}),
    "config.json": json.dumps({"auths": {"https://index.docker.io/v1/": {"auth": SECRET}}}),
    "cluster.yaml": f"apiVersion: v1\nkind: Config\nclusters: []\nusers:\n- name: a\n  user: {{token: {SECRET}}}\n",
    "deploy.yaml": f"apiVersion: v1\nkind: Secret\ndata:\n  plain: {SECRET}\n",
    "machines.txt": f"machine example.org login ada password {SECRET}\n",
    "aws.ini": f"[default]\naws_secret_access_key = {SECRET}\n",
    "id.txt": f"-----BEGIN OPENSSH PRIVATE KEY-----\n{SECRET}\n",
}


@pytest.mark.parametrize("name", CONTENTS)
def test_by_content(name: str) -> None:
    """[CAP-17]"""
    assert is_secret_content(name, CONTENTS[name].encode())
    assert not is_secret_file(name), "the content alone tells"
    assert not is_secret_content("test_it.py", CONTENTS[name].encode()), "a program only talks of it"


@pytest.mark.parametrize(
    "name",
    [
        "kernel-2f1c0b7e-9d3a-4f8e-8b1c-000000000000.json",
        "kernel-4711.json",
        "jpserver-123.json",
        "nbserver-123-open.html",
        "api_key.txt",
        "hf_token.txt",
        "openai-key.txt",
        "passwords.yaml",
        "gha-creds-0123.json",
        "x-firebase-adminsdk-1.json",
        "prod.kubeconfig",
        "terraform.tfstate",
        ".condarc",
        "pip.conf",
        "/home/ada/.docker/config.json",
        "/run/secrets/db.yaml",
        "/home/ada/.config/gcloud/x.json",
    ],
)
def test_by_name(name: str) -> None:
    """[CAP-17]"""
    assert is_secret_file(name)


@pytest.mark.parametrize(
    "name",
    [
        "kernel-rbf.json",
        "config.json",
        "tokenizer.json",
        "special_tokens_map.json",
        "max_tokens.yaml",
        "password_model.py",
        "keys.py",
        "requirements.txt",
        "passes.txt",
        "kernel.json",
    ],
)
def test_files_that_are_none(name: str) -> None:
    """[CAP-18]"""
    assert not is_secret_file(name)


def test_contents_that_are_none() -> None:
    """[CAP-18]"""
    for name, text in {
        "train.yaml": "kind: Config\nlr: 1\ntype: service_account\n",
        "c.json": '{"key": "value", "token": "x", "pid": 3, "auths": []}',
        "notes.md": "the machine learning login page\npassword reset\n",
        "default.txt": "default password\n",
    }.items():
        assert not is_secret_content(name, text.encode()), name


def test_none_of_them_reaches_a_run(home: Home, tmp_path: Path) -> None:
    """[CAP-17]"""
    folder = project(
        tmp_path / "x",
        {"t.py": "import fieldbook\nfieldbook.init('p')\n", ".env": "A=1\n", "tracked.json": "{}\n", "a.txt": "1\n"},
    )
    outside = tmp_path / "ada" / ".ssh"
    outside.mkdir(parents=True)
    (outside / "config").write_text(SECRET)
    write(folder, CONTENTS)
    write(folder, {"hf_token.txt": SECRET, ".env": f"SOMETHING={SECRET}\n", "a.txt": "2\n"})
    write(folder, {"tracked.json": json.dumps(KERNEL, indent=1)})
    os.symlink(outside / "config", folder / "linked.txt")
    os.symlink(outside / "config", folder / "linked.yaml")
    names = [name for name in CONTENTS if name.endswith((".json", ".yaml"))]
    done = run_in(folder, home, "t.py", *names, "--also=linked.yaml")
    assert done.returncode == 0, done.stderr
    found = Captured(home)
    assert found.companion
    assert set(found.files()) >= {"source/diff.patch", "environment/requirements.txt"}
    assert not [path for path in found.files() if path.startswith(("config/", "source/untracked/"))]
    assert not [path for path in found.attributes() if path.startswith("config/")]
    sections = found.sections()
    assert sections["config"]["notes"]["tmpqx3.json"] == "not taken: may hold secrets"
    assert sections["git"]["untracked_left_out"]["may hold secrets"] >= len(CONTENTS) + 3
    assert "the patch is without files that may hold secrets: .env, tracked.json" in sections["git"]["notes"]
    assert b"+2\n" in found.files()["source/diff.patch"], "the rest of the patch is there"
    fresh = tmp_path / "fresh"
    git(tmp_path, "clone", "-q", str(folder), str(fresh))
    (tmp_path / "patch").write_bytes(found.files()["source/diff.patch"])
    git(fresh, "apply", str(tmp_path / "patch"))
    leaks = [path.name for path in home.path.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert leaks == []


def test_patches_of_such_files() -> None:
    """[CAP-17]"""
    renamed = b"diff --git a/.env b/env.txt\nsimilarity index 90%\n--- a/.env\n+++ b/env.txt\n@@ -1 +1 @@\n-A=1\n+A=2\n"
    other = b"diff --git a/a b.py b/a b.py\n--- a/a b.py\n+++ b/a b.py\n@@ -1 +1 @@\n-x\n+y\n"
    removed = b"diff --git a/k.json b/k.json\n--- a/k.json\n+++ /dev/null\n@@ -1,2 +0,0 @@\n" + b"".join(
        b"-" + line.encode() + b"\n" for line in json.dumps(KERNEL, indent=1).split("\n")
    )
    assert without_secret_files(renamed + other + removed) == (other, ["env.txt", "k.json"])
    assert without_secret_files(other) == (other, [])


def test_a_kernel_names_no_configuration(tmp_path: Path) -> None:
    """[CAP-17]"""
    write(tmp_path, {"a.json": "{}"})
    assert configs.named(["/x/ipykernel_launcher.py", "-f", "a.json"], str(tmp_path)) == []
    assert configs.named(["/x/train.py", "-f", "a.json"], str(tmp_path)) == [str(tmp_path / "a.json")]
