"""The command line that both training scripts share."""

import json
import signal
import sys
import warnings
from dataclasses import asdict, replace
from pathlib import Path
from types import FrameType
from typing import Any

from lightning import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_info

from eventhpe.errors import InputError
from eventhpe.weights import load_weights

EXIT_BAD_INPUT = 2
FLOW_CHANNELS = 2  # of ShapeNet's input, behind the events
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class KeepLast(Checkpoint):
    """Keeps ``last.ckpt`` beside the best checkpoint, so that a run can go on exactly from there.

    It is written after each validation and after the very last step. (ModelCheckpoint's own
    ``save_last`` writes it only when a validation was the best one.) Ctrl-C, or SIGTERM, stops
    training after the step at hand, for an interrupt inside of one would leave weights that are
    updated by halves; ``last.ckpt`` is then written after that step, and after a validation that is
    due there. A second signal stops at once, and what ``last.ckpt`` held before is kept.
    """

    def __init__(self) -> None:
        self._asked = False  # by a signal
        self._stopping = False  # after a step that every rank has done
        self._previous: dict[signal.Signals, Any] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for name in _SIGNALS:
            self._previous[name] = signal.signal(name, self._ask)

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        # One rank's signal stops all of them, or the others would wait for it for ever.
        self._stopping = trainer.strategy.reduce_boolean_decision(self._asked, all=False)
        if self._stopping or trainer.global_step == trainer.estimated_stepping_batches:
            _save_last(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            _save_last(trainer)

    def on_train_batch_start(self, *_: Any) -> None:
        if self._stopping:
            raise KeyboardInterrupt

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._restore()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: Any) -> None:
        self._restore()

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
        rank_zero_info("\nStopping after this step; once more stops at once.")

    def _restore(self) -> None:
        while self._previous:
            signal.signal(*self._previous.popitem())


def _save_last(trainer: Trainer) -> None:
    folder = getattr(trainer.checkpoint_callback, "dirpath", None)
    if folder and not trainer.fast_dev_run:  # type: ignore[attr-defined]
        trainer.save_checkpoint(Path(folder) / "last.ckpt")


class TrainingCLI(LightningCLI):
    """LightningCLI with the standards of both stages.

    ``--init CARD.json`` begins with released weights, not with random ones; of a ShapeNet with
    another head it takes the image features, and a ShapeNet that withholds the flow passes over the
    first layer's weights for it. A run can be stopped and resumed exactly (`KeepLast`,
    `datasets.ordered`). Where several processes train, each takes its own items, and each validates
    on all of them.

    Args:
        network: ``flownet`` or ``shapenet``, what ``model`` trains.
        model: its training module, with the network as ``network``.
        data: its data module.
        common: a configuration under all others, if there is one.
        links: arguments that others always equal, such as what loss the data are for.
    """

    def __init__(
        self,
        network: str,
        model: type[LightningModule],
        data: type[LightningDataModule],
        common: Path | None = None,
        links: dict[str, str] | None = None,
    ) -> None:
        self._network = network
        self._links = links or {}
        # Lightning looks for a loader that saves its place; ours is kept by the data module.
        warnings.filterwarnings("ignore", message=".*your dataloader is not resumable.*")
        try:
            super().__init__(
                model,
                data,
                save_config_kwargs={"overwrite": True},
                # Its sampler would replace `datasets.ordered`'s.
                trainer_defaults={"use_distributed_sampler": False, "callbacks": [KeepLast()]},
                auto_configure_optimizers=False,
                parser_kwargs={"fit": {"default_config_files": [str(common)] if common else []}},
            )
        except InputError as error:
            print(f"error: {error}", file=sys.stderr)
            raise SystemExit(EXIT_BAD_INPUT) from None

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--init", type=Path | None, default=None, help="card of weights")
        for source, target in self._links.items():
            parser.link_arguments(source, target)

    def before_fit(self) -> None:
        self._check_channels()
        init: Path | None = self.config["fit"]["init"]
        if init is None:
            return
        state, card = load_weights(init, self._network)
        network: Any = self.model.network
        config = json.loads(json.dumps(network.config_dict()))
        if config.get("head") != card.config.get("head"):  # what it sees is of use to any head
            card = replace(card, config={**card.config, "head": config["head"]})
            images = {k: v for k, v in state.items() if k.split(".")[0] in network.IMAGE_MODULES}
            state = {**network.state_dict(), **images}
        if config.get("flow") is False and card.config.get("flow"):
            card = replace(card, config={**card.config, "flow": False})
            first = network.FIRST_LAYER
            state = {**state, first: state[first][:, :-FLOW_CHANNELS]}
        recipe = replace(self.datamodule.recipe, size=card.recipe.size)  # convolutions fit any size
        for found, expected, flag in (
            (card.config, config, "--model"),
            (asdict(card.recipe), asdict(recipe), "--data.recipe"),
        ):
            differing = [name for name in expected if found.get(name) != expected[name]]
            if differing:
                raise InputError(
                    init,
                    "weights with " + ", ".join(f"{n} = {found.get(n)}" for n in differing),
                    ", ".join(f"{n} = {expected[n]}" for n in differing),
                    f"Give {flag}.* the card's values, or take other weights.",
                )
        network.load_state_dict(state)

    def _check_channels(self) -> None:
        """Raise `InputError` where the network does not read what the recipe gives."""
        channels = self.model.network.config.in_channels
        extra = 0 if self._network == "flownet" else FLOW_CHANNELS
        bins = self.datamodule.recipe.bins
        if channels != bins + extra:
            raise InputError(
                "--model.in_channels",
                f"{channels} channels",
                f"{bins + extra} for a recipe of {bins} bins",
                f"Give --model.in_channels={bins + extra}, or another --data.recipe.bins.",
            )
