"""Secrets that a script handles are nowhere in the store, in no file and in no encoding of it."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import quote

import pytest
from helpers import clean_script, files_below, found, script
from secrets_corpus import PLACES
from secrets_corpus import SECRETS as MANY

from autolog.store.records import Store

# Not real ones: of the right shape, and each with a middle that can be searched for.
AWS = "AKIA" + "QWERTYUIOPASDFGH"
PASSWORD = "correct-horse-battery"
TOKEN = "tok-4f9a8c7b6d5e"
URL_PASSWORD = "s3cr3t-in-url"
GITHUB = "ghp_" + "abcdefghijklmnopqrstuvwxyz012345"
IN_DIFF = "hunter2-in-a-diff"
IN_ERROR = "known-only-by-its-name"
SKLEARN = ("sklearn.ensemble", "sklearn.linear_model", "sklearn.model_selection", "sklearn.pipeline")
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


def test_the_scanner_finds_a_secret_in_any_encoding() -> None:
    secret = 'hunter2 "& more"'
    text = f"x{secret}y"
    forms = {
        "plain": text.encode(), "name": b"", "url": quote(text).encode(), "json": json.dumps(text).encode(),
        "hex": text.encode().hex().encode(), "windows": text.encode("utf-16"), "numpy": text.encode("utf-32"),
        **{f"base 64 from {shift}": base64.b64encode(bytes(shift) + text.encode()) for shift in range(3)},
    }  # fmt: skip
    assert [name for name, _ in found(forms, [secret])] == [name for name in forms if name != "name"]
    assert found({f"a/{secret}.txt": b""}, [secret]) == [(f"a/{secret}.txt", secret)]


def stored(folder: Path) -> dict[str, bytes]:
    """All files of the store, the index included."""
    Store(folder / ".autolog").runs(children=True)
    return files_below(folder / ".autolog")


@pytest.mark.skipif(shutil.which("git") is None, reason="no git")
def test_planted_secrets_are_nowhere_in_the_store(tmp_path: Path) -> None:
    """An AWS key, a password in argv, tokens in params, tags, URLs, a note, an exception's message and a git diff."""
    (tmp_path / "settings.py").write_text("DEBUG = True\n")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@x"]
    for arguments in (["init", "-q"], ["add", "settings.py"], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *arguments], check=True, timeout=60)
    (tmp_path / "settings.py").write_text(f'DEBUG = True\nDB_PASSWORD = "{IN_DIFF}"\nKEY = "{AWS}"\n')
    arguments = ["--password", PASSWORD, f"--api-key={TOKEN}", f"--store=https://u:{URL_PASSWORD}@host/"]
    clean_script(SCRIPT, tmp_path, *arguments)
    files = stored(tmp_path)
    assert found(files, SECRETS) == []
    store = Store(tmp_path / ".autolog")
    assert [run.status for run in store.runs(order_by="started")] == ["finished", "failed", "finished"]
    for run in store.runs():
        assert "settings.py" in run.environment["git"]["diff"]  # it is the diff that was searched
        assert run.environment["arguments"][1] == "--password"
    assert "403 from postgres://" in store.runs("status == 'failed'")[0].error


CORPUS = """
    import json, pathlib
    import autolog
    autolog.autolog(silent=True, sinks="jsonl:../sent")
    for number, (name, value, texts) in enumerate(json.loads(pathlib.Path("../corpus.json").read_text())):
        nested = {"rows": [{"name": name, "value": value}], "deep": {"er": {name: value}}, "pair": (name, value)}
        try:
            with autolog.run(f"run {number}", tags={name: value, "text": texts[0]}) as run:
                run.log_params({**{f"p{at}": text for at, text in enumerate(texts)}, "nested": nested})
                run.note(texts[1])
                run.log_dataset([1.0], known={name: value})
                run.record_child("c", kind="candidate", params={name: value}, metrics={})
                raise RuntimeError(texts[2])
        except RuntimeError:
            pass
"""


@pytest.mark.skipif(shutil.which("git") is None, reason="no git")
def test_no_secret_of_the_corpus_is_stored_or_sent(tmp_path: Path) -> None:
    """Params, tags, notes, data, candidates, exceptions, a diff, arguments: each secret in a third of all places."""
    texts = [
        (secret.name, secret.value, [
            template.format(name=secret.name, s=secret.value, url=quote(secret.value, safe=""))
            for at, template in enumerate(PLACES.values()) if (at + number) % 3 == 0
        ])
        for number, secret in enumerate(MANY)
    ]  # fmt: skip
    (tmp_path / "corpus.json").write_text(json.dumps(texts))
    project = tmp_path / "project"
    project.mkdir()
    (project / "settings.txt").write_text("lr = 0.1\n")
    git = ["git", "-C", str(project), "-c", "user.name=x", "-c", "user.email=x@x"]
    for arguments in (["init", "-q"], ["add", "settings.txt"], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *arguments], check=True, timeout=60)
    (project / "settings.txt").write_text("\n".join(text for _, _, some in texts for text in some[::4]))
    arguments = [part for secret in MANY[::7] for part in (f"--{secret.name}", secret.value)]
    clean_script(CORPUS, project, *arguments)
    files = {**files_below(project / ".autolog"), "sent": (tmp_path / "sent").read_bytes()}
    runs = Store(project / ".autolog").runs("status == 'failed'")
    assert len(runs) == len(MANY)
    assert len(runs[0].environment["git"]["diff"]) > 40_000
    assert all(len(run.params) > 15 for run in runs)
    assert found(files, [secret.value for secret in MANY]) == []


ESCAPES = "\x1b[2J\x9b2J\u202e\r\n"
HOSTILE = f"""
    import os, subprocess, sys, tempfile
    import autolog, toy
    autolog.autolog()

    class Named(toy.Slope):
        pass

    Named.__qualname__ = Named.__name__ = "Slope{ESCAPES!r}"[:-1].replace("'", "")
    long, evil = "x" * 300, {ESCAPES!r}
    with autolog.run("{GITHUB}", tags={{"{GITHUB}": evil, evil: 1}}) as run:
        run.log_params({{"https://me:{URL_PASSWORD}@host/": 1, evil: 2, "{AWS} and more": 3, "../../up": 4, long: 5}})
        for step in range(2):
            run.log_metrics({{"https://me:{URL_PASSWORD}@host/ms": 1.0, "using {AWS}": 2.0, evil: 3.0, "../../up": 4.0}})
        run.record_child("{AWS}", kind="candidate", params={{"{GITHUB}": 1}}, metrics={{"with {AWS}": 1.0}})
        run.note("Bearer {GITHUB}")
        for name in ("up\\\\..\\\\..", evil, "-rf", "a b;c", "\u202etxt"):
            run.log_text(name, "fine")
        for name in ("../up", "/up", "C:/up", "nul\\0", ""):
            try:
                run.log_text(name, "up")
                raise SystemExit(name + " was taken")
            except ValueError:
                pass
    for name in ("../../../up", evil, "--yes", long, "", "/up", "a/../../up"):
        with autolog.run(name):
            Named(rounds=2).fit([1.0, 2.0], [2.0, 4.0])
    try:
        with autolog.run():
            raise RuntimeError("no entry with key {AWS}")
    except RuntimeError:
        pass
"""


@pytest.mark.skipif(shutil.which("git") is None, reason="no git")
def test_no_name_leads_out_of_the_store_or_reveals_a_secret(tmp_path: Path) -> None:
    """Names of runs, experiments, tags, params, metrics, files and classes, of the script's folder and its branch; a remote's
    URL, settings and variables: in the store, in sinks, in the user's folders and in the temporary folder. With a umask of 0,
    nobody else can read a thing, and nothing is left behind.
    """
    pytest.importorskip("tensorboard")
    places = {name: tmp_path / name for name in ("home", "tmp", "sinks", f"project-{GITHUB}")}
    for place in places.values():
        place.mkdir(mode=0o700)
    project = places[f"project-{GITHUB}"]
    (project / "autolog.toml").write_text(
        f'experiment = "x {GITHUB}"\nsinks = ["jsonl:{tmp_path}/sinks/events", "tensorboard:{tmp_path}/sinks/tb"]\n'
    )
    git = ["git", "-C", str(project), "-c", "user.name=x", "-c", "user.email=x@x"]
    remote = f"https://me:{URL_PASSWORD}@example.org/x.git"
    for command in (
        "init -q",
        "commit -q --allow-empty -m x",
        f"checkout -q -b x/{GITHUB}",
        f"remote add origin {remote}",
    ):
        subprocess.run([*git, *command.split()], check=True, timeout=60)
    variables = {
        "HOME": str(tmp_path / "home"),
        "TMPDIR": str(tmp_path / "tmp"),
        "AUTOLOG_TAGS": f"secret={IN_ERROR},x={AWS}",
    }
    umask = os.umask(0)
    try:
        done = script(
            HOSTILE, project, "--token", TOKEN, DATABASE_URL=f"postgres://me:{URL_PASSWORD}@db/", **variables
        )
    finally:
        os.umask(umask)
    assert done.returncode == 0, done.stderr
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", done.stderr)
    records = Store(project / ".autolog").runs(children=True, order_by="started")
    assert [record.status for record in records] == ["finished"] * 9 + ["failed"]
    assert len(records[0].artifacts) == 5
    assert len(records[0].metrics) == len(records[0].tags) == 4

    made = {
        **files_below(project / ".autolog"),
        **files_below(tmp_path / "home"),
        **files_below(tmp_path / "sinks"),
    }
    assert len(made) > 15
    assert found(made, SECRETS) == []
    assert found({"stderr": done.stderr.encode()}, SECRETS) == []
    assert sorted(path.name for path in project.iterdir()) == [
        ".autolog",
        ".git",
        "autolog.toml",
        "script.py",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(places)
    assert list((tmp_path / "tmp").iterdir()) == []
    modes = {
        str(path.relative_to(tmp_path)): f"{path.stat().st_mode & 0o777:o}"
        for path in [project / ".autolog", *(tmp_path / "home").rglob("*")]
    }
    assert modes == {
        f"project-{GITHUB}/.autolog": "700",
        "home/.config": "700",
        "home/.config/autolog": "700",
        "home/.config/autolog/key": "600",
    }


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
    clean_script(code, tmp_path, beneath=SKLEARN)
    assert found(stored(tmp_path), SECRETS) == []
    runs = Store(tmp_path / ".autolog").runs()
    assert len(runs) == 4
    assert all(any("secret" in note for note in run.notes) for run in runs)


@pytest.mark.parametrize("first", ["fit", "file", "large model"])
def test_only_the_user_can_read_a_new_store(tmp_path: Path, first: str) -> None:
    """Whatever is written first, nobody else can look into the store; who shares it opens it once, and it stays open."""
    what = {
        "fit": "toy.Slope(rounds=2).fit([1.0, 2.0], [2.0, 4.0])",
        "file": "run.log_text('notes.txt', 'ok')",
        "large model": "run.log_model(LARGE, flavor='sklearn')",
    }
    code = f"""
        import autolog, toy
        from autolog.models import staging
        staging.MEMORY_LIMIT = 10                        # so that any model is a large one
        LARGE = toy.Mean()
        autolog.autolog(silent=True)
        with autolog.run() as run:
            {what[first]}
    """
    beneath = SKLEARN if first == "large model" else ()
    clean_script(code, tmp_path, beneath=beneath)
    root = tmp_path / ".autolog"
    assert f"{root.stat().st_mode & 0o777:o}" == "700"
    assert list(Store(root).runs())
    root.chmod(0o750)
    script(code, tmp_path)
    assert f"{root.stat().st_mode & 0o777:o}" == "750"
