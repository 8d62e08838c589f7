"""What FlowNet makes of some validation windows, as one picture in TensorBoard.

Each row is a window: its events (ON red, OFF blue), the predicted flow, the true flow where there
is one (grey where it is not defined), the colours of both with the length of the full colour, the
image of events as they came and as they are when carried along the predicted flow to the window's
middle, and, where the batch has frames, the first frame beside the second one fetched along the
flow. The better the flow, the sharper the carried events, and the more alike the frames.
"""

from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from flownet.colours import flow_to_colour, wheel
from flownet.warping import backward_warp, sample_flow, splat, warp_events

TAG = "val/windows"
_TILE = 160  # least side of a tile, pixels
_GAP = 4
_HEADING = 16  # height of the line of titles
_PERCENTILE = 0.99  # lengths and counts above it do not set the scale


class FlowPanels(lightning.Callback):
    """Writes a picture of the first validation windows at each validation.

    The validation draw is fixed, so the pictures of one run show the same windows.

    Args:
        windows: how many, at most the first validation batch.
    """

    def __init__(self, windows: int = 6) -> None:
        self.windows = windows

    def on_validation_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: dict[str, Tensor],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw the first batch; the check of validation before training is left out."""
        if batch_idx > 0 or trainer.sanity_checking or not trainer.is_global_zero:
            return
        loggers = [log for log in trainer.loggers if isinstance(log, TensorBoardLogger)]
        if not loggers:
            return
        some = {name: value[: self.windows] for name, value in batch.items()}
        flow = pl_module(some["voxel"]).float()
        picture = draw_windows({k: v.cpu() for k, v in some.items()}, flow.cpu())
        for logger in loggers:
            logger.experiment.add_image(TAG, picture, trainer.global_step, dataformats="HWC")


def draw_windows(batch: dict[str, Tensor], flow: Tensor) -> NDArray[np.uint8]:
    """Draw a batch of stage one beside its predicted flow.

    Args:
        batch: "events" (B, N, 4) as in ``average_timestamp_loss``; if there, "flow" (B, 2, H, W)
            and "first" and "second" (B, 1, H, W) in 0..1.
        flow: (B, 2, H, W) predicted, pixels per window.

    Returns:
        (height, width, 3) red, green, blue.
    """
    rows = []
    for i in range(len(flow)):
        window = {name: value[i : i + 1].float() for name, value in batch.items()}
        rows.append(_tiles(window, flow[i : i + 1]))
    sheet = [torch.cat([_padded(tile) for _, tile in row], dim=2) for row in rows]
    picture = _bytes(torch.cat(sheet, dim=1))
    step = picture.shape[1] // len(rows[0])
    heading = Image.new("RGB", (picture.shape[1], _HEADING), "white")
    for column, (title, _) in enumerate(rows[0]):
        ImageDraw.Draw(heading).text((column * step + _GAP, 2), title, fill="black")
    return np.concatenate([np.asarray(heading), picture])


def _tiles(window: dict[str, Tensor], flow: Tensor) -> list[tuple[str, Tensor]]:
    """Titles and tiles (3, H, W) of one window; every tensor has a batch of 1."""
    shape = (int(flow.shape[-2]), int(flow.shape[-1]))
    truth = window.get("flow")
    reach = _reach(flow if truth is None or not truth.isfinite().any() else truth)
    tiles = [
        ("events", _enlarged(_polarities(window["events"], shape))),
        ("predicted flow", _enlarged(flow_to_colour(flow[0], reach))),
    ]
    if truth is not None:
        tiles.append(("true flow", _enlarged(flow_to_colour(truth[0], reach))))
    tiles.append(("colours", _legend(reach, shape)))
    still, carried = _images_of_events(window["events"], flow)
    top = max(float(torch.quantile(still[still > 0], _PERCENTILE)) if still.any() else 1.0, 1.0)
    tiles += [("as they came", _grey(still / top)), ("carried", _grey(carried / top))]
    if "first" in window:
        fetched, _ = backward_warp(window["second"], flow)
        tiles += [("first frame", _grey(window["first"])), ("second, fetched", _grey(fetched))]
    return tiles


def _reach(flow: Tensor) -> float:
    """A flow's length that only few pixels exceed, at least 1 pixel."""
    length = flow.norm(dim=1)
    length = length[length.isfinite()]
    return max(float(torch.quantile(length, _PERCENTILE)), 1.0) if len(length) else 1.0


def _polarities(events: Tensor, shape: tuple[int, int]) -> Tensor:
    """ON events red, OFF events blue, on white; a pixel with three events has the full colour."""
    x, y, _, polarity = events.unbind(dim=-1)
    real = polarity.ne(0).to(events.dtype)[:, None]
    counts = splat(x, y, real, polarity.lt(0).long(), (2, *shape))[0, 0]
    on, off = (counts / 3).clamp(max=1)
    return torch.stack([1 - off, 1 - torch.maximum(on, off), 1 - on])


def _images_of_events(events: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
    """Events a pixel (1, 1, H, W), as they came and carried to the middle of the window."""
    shape = (1, int(flow.shape[-2]), int(flow.shape[-1]))
    real = events[..., 3].ne(0).to(events.dtype)[:, None]
    layer = torch.zeros(events.shape[:2], dtype=torch.long)
    there = sample_flow(flow, events[..., 0], events[..., 1])
    images = []
    for event_flow in (torch.zeros_like(there), there):
        x, y = warp_events(events, event_flow, 0.5).unbind(dim=-1)
        images.append(splat(x, y, real, layer, shape)[:, 0])
    return images[0], images[1]


def _legend(reach: float, shape: tuple[int, int]) -> Tensor:
    """The colour wheel on a white tile, with the length of its full colour in pixels."""
    height, width = (side * _factor(shape) for side in shape)
    side = min(height, width) * 3 // 4
    tile = torch.ones(3, height, width)
    tile[:, :side, :side] = wheel(side)
    picture = Image.fromarray(_bytes(tile))
    ImageDraw.Draw(picture).text((_GAP, side + _GAP), f"full colour: {reach:.1f} px", fill="black")
    return torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1) / 255


def _grey(image: Tensor) -> Tensor:
    """(1, 1, H, W) as a tile."""
    return _enlarged(image[0].clamp(0, 1).expand(3, -1, -1))


def _factor(shape: tuple[int, int]) -> int:
    """How often a pixel is repeated, so that a tile has at least the least side."""
    return -(-_TILE // min(shape))


def _enlarged(tile: Tensor) -> Tensor:
    factor = _factor((tile.shape[-2], tile.shape[-1]))
    return tile.repeat_interleave(factor, dim=-2).repeat_interleave(factor, dim=-1)


def _padded(tile: Tensor) -> Tensor:
    return torch.nn.functional.pad(tile, (0, _GAP, 0, _GAP), value=1.0)


def _bytes(image: Tensor) -> NDArray[np.uint8]:
    """(3, H, W) in 0..1 as (H, W, 3) bytes."""
    return (image.permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
