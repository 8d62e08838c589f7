"""Each top-level package stands alone: imported first, in a fresh process."""

import subprocess
import sys

import pytest

HEAVY = ("faery", "pyrender", "viser")


@pytest.mark.parametrize(
    "package",
    [
        "eventhpe",
        "flownet.training",
        "shapenet.training",
        "datasets.modules",
        "eventhpe.simulation.simulate",
        "eventhpe.cli",
    ],
)
def test_imports_alone(package):
    code = (
        f"import sys, {package}; print([m for m in {HEAVY} if m in sys.modules]); "
        f"assert not [m for m in {HEAVY} if m in sys.modules]"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_command_starts_without_torch():
    code = "import sys, eventhpe.cli; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
