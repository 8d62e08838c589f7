"""The fuzzer's harness: it lets good and bad input pass, and catches what is neither."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from eventhpe.events import EventStream, recording
from scripts.fuzz import TARGETS, check
from tests.conftest import ROOT


@pytest.mark.parametrize("decoder", sorted(TARGETS))
def test_seeds_and_noise_pass(decoder: str) -> None:
    make_target, make_seeds = TARGETS[decoder]
    target = make_target()
    for seed in make_seeds():
        for cut in range(0, len(seed) + 1, 3):
            target(seed[:cut])
    for seed in range(20):
        target(np.random.default_rng(seed).bytes(200))


def test_another_error_than_an_input_error_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise IndexError("read past the end")

    monkeypatch.setattr(recording, "open_recording", broken)
    target = TARGETS["aedat2"][0]()
    with pytest.raises(IndexError):
        target(b"\r\n")


@pytest.mark.parametrize(
    ("x", "t", "p"), [([5, 20], [1, 2], [0, 1]), ([5, 6], [2, 1], [0, 1]), ([5, 6], [1, 2], [0, 2])]
)
def test_events_that_break_a_promise_are_a_finding(x, t, p) -> None:
    with pytest.raises(AssertionError):
        check(EventStream.from_arrays(*map(np.array, (x, [1, 1], t, p)), 20, 12))


def test_a_short_run_finds_nothing(tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="atheris has wheels for Linux on x86-64 only")
    command = [sys.executable, "-m", "scripts.fuzz", "aedat2", "--runs", "300"]
    run = subprocess.run(
        [*command, "--out", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert "Done 300 runs" in run.stderr
    assert sorted(p.name for p in (tmp_path / "aedat2").iterdir()) == ["corpus", "seeds"]
    kept = next((tmp_path / "aedat2" / "corpus").iterdir())
    again = [*command[:4], "--replay", str(kept)]
    assert subprocess.run(again, cwd=ROOT, check=False).returncode == 0
