"""Bodies shared by the room's tests."""

import pytest
import torch

from eventhpe.body import Body, load_body


@pytest.fixture(scope="session")
def body() -> Body:
    torch.set_num_threads(1)
    return load_body()
