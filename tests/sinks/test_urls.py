"""URLs of sinks: found by their scheme, refused with a helpful word, and never shown with their credentials."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import script
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from truth import MLFLOW, TIMEOUT

import autolog
from autolog.sinks.address import Address
from autolog.testing import recorded

# -- credentials


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("console:", "console:"),
        ("jsonl:/data/a@b/events.jsonl", "jsonl:/data/a@b/events.jsonl"),
        ("jsonl:///data/a@b/events.jsonl", "jsonl:///data/a@b/events.jsonl"),
        ("mlflow+http://host:5000/api?limit=3", "mlflow+http://host:5000/api?limit=3"),
        ("carrier:ann:s3cr3t@loft/7", "carrier:loft/7"),
        ("mlflow+sqlite:////home/ann@b/runs.db", "mlflow+sqlite:////home/ann@b/runs.db"),
        ("MLflow+http://ann:s3cr3t@host:5000/api", "mlflow+http://host:5000/api"),
        ("wandb://0123456789abcdef@entity/project", "wandb://entity/project"),
        ("x://ann:a:b@[::1]:5000/", "x://[::1]:5000/"),
        (
            "x://h/p?limit=3&api_key=s3cr3t&sslpassword=t;token=u#auth=v",
            "x://h/p?limit=3&api_key=***&sslpassword=***;token=***#auth=***",
        ),
        ("x:?sig=s3cr3t", "x:?sig=***"),
    ],
)
def test_a_safe_url_is_the_url_without_its_credentials(url: str, safe: str):
    """What is kept and shown still says where events go."""
    assert Address(url).safe == safe


@pytest.mark.parametrize(
    "url",
    [
        "x://ann:one/two@host/p",
        "x://ann:one?two@host",
        "x://ann:one#two@host",
        "x://ann:1/one?two@host/p",
        "x://ann:one@two/six@host/p",
    ],
)
def test_an_unescaped_password_is_hidden(url: str):
    shown = Address(url).safe + Address(url).scrub(f"404 from {url}")
    assert not any(part in shown for part in ("one", "two", "six", "ann"))
    assert "host" in shown


SECRET = st.text(
    st.characters(min_codepoint=33, max_codepoint=1000, exclude_characters=":\x7f"), min_size=8, max_size=40
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(user=SECRET.filter(lambda user: user[0] != "/"), password=SECRET)
def test_no_password_is_ever_shown(user: str, password: str):
    """Whatever characters it has, escaped or not, in the URL or in an error's text."""
    address = Address(f"x://{user}:{password}@host.example/path")
    said = address.scrub(f"401: {user}:{password} or {password!s} at x://{user}:{password}@host.example/path")
    for shown in (address.safe, said):
        assert password not in shown


def test_credentials_reach_neither_the_store_nor_the_terminal(tmp_path: Path):
    """A password in a sink's URL, given on the command line, in code and in the environment, is nowhere afterwards: not in the
    journal, a kept position, a message, the status.
    """
    code = """
        import os, sys, autolog
        autolog.autolog(sinks=[sys.argv[2]])
        with autolog.run("r") as run:
            run.log_metrics({"loss": 1.0})
        autolog.flush(60, sinks=True)
        print(autolog.status(), autolog.status().to_dict())
        word = "hunter" + str(22)  # what stands in a script without a name is kept with the script
        for url in (f"unknown://ann:{word}@host", f"rude://ann:{word}@host", f"{word}@host", "x" * 40 + word):
            try:
                autolog.autolog(sinks=[url])
            except ValueError as error:
                print(error, error.__cause__, error.__context__)
        autolog.autolog(sinks=["ledger:ledger", sys.argv[2]])
        autolog.flush(60, sinks=True)
    """
    url = "refusing://t0k3nt0k3n@host/p?api_key=k3yk3yk3y"
    done = script(
        code,
        tmp_path,
        "--to",
        url,
        AUTOLOG_SINKS="rude://hunter22@host,refusing://:hunter22@host",
        timeout=TIMEOUT,
    )
    assert done.returncode == 0, done.stderr
    kept = {
        path.name: path.read_bytes()
        for path in tmp_path.rglob("*")
        if path.is_file() and path.name != "script.py"
    }
    assert len(kept) >= 3
    for name, text in {**kept, "stdout": done.stdout.encode(), "stderr": done.stderr.encode()}.items():
        for secret in (b"hunter22", b"t0k3nt0k3n", b"k3yk3yk3y"):
            assert secret not in text, name
    assert (
        "sink refusing://host/p?api_key=***  backing off, 0 events; 403 from refusing://***@host/p?api_key=***"
        in done.stdout
    )


@pytest.mark.parametrize(
    ("module", "url", "configured"),
    [
        ("mlflow", "mlflow+http://ann:hunter22@127.0.0.1:1", ""),
        ("mlflow", "mlflow", "http://ann:hunter22@127.0.0.1:1"),
        ("psycopg2", "mlflow+postgresql://ann:hunter22@127.0.0.1:1/runs", ""),
        ("psycopg2", "mlflow", "postgresql://ann:hunter22@127.0.0.1:1/runs"),
        ("mlflow", "mlflow+mssql+nothing://ann:hunter22@127.0.0.1:1/runs", ""),
        ("wandb", "wandb://hunter22hunter22hunter22hunter22hunter22@entity/project", ""),
        ("wandb", "wandb://project?mode=offline&api_key=hunter22", ""),
        ("tensorboard", "tensorboard://ann:hunter22@host/tb", ""),
        ("autolog", "jsonl://ann:hunter22@host/events.jsonl", ""),
        ("autolog", "console://ann:hunter22@host", ""),
    ],
)
def test_no_sink_reveals_its_credentials(tmp_path: Path, module: str, url: str, configured: str):
    """Whether they are in the URL or where the backend's own client is configured, whether the URL is refused or the place
    cannot be reached: they are in no file, on no terminal, in no status, not even in what `autolog sync` says of it.
    """
    pytest.importorskip(module)
    code = """
        import logging, os, sys, autolog
        logging.basicConfig(level=logging.INFO)
        if "postgresql" in sys.argv[1] + os.environ.get("MLFLOW_TRACKING_URI", ""):
            import mlflow.store.db.utils
            mlflow.store.db.utils.MAX_RETRY_COUNT = 2  # else MLflow tries to connect for minutes
        try:
            autolog.autolog(sinks=[sys.argv[1]], silent=True, exit_timeout=1)
        except (ValueError, ImportError) as error:
            print("refused", error, error.__cause__, error.__context__)
            autolog.autolog(sinks=[])
        with autolog.run("r") as run:
            run.log_metrics({"loss": 1.0})
        autolog.flush(2, sinks=True)
        print(autolog.status(), autolog.status().to_dict())
        sys.argv[:] = ["autolog", "sync", "--to", sys.argv[1]]
        from autolog.cli import main, sync
        sync.PATIENCE_SECONDS = 0
        main()
    """
    more = {"MLFLOW_TRACKING_URI": configured} if configured else {}
    beneath = {"mlflow": MLFLOW, "psycopg2": MLFLOW, "wandb": ("wandb",)}.get(module, ())
    done = script(code, tmp_path, url, timeout=4 * TIMEOUT, beneath=beneath, **more)
    kept = {
        path.relative_to(tmp_path).as_posix(): path.read_bytes() + str(path).encode()
        for path in tmp_path.rglob("*")
        if path.is_file()
    }
    assert any(name.startswith(".autolog/journal/") for name in kept)
    for name, text in {**kept, "stdout": done.stdout.encode(), "stderr": done.stderr.encode()}.items():
        assert b"hunter22" not in text, (name, text[-3000:])
    assert "Traceback" not in done.stderr


# -- choosing sinks


def test_an_unknown_scheme_is_an_error_that_suggests_the_nearest_one(
    monkeypatch: pytest.MonkeyPatch,
):
    with recorded(sinks=["memory:"]) as seen:
        before = seen.client.output.sinks
        with pytest.raises(ValueError) as caught:
            autolog.autolog(sinks=["console:", "jsnol:events.jsonl"])
        assert str(caught.value) == (
            "There is no sink 'jsnol'. Did you mean 'jsonl'? Installed sinks:"
            " console, faulty, halting, hanging, jsonl, ledger, memory, mlflow, refusing, rude, tensorboard, wandb."
        )
        assert seen.client.output.sinks == before


@pytest.mark.parametrize(
    ("sinks", "complaint"),
    [
        (["jsonl:"], "jsonl: needs the path of a file or named pipe, such as 'jsonl:events.jsonl'."),
        (["jsonl:."], "jsonl: needs the path of a file or named pipe; {here} is a folder."),
        (["jsonl:a", "jsonl:./a"], "The sink jsonl:{here}/a is given twice."),
        (["rude://host"], "The sink rude://host cannot be used: no such place as rude://host"),
        (
            ["/tmp/x"],
            "Name a sink by its URL, such as 'console:' or 'jsonl:events.jsonl'. Installed sinks: {all}.",
        ),
        ([""], "sinks must be URLs, as 'console:' or 'jsonl:events.jsonl'."),
        ([5], "sinks must be URLs, as 'console:' or 'jsonl:events.jsonl'."),
        (5, "sinks must be URLs, as 'console:' or 'jsonl:events.jsonl'."),
    ],
)
def test_a_wrong_sink_is_an_error_at_once(tmp_path: Path, sinks: object, complaint: str):
    everything = (
        "console, faulty, halting, hanging, jsonl, ledger, memory, mlflow, refusing, rude, tensorboard, wandb"
    )
    with recorded() as seen:
        with pytest.raises(ValueError) as caught:
            autolog.autolog(sinks=sinks)  # type: ignore[arg-type]
        assert str(caught.value) == complaint.format(here=tmp_path, all=everything)
        assert seen.client.output.sinks == ()


SAY = """
    import autolog
    from autolog import process
    autolog.autolog()
    print([sink.url for sink in process.get().output.sinks])
"""


def test_sinks_come_from_the_environment_and_from_files(tmp_path: Path):
    """The call goes before the environment, and that before the file."""
    assert script(SAY, tmp_path).stdout == "[]\n"
    (tmp_path / "pyproject.toml").write_text('[tool.autolog]\nsinks = ["memory:file", "jsonl:a,b"]\n')
    assert script(SAY, tmp_path).stdout == "['memory:file', 'jsonl:a,b']\n"
    assert script(SAY, tmp_path, AUTOLOG_SINKS="memory:1, memory:2").stdout == "['memory:1', 'memory:2']\n"
    given = SAY.replace("autolog.autolog()", "autolog.autolog(sinks='memory:given')")
    assert script(given, tmp_path, AUTOLOG_SINKS="memory:1").stdout == "['memory:given']\n"


def test_a_wrong_sink_in_the_environment_is_ignored_with_a_warning(tmp_path: Path):
    done = script(SAY, tmp_path, AUTOLOG_SINKS="jsnol:x,memory:,rude://ann:hunter22@host")
    assert (done.returncode, done.stdout) == (0, "['memory:']\n")
    unknown, rude = done.stderr.splitlines()
    assert unknown.startswith("There is no sink 'jsnol'. Did you mean 'jsonl'?")
    assert unknown.endswith("It is left out.")
    assert rude == "The sink rude://host cannot be used: no such place as rude://***@host. It is left out."


def test_an_explicit_run_without_autolog_reaches_the_sinks_of_the_environment(tmp_path: Path):
    code = """
        import autolog
        with autolog.run("by hand") as run:
            run.log_metrics({"loss": 0.5}, step=7)
    """
    lines = script(code, tmp_path, AUTOLOG_SINKS="console:").stderr.splitlines()
    assert "autolog: by hand · step 7 · loss 0.5" in lines
