"""Turn a training run into released weights: ``python scripts/export_weights.py RUN OUT.json``.

RUN is the folder a training script wrote: ``config.yaml`` and ``checkpoints/best.ckpt``.
Writes OUT.json (the card) and OUT.safetensors (float16) beside it.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import yaml

from eventhpe.errors import InputError
from eventhpe.events.recipe import InputRecipe
from eventhpe.weights import Card, load_weights, save_weights
from flownet.training import FlowTraining
from shapenet.training import ShapeTraining


def export(run: Path, out: Path, licence: str, note: str = "") -> Card:
    """Write the card and the tensors of a run's best checkpoint.

    Raises:
        InputError: the run holds no configuration or no checkpoint yet.
    """
    config_path, checkpoint_path = run / "config.yaml", run / "checkpoints" / "best.ckpt"
    for path in (config_path, checkpoint_path):
        if not path.is_file():
            raise InputError(path, "no such file", "a training run", "Train first.")
    config: dict[str, Any] = yaml.safe_load(config_path.read_text())
    checkpoint = torch.load(checkpoint_path, map_location="cpu", weights_only=True)
    data = config["data"]
    training: type[FlowTraining] | type[ShapeTraining]
    flow_size = None
    if "flownet" in data:
        name, training = "shapenet", ShapeTraining
        recipe = load_weights(Path(data["flownet"]), "flownet")[1].recipe
        flow_size = data["flow_size"] or recipe.size
        recipe = replace(recipe, size=data["size"])
    else:
        name, training = "flownet", FlowTraining
        recipe = InputRecipe(**(data["recipe"] or {}))
    network = training.load_from_checkpoint(checkpoint_path, map_location="cpu").network
    card = Card(
        network=name,
        config=network.config_dict(),
        recipe=recipe,
        training={
            "script": f"scripts/train_{name}.py fit",
            "model": config["model"],
            "data": data,
            "begun_with": config["init"],
            "steps": int(checkpoint["global_step"]),
            "validation": _validation(checkpoint),
            **({"note": note} if note else {}),
        },
        licence=licence,
        flow_size=flow_size,
    )
    return save_weights(out, network.state_dict(), card)


def _validation(checkpoint: dict[str, Any]) -> dict[str, float]:
    """The monitored figure of the checkpoint that is exported."""
    for state in checkpoint["callbacks"].values():
        if "best_model_score" in state and state["best_model_score"] is not None:
            return {state["monitor"]: round(float(state["best_model_score"]), 5)}
    return {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="folder of the training run")
    parser.add_argument("out", type=Path, help="card to write (.json)")
    parser.add_argument(
        "--licence", default="not stated", help="what the data allow; goes into the card"
    )
    parser.add_argument(
        "--note", default="", help="what the configuration does not say of the training"
    )
    options = parser.parse_args()
    try:
        card = export(options.run, options.out, options.licence, options.note)
    except InputError as error:
        parser.exit(2, f"error: {error}\n")
    print(f"{options.out}: {card.network}, {card.training}")


if __name__ == "__main__":
    main()
