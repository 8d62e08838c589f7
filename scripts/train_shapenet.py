"""Train ShapeNet: ``python scripts/train_shapenet.py fit --config CONFIG`` (configs/shapenet/).

``common.yaml`` lies under every configuration. Stop a run with Ctrl-C at any time; continue with
``--ckpt_path RUN/checkpoints/last.ckpt``. See docs/training.md.
"""

from pathlib import Path

from datasets.modules import PoseData
from eventhpe.training import TrainingCLI
from shapenet.training import ShapeTraining

COMMON = Path(__file__).parent / "configs" / "shapenet" / "common.yaml"


def main() -> None:
    TrainingCLI("shapenet", ShapeTraining, PoseData, COMMON)


if __name__ == "__main__":
    main()
