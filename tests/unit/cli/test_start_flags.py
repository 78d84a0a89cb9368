"""The flags of `perdure start`."""

from __future__ import annotations

from pathlib import Path

import pytest

from perdure.cli.main import main
from perdure.cli.start import configured, parse
from perdure.host.errors import UsageError
from perdure.host.settings.config import Flags


def test_no_flags() -> None:
    assert parse([]) == (Flags(), [])


def test_all_flags() -> None:
    words = (
        "-p 8080 --address 0.0.0.0 --cors https://a.example --cors-credentials --functions A B --timeout 5 "
        "--user-log-level Debug --useHttps --cert c.pem --password p --verbose --script-root app --no-reload "
        "--log-format json --enableAuth --debug 5679 --debug-wait"
    )
    flags, ignored = parse([*words.split(), "--language-worker", "-m debugpy --listen 5678"])
    assert ignored == []
    assert flags == Flags(
        port=8080,
        address="0.0.0.0",
        cors="https://a.example",
        cors_credentials=True,
        functions=("A", "B"),
        enable_auth=True,
        timeout=5.0,
        user_log_level="Debug",
        language_worker="-m debugpy --listen 5678",
        use_https=True,
        cert="c.pem",
        password="p",
        verbose=True,
        script_root="app",
        reload=False,
        log_format="json",
        debug=5679,
        debug_wait=True,
    )


def test_debug_has_a_usual_port() -> None:
    assert parse(["--debug"])[0].debug == 5678


def test_flags_of_other_languages_have_no_effect() -> None:
    flags, ignored = parse(["--no-build", "--runtime", "default", "--verbose", "--json-output-file=x"])
    assert flags == Flags(verbose=True)
    assert ignored == ["--no-build", "--runtime", "--json-output-file"]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (
            ["--prt", "1"],
            "perdure start: '--prt' is unknown. Did you mean --port? 'perdure start --help' lists the flags.",
        ),
        (["here"], "perdure start: 'here' is unknown. 'perdure start --help' lists the flags."),
        (["--port", "x"], "perdure start: argument -p/--port: invalid int value: 'x'. 'perdure start --help' lists"),
        (["--log-format", "xml"], "perdure start: argument --log-format: invalid choice: 'xml'"),
    ],
)
def test_wrong_flags(words: list[str], text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(words)
    assert str(caught.value).startswith(text)


def test_exit_codes_and_error_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["start", "--bogus"]) == 2
    assert capsys.readouterr().err.startswith("perdure start: '--bogus' is unknown.")
    assert main(["host", "start"]) == 1
    assert capsys.readouterr().err.startswith(
        "Host.json file is missing. Please make sure host.json file is present at"
    )
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    assert main(["start", "--enableAuth"]) == 1
    assert capsys.readouterr().err.startswith("--enableAuth: function keys are not built yet")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    import perdure

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"{perdure.__version__}\n"


def test_flags_without_effect_are_named_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    monkeypatch.chdir(tmp_path)
    config = configured(*parse(["--no-build"]))
    assert config.notes == (("Information", "--no-build has no effect here."),)
