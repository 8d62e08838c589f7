"""The command line that both training scripts share."""

from pathlib import Path
from typing import Any

from lightning import LightningDataModule, LightningModule
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from eventhpe.weights import load_weights


class TrainingCLI(LightningCLI):
    """LightningCLI with ``--init CARD.json``: begin with released weights, not with random ones.

    Args:
        network: ``flownet`` or ``shapenet``, what ``model`` trains.
        model: its training module, with the network as ``network``.
        data: its data module.
    """

    def __init__(
        self, network: str, model: type[LightningModule], data: type[LightningDataModule]
    ) -> None:
        self._network = network
        super().__init__(model, data, save_config_kwargs={"overwrite": True})

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--init", type=Path | None, default=None, help="card of weights")

    def before_fit(self) -> None:
        init: Path | None = self.config["fit"]["init"]
        if init is not None:
            state, _ = load_weights(init, self._network)
            network: Any = self.model.network
            network.load_state_dict(state)
