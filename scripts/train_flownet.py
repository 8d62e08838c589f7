"""Train FlowNet: ``python scripts/train_flownet.py fit --config CONFIG`` (configs/flownet/).

Stop it with Ctrl-C at any time; continue with ``--ckpt_path RUN/checkpoints/last.ckpt``.
"""

from lightning.pytorch.cli import LightningCLI

from datasets.modules import FlowData
from flownet.training import FlowTraining


def main() -> None:
    LightningCLI(FlowTraining, FlowData, save_config_kwargs={"overwrite": True})


if __name__ == "__main__":
    main()
