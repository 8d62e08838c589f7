"""Supervised losses of stage two.

All take steps flat, N = batch x time, and a weight (N,) that is zero where there is no person, and
average over the weighted steps. Frames: camera; units: metres, radians and crop sides.
"""

import torch
from torch import Tensor
from torch.nn import functional

HIPS = [1, 2]  # their midpoint is the root of PEL errors


def weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Mean of (N, ...) over everything but steps of weight zero; 0 when all weights are zero."""
    per_step = values.flatten(1).mean(dim=1) if values.ndim > 1 else values
    return (per_step * weight).sum() / weight.sum().clamp(min=1.0)


def geodesic_angle(first: Tensor, second: Tensor) -> Tensor:
    """Angle between rotations (..., 3, 3), radians, with a finite gradient everywhere.

    2 asin(|A - B|_F / (2 sqrt 2)) (Hartley et al., "Rotation averaging", IJCV 2013, section 4);
    the chord is kept inside (0, 2 sqrt 2), where the square root and the arcsine have slopes.
    """
    chord = (first - second).square().sum(dim=(-2, -1)).clamp(min=1e-8).sqrt()
    return 2.0 * torch.asin((chord / 8.0**0.5).clamp(max=0.999))


def rotation_loss(predicted: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Mean geodesic angle over (N, 24, 3, 3) (EventHPE, Zou et al. 2021, section 3.2)."""
    return weighted_mean(geodesic_angle(predicted, truth), weight)


def joint_loss(predicted: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Mean distance of joints (N, 24, 3) after moving the hips' midpoints together, metres."""
    difference = centred(predicted) - centred(truth)
    return weighted_mean(difference.norm(dim=-1), weight)


def projection_loss(predicted: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Mean absolute distance of projected joints (N, 24, 2), in crop sides.

    Not clamped to the image: joints outside it keep their gradient. Distances over one crop side
    count as one, so that an early wild depth cannot swamp the batch.
    """
    distance = (predicted - truth).abs().sum(dim=-1)
    return weighted_mean(functional.softsign(distance), weight)


def joint_map_loss(maps: Tensor, truth: Tensor, depth: Tensor, weight: Tensor) -> Tensor:
    """Distance of the joints as `shapenet.joint_maps` reads them: crop sides, and metres of depth.

    Joints outside the crop, which no map can point at, do not count.

    Args:
        maps: (N, 24, 4).
        truth: (N, 24, 2) crop sides from the crop's centre.
        depth: (N, 24) metres from the pelvis.
    """
    inside = (truth.abs() <= 0.5).all(dim=-1)
    distance = (maps[..., :2] - truth).abs().sum(dim=-1) + 0.5 * (maps[..., 2] - depth).abs()
    return weighted_mean(distance * inside, weight)


def code_loss(predicted: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Distance of translation codes (N, 3) = (sigma, tx, ty): sigma by its logarithm, the
    offsets in metres."""
    scale = (predicted[:, :1].clamp(min=1e-3).log() - truth[:, :1].log()).abs()
    offset = (predicted[:, 1:] - truth[:, 1:]).abs()
    return weighted_mean(torch.cat([scale, offset], dim=1), weight)


def translation_loss(predicted: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Mean absolute distance of pelvis positions (N, 3), summed over the axes, metres.

    In metres where `code_loss` is relative: a metre of depth counts the same near and far.
    """
    return weighted_mean((predicted - truth).abs().sum(dim=-1), weight)


def vertex_loss(
    predicted: Tensor,
    truth: Tensor,
    predicted_pelvis: Tensor,
    true_pelvis: Tensor,
    weight: Tensor,
) -> Tensor:
    """Mean distance of vertices (N, V, 3) after moving the pelvis joints (N, 3) together, metres.

    What PVE measures (`eventhpe.metrics`), over whichever vertices are given.
    """
    difference = (predicted - predicted_pelvis[:, None]) - (truth - true_pelvis[:, None])
    # A norm has no slope at zero; a tenth of a millimetre gives it one.
    distance = (difference.square().sum(dim=-1) + 1e-8).sqrt()
    return weighted_mean(distance, weight)


def velocity_loss(predicted: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Distance of root-centred joint displacements from step to step, (B, T, 24, 3), metres.

    Args:
        weight: (B, T); a displacement counts where both its steps do.
    """
    if predicted.shape[1] < 2:
        return predicted.sum() * 0.0
    difference = centred(predicted).diff(dim=1) - centred(truth).diff(dim=1)
    both = (weight[:, 1:] * weight[:, :-1]).flatten()
    return weighted_mean(difference.norm(dim=-1).flatten(0, 1), both)


def confidence_loss(log_variance: Tensor, error: Tensor, weight: Tensor) -> Tensor:
    """Negative log likelihood of a Laplace error whose scale is exp(log_variance / 2).

    Kendall & Gal, "What uncertainties do we need", NeurIPS 2017, eq. 5, in its Laplace form. The
    error (N,), decimetres, is detached: confidence reports on the pose and never shapes it.
    """
    return weighted_mean(
        error.detach() * torch.exp(-0.5 * log_variance) + 0.5 * log_variance, weight
    )


def centred(joints: Tensor) -> Tensor:
    """Joints (..., 24, 3) relative to the midpoint of the hips."""
    return joints - joints[..., HIPS, :].mean(dim=-2, keepdim=True)
