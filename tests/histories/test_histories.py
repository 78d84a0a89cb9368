"""What any release recorded replays with the code of today, and a change is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

import perdure
from perdure.model.codec import decode_history
from perdure.model.history import ExecutionStarted
from tests.histories.record import record
from tests.histories.recording import FOLDER, app_source, load_app, read, recordings, write
from tests.histories.replay import Changed, replay
from tests.histories.scenes import SCENES

FIRST = FOLDER / "0.1.0"


def _name(path: Path) -> str:
    return path.relative_to(FOLDER).with_suffix("").as_posix()


@pytest.mark.parametrize("hot", [True, False], ids=["session", "replayed"])
@pytest.mark.parametrize("path", recordings(), ids=_name)
def test_a_recording_replays_as_it_was_recorded(path: Path, hot: bool) -> None:
    recording = read(path)
    app = recording.header.app
    replay(recording, load_app(app, app_source(app)).app, hot=hot)


@pytest.mark.parametrize("path", recordings(), ids=_name)
def test_a_recording_says_what_made_it(path: Path) -> None:
    recording = read(path)
    header = recording.header
    started = next(e for e in decode_history(recording.turns[0].row) if isinstance(e, ExecutionStarted))
    assert header.release == path.relative_to(FOLDER).parts[0]
    assert header.schema >= 1
    assert header.history_format >= 1
    assert (header.logic, header.dialect, header.fingerprint) == (started.logic, started.dialect, started.app)
    assert (header.name, header.input, header.version) == (started.name, started.input, started.version)


def test_every_scene_is_recorded() -> None:
    recorded = {_name(path).partition("/")[2] for path in recordings()}
    assert [f"{app}/{scene}" for app in SCENES for scene in SCENES[app] if f"{app}/{scene}" not in recorded] == []


CHANGES = {
    "an input": (
        "chaining",
        ('"Tokyo"', '"Kyoto"'),
        "turn 1: another history row",
        "TaskScheduled(event_id=0, name='hello', input='\"Kyoto\"'",
    ),
    "a call": (
        "fan_out",
        ('"hello", name)', '"flaky", name)'),
        "turn 1: another history row",
        "TaskScheduled(event_id=0, name='flaky'",
    ),
    "a timer that is left": (
        "race",
        ("timer.cancel()", "pass"),
        "turn 2: another list of cancelled timers",
        "Recorded: (0,)\nNow: ()",
    ),
    "a time": ("race", ("minutes=1", "minutes=2"), "turn 2: another history row", "fire_at=1704067320250000"),
    "a status": ("status", ('{"step": 1}', '{"step": 0}'), "turn 1: another custom status", '{"step": 0}'),
    "an end": ("parent", ("[first, second]", "[second]"), "turn 3: another history row", "Hello b of parent!"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_told(change: str) -> None:
    scene, (before, after), where, now = CHANGES[change]
    source = app_source("classic").decode()
    assert before in source
    app = load_app("classic", source.replace(before, after).encode()).app
    with pytest.raises(Changed) as told:
        replay(read(FIRST / "classic" / f"{scene}.jsonl"), app, hot=True)
    text = str(told.value)
    assert f"'{scene}' (classic.py, instance '{scene}', generation 0) by perdure 0.1.0" in text
    assert "(schema 1, engine rules 1, dialect 1)" in text
    assert where in text
    assert now in text
    assert "A recording is never made anew" in text


def test_another_end_is_told() -> None:
    recording = read(FIRST / "classic" / "suspended.jsonl")
    other = replace(recording, header=replace(recording.header, status="Running"))
    app = load_app("classic", app_source("classic")).app
    with pytest.raises(
        Changed, match=r"another status at the end than was recorded.\nRecorded: 'Running'\nNow: 'Suspended'"
    ):
        replay(other, app, hot=False)


def test_what_is_recorded_is_never_written_again(tmp_path: Path) -> None:
    scenes = {"classic": {scene: SCENES["classic"][scene] for scene in ("chaining", "counting")}}
    made = record(tmp_path, scenes)
    names = ["chaining.jsonl", "counting.jsonl", "counting.generation1.jsonl", "counting.generation2.jsonl"]
    assert [path.name for path in made] == names
    assert all(read(path).header.release == perdure.__version__ for path in made)
    before = {path: path.read_bytes() for path in made}
    assert record(tmp_path, scenes) == []
    with pytest.raises(FileExistsError):
        write(made[0], read(made[1]))
    assert {path: path.read_bytes() for path in made} == before
