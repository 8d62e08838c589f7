"""Train FlowNet: ``python scripts/train_flownet.py fit --config CONFIG`` (configs/flownet/).

``common.yaml`` lies under every configuration. Stop a run with Ctrl-C at any time; continue with
``--ckpt_path RUN/checkpoints/last.ckpt``. See docs/training.md.
"""

from pathlib import Path

from datasets.modules import FlowData
from eventhpe.training import TrainingCLI
from flownet.training import FlowTraining

COMMON = Path(__file__).parent / "configs" / "flownet" / "common.yaml"


def main() -> None:
    # The loss says what must come beside the events.
    TrainingCLI("flownet", FlowTraining, FlowData, COMMON, {"model.loss": "data.loss"})


if __name__ == "__main__":
    main()
