"""A simulated recording as the evaluation sees it, and a method that knows its truth."""

import numpy as np
import pytest

from datasets.folders import load_recordings
from eventhpe.body import load_body
from eventhpe.evaluation.flow import event_truth
from eventhpe.events.recipe import InputRecipe


@pytest.fixture(scope="session")
def recording(simulated_recording):
    return load_recordings(simulated_recording.parent, InputRecipe(), load_body())[0]


@pytest.fixture(scope="session")
def oracle(recording):
    return Oracle(recording)


class Oracle:
    name = "oracle"

    def __init__(self, recording):
        self.recording = recording

    def at(self, window, pixels):
        known = event_truth(self.recording, window)
        flows = dict(zip(map(tuple, known.pixels.tolist()), known.flow, strict=True))
        unknown = np.zeros(2, np.float32)
        return np.array([flows.get(tuple(pixel), unknown) for pixel in pixels.tolist()], np.float32)
