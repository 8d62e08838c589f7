"""Train FlowNet: ``python scripts/train_flownet.py fit --config CONFIG`` (configs/flownet/).

Stop it with Ctrl-C at any time; continue with ``--ckpt_path RUN/checkpoints/last.ckpt``.
"""

from datasets.modules import FlowData
from eventhpe.training import TrainingCLI
from flownet.training import FlowTraining


def main() -> None:
    TrainingCLI("flownet", FlowTraining, FlowData)


if __name__ == "__main__":
    main()
