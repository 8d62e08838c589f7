"""Train ShapeNet: ``python scripts/train_shapenet.py fit --config CONFIG`` (configs/shapenet/).

Stop it with Ctrl-C at any time; continue with ``--ckpt_path RUN/checkpoints/last.ckpt``.
"""

from datasets.modules import PoseData
from eventhpe.training import TrainingCLI
from shapenet.training import ShapeTraining


def main() -> None:
    TrainingCLI("shapenet", ShapeTraining, PoseData)


if __name__ == "__main__":
    main()
