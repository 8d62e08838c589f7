"""Train ShapeNet: ``python scripts/train_shapenet.py fit --config CONFIG`` (configs/shapenet/).

Stop it with Ctrl-C at any time; continue with ``--ckpt_path RUN/checkpoints/last.ckpt``.
"""

from lightning.pytorch.cli import LightningCLI

from datasets.modules import PoseData
from shapenet.training import ShapeTraining


def main() -> None:
    LightningCLI(ShapeTraining, PoseData, save_config_kwargs={"overwrite": True})


if __name__ == "__main__":
    main()
