"""Secrets that a script handles are nowhere in the store, in no file and in no encoding of it."""

from __future__ import annotations

import base64
import shutil
import subprocess
from pathlib import Path

import pytest
from helpers import script

from autolog.store.records import Store

# Not real ones: of the right shape, and each with a middle that can be searched for.
AWS = "AKIA" + "QWERTYUIOPASDFGH"
PASSWORD = "correct-horse-battery"
TOKEN = "tok-4f9a8c7b6d5e"
URL_PASSWORD = "s3cr3t-in-url"
GITHUB = "ghp_" + "abcdefghijklmnopqrstuvwxyz012345"
IN_DIFF = "hunter2-in-a-diff"
IN_ERROR = "known-only-by-its-name"
SECRETS = (AWS, PASSWORD, TOKEN, URL_PASSWORD, GITHUB, IN_DIFF, IN_ERROR)

SCRIPT = f"""
    import pickle
    import autolog, toy
    autolog.autolog(silent=True, tags={{"api_key": {TOKEN!r}}})

    class Client(toy.Slope):
        def fit(self, X, y, callbacks=()):
            super().fit(X, y, callbacks)
            if self.fails:
                raise ConnectionError(f"403 from postgres://me:{URL_PASSWORD}@db/x with key {AWS} and {{self.password}}")
            return self

    def made(fails):
        model = Client()
        model.password, model.fails = {IN_ERROR!r}, fails
        model.storage = "s3://user:{URL_PASSWORD}@bucket/data"
        model.note = "use {AWS} for it"
        model.nested = {{"deep": {{"hf_token": {TOKEN!r}, "header": "Bearer {GITHUB}"}}}}
        return model

    X, y = [1.0, 2.0], [2.0, 4.0]
    made(False).fit(X, y)
    try:
        made(True).fit(X, y)
    except ConnectionError:
        pass
    with autolog.run("by hand", tags={{"url": "https://me:{URL_PASSWORD}@host/"}}) as run:
        run.log_params({{"token": {TOKEN!r}, "list": ["{GITHUB}"], "aws": {AWS!r}}})
        run.set_tags({{"password": {PASSWORD!r}}})
        run.note("the key is {AWS}")
        run.record_child("c", kind="candidate", params={{"secret": {TOKEN!r}}}, metrics={{}})
"""


def stored(folder: Path) -> dict[str, bytes]:
    """All files of the store, the index included."""
    Store(folder / ".autolog").runs(children=True)
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in (folder / ".autolog").rglob("*") if path.is_file()
    }  # fmt: skip


def found(files: dict[str, bytes], secrets: tuple[str, ...] = SECRETS) -> list[tuple[str, str]]:
    """(file, secret) for each secret that is in a file, as it is or in base 64."""
    return [
        (name, secret)
        for name, data in files.items()
        for secret in secrets
        if secret.encode() in data or base64.b64encode(secret.encode()).rstrip(b"=") in data
    ]


@pytest.mark.skipif(shutil.which("git") is None, reason="no git")
def test_planted_secrets_are_nowhere_in_the_store(tmp_path: Path) -> None:
    """An AWS key, a password in argv, tokens in params, tags, URLs, a note, an exception's message and a git diff."""
    (tmp_path / "settings.py").write_text("DEBUG = True\n")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@x"]
    for arguments in (["init", "-q"], ["add", "settings.py"], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *arguments], check=True, timeout=60)
    (tmp_path / "settings.py").write_text(f'DEBUG = True\nDB_PASSWORD = "{IN_DIFF}"\nKEY = "{AWS}"\n')
    arguments = ["--password", PASSWORD, f"--api-key={TOKEN}", f"--store=https://u:{URL_PASSWORD}@host/"]
    done = script(SCRIPT, tmp_path, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    files = stored(tmp_path)
    assert found(files) == []
    store = Store(tmp_path / ".autolog")
    assert [run.status for run in store.runs(order_by="started")] == ["finished", "failed", "finished"]
    for run in store.runs():
        assert "settings.py" in run.environment["git"]["diff"]  # it is the diff that was searched
        assert run.environment["arguments"][1] == "--password"
    assert "403 from postgres://" in store.runs("status == 'failed'")[0].error


def test_secrets_in_sklearn_are_nowhere_in_the_store(tmp_path: Path) -> None:
    """A parameter that is a secret is in no model file either: such a model is not saved, and the run says why."""
    pytest.importorskip("sklearn")
    code = f"""
        import autolog
        autolog.autolog(silent=True)
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import GridSearchCV
        class Client(LogisticRegression):
            def __init__(self, password=None, C=1.0):
                super().__init__(C=C)
                self.password = password
        X, y = [[0.0], [1.0], [2.0], [3.0]] * 5, [0, 0, 1, 1] * 5
        Client({PASSWORD!r}).fit(X, y)
        GridSearchCV(Client({PASSWORD!r}), {{"C": [1.0, 2.0]}}, cv=2).fit(X, y)
        GridSearchCV(Client(), {{"password": [{PASSWORD!r}, {TOKEN!r}]}}, cv=2).fit(X, y)
        Client({AWS!r}).fit(X, y).score(X, y)
    """
    done = script(code, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert found(stored(tmp_path)) == []
    runs = Store(tmp_path / ".autolog").runs()
    assert len(runs) == 4
    assert all(any("secret" in note for note in run.notes) for run in runs)


@pytest.mark.parametrize("first", ["fit", "file", "large model"])
def test_the_store_is_its_users_alone(tmp_path: Path, first: str) -> None:
    """Whatever is written first, nobody else can look into the store; who shares it opens it once, and it stays open."""
    what = {
        "fit": "toy.Slope(rounds=2).fit([1.0, 2.0], [2.0, 4.0])",
        "file": "run.log_text('notes.txt', 'ok')",
        "large model": "run.log_model(LARGE, flavor='sklearn')",
    }
    code = f"""
        import autolog, toy
        from autolog.models import payload
        payload.MEMORY_LIMIT = 10                        # so that any model is a large one
        LARGE = toy.Mean()
        autolog.autolog(silent=True)
        with autolog.run() as run:
            {what[first]}
    """
    done = script(code, tmp_path)
    assert (done.stderr, done.returncode) == ("", 0)
    root = tmp_path / ".autolog"
    assert f"{root.stat().st_mode & 0o777:o}" == "700"
    assert list(Store(root).runs())
    root.chmod(0o750)
    script(code, tmp_path)
    assert f"{root.stat().st_mode & 0o777:o}" == "750"
