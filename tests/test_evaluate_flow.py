"""``scripts/evaluate.py flow`` and ``focus`` as a user meets them."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eventhpe.events.recording import open_recording
from eventhpe.weights import load_weights
from scripts.evaluate import main

pytest.importorskip("cv2")


@pytest.fixture
def card(untrained_cards):
    return str(untrained_cards[0])


def test_flow_prints_a_table_and_writes_rows_and_pictures(
    simulated_recording, card, tmp_path, capsys
):
    out = tmp_path / "out"
    folder = str(simulated_recording.parent)
    arguments = ["flow", folder, "--card", card, "--out", str(out), "--pictures", "2"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "4 windows of 50 ms" in printed
    for method in ("zero flow", "DIS on event counts", "flownet"):
        assert printed.count(f"\n{method} ") == 2
    report = json.loads((out / "flow.json").read_text())
    assert (report["windows"], report["window_us"], report["interrupted"]) == (4, 50_000, False)
    assert report["weights"] == {"flownet": load_weights(Path(card), "flownet")[1].sha256}
    rows = {(row["truth"], row["method"], row["group"]): row for row in report["rows"]}
    zero = rows["events", "zero flow", "all"]
    assert zero["aee_over_zero"] == 1
    found = rows["events", "flownet", "all"]
    assert found["pixels"] == zero["pixels"]
    assert found["aee_over_zero"] == pytest.approx(found["aee"] / zero["aee"])
    assert f"{found['aee']:.2f}" in printed
    with (out / "flow.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [float(line["aee"]) for line in lines] == [row["aee"] for row in report["rows"]]
    pictures = sorted(out.glob("walk-at-*ms.png"))
    assert len(pictures) == 2
    # Events, two truths, two methods and the wheel, four in a row.
    assert Image.open(pictures[0]).size == (4 * 324 - 4, 2 * 346 - 4)


def test_focus_prints_a_table_and_writes_pictures(simulated_recording, card, tmp_path, capsys):
    arguments = ["focus", str(simulated_recording), "--card", card, "--window-ms", "100", "200"]
    assert main([*arguments, "--out", str(tmp_path), "--pictures", "1"]) == 0
    printed = capsys.readouterr().out
    for length in ("100", "200"):
        assert f"windows of {length} ms" in printed
        [picture] = tmp_path.glob(f"walk-{length}ms-at-*.png")
        pixels = np.asarray(Image.open(picture))
        # Four images of events, each with something in it.
        assert all(pixels[30:, k * 324 : k * 324 + 320].max() == 255 for k in range(4))
    assert printed.count("\nbest constant flow") == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["flow", "{folder}/none"], "no .h5 recordings"),
        (["flow", "{plain}"], "without ground truth"),
        (["flow", "{folder}", "--card", "{shapenet}"], "a card of shapenet"),
        (["flow", "{folder}", "--card", "none.json"], "cannot be read"),
        (["flow", "{folder}", "--card", "{card}", "--window-ms", "60000"], "no window of 60000 ms"),
        (["focus", "{folder}/none.aedat"], "no readable file"),
    ],
)
def test_bad_input_is_told_in_a_line(
    arguments, message, simulated_recording, untrained_cards, tmp_path, capsys
):
    from eventhpe.events.formats.dsec_writer import DsecWriter

    with DsecWriter(tmp_path / "plain.h5", 128, 128) as writer:
        writer.append(open_recording(simulated_recording).read(0, 600_000))
    names = {
        "folder": simulated_recording.parent,
        "plain": tmp_path,
        "card": untrained_cards[0],
        "shapenet": untrained_cards[1],
    }
    assert main([argument.format(**names) for argument in arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("length", ["0", "-5", "nan", "soon"])
def test_a_length_of_time_is_positive(length, simulated_recording):
    with pytest.raises(SystemExit) as stop:
        main(["flow", str(simulated_recording.parent), "--every-s", length])
    assert stop.value.code == 2
