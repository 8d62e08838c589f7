"""Training of stage two: what labels, frozen parts, coherence and increments do to a step."""

import math

import pytest
import torch

from eventhpe.camera import decode_translation
from shapenet.model import ShapeNetOutput, upright_rotations
from shapenet.training import WEIGHTS, ShapeTraining

STEPS, SIZE = 4, 96


def batch(labelled=(1.0, 1.0)):
    """Two clips of a person who stands upright, three metres away, in the middle of the region."""
    torch.manual_seed(0)
    clips = len(labelled)
    pelvis = torch.tensor([0.0, 0.0, 3.0]).expand(clips, STEPS, 3)
    step = torch.full((clips, STEPS, 1), math.log(0.05))
    return {
        "inputs": torch.randn(clips, STEPS, 10, SIZE, SIZE),
        "place": torch.cat([torch.zeros(clips, STEPS, 3), step], dim=-1),
        "step_s": torch.full((clips,), 0.05),
        "intrinsics": torch.tensor([[300.0, 300.0, 160.0, 120.0]]).expand(clips, 4),
        "region": torch.tensor([160.0, 120.0, 220.0]).expand(clips, STEPS, 3),
        "labelled": torch.tensor(labelled),
        "rotations": upright_rotations().expand(clips, STEPS, 24, 3, 3),
        "betas": torch.zeros(clips, 10),
        "pelvis": pelvis,
        "present": torch.ones(clips, STEPS),
    }


def module(**kwargs) -> ShapeTraining:
    torch.manual_seed(1)
    return ShapeTraining(**kwargs)


def gradients(training: ShapeTraining, data) -> dict[str, float]:
    """Norm of the gradient of each part of the network."""
    terms, _ = training._terms(data)
    training._total(terms).backward()
    found: dict[str, float] = {}
    for name, parameter in training.network.named_parameters():
        part = name.split(".")[0]
        slope = 0.0 if parameter.grad is None else float(parameter.grad.norm())
        found[part] = found.get(part, 0.0) + slope
    return found


def test_every_part_learns_and_every_weighted_loss_is_there():
    training = module(loss_weights={"vertices": 1.0, "translation": 1.0, "coherence": 0.1})
    terms, errors = training._terms(batch())
    assert set(terms) == set(WEIGHTS)
    assert set(module()._terms(batch())[0]) == {name for name, w in WEIGHTS.items() if w}
    assert all(value.isfinite() for value in [*terms.values(), *errors.values()])
    assert min(gradients(training, batch()).values()) > 0


def test_the_truth_as_prediction_costs_nothing(monkeypatch):
    training, data = module(), batch()
    crop = data["region"][0, 0]
    focal, principal = torch.tensor([300.0, 300.0]), torch.tensor([160.0, 120.0])
    sigma = 2 * 300.0 / (3.0 * 220.0)
    zero = torch.tensor(0.0)
    place = decode_translation(torch.tensor(sigma), zero, zero, focal, crop[:2], crop[2], principal)
    torch.testing.assert_close(place, data["pelvis"][0, 0])

    def answer(*_):
        code = torch.tensor([sigma, 0.0, 0.0]).expand(2, STEPS, 3)
        zeros = torch.zeros(2, STEPS)
        output = ShapeNetOutput(
            data["rotations"], torch.zeros(2, STEPS, 10), code, zeros, zeros + 20.0
        )
        return output, None

    monkeypatch.setattr(training.network, "remember", answer)
    terms, errors = training._terms(data)
    costs = {name: float(value) for name, value in terms.items() if name != "confidence"}
    assert max(costs.values()) < 1e-3
    assert all(float(value) < 0.01 for value in errors.values())


def test_clips_without_labels_teach_nothing_but_coherence():
    silent = module()
    assert all(value == 0 for value in gradients(silent, batch((0.0, 0.0))).values())
    coherent = module(loss_weights={"coherence": 1.0})
    assert gradients(coherent, batch((0.0, 0.0)))["heads"] > 0


def test_labels_of_one_clip_do_not_teach_the_other():
    """The truth of an unlabelled clip may say anything."""
    data = batch((1.0, 0.0))
    first = module().eval()._terms(data)[0]
    data["pelvis"] = data["pelvis"].clone()
    data["pelvis"][1] += 1.0
    second = module().eval()._terms(data)[0]
    for name, value in first.items():
        torch.testing.assert_close(value, second[name])


def test_frozen_images_neither_learn_nor_drift():
    training = module(frozen_images=True).train()
    found = gradients(training, batch())
    assert {part for part, slope in found.items() if slope == 0} == {
        "backbone",
        "squeeze",
        "joint_maps",
    }
    statistics = training.network.backbone.bn1.running_mean.clone()
    training._terms(batch())
    torch.testing.assert_close(training.network.backbone.bn1.running_mean, statistics)


def test_increments_begin_from_the_true_pose_and_are_scored_on_the_other_steps():
    """Untrained, they hold the start: a person who does not move costs nothing."""
    training = module(preset="small-increments", loss_weights={"translation": 1.0})
    terms, errors = training._terms(batch())
    assert "presence" not in terms
    assert float(errors["mpjpe_mm"]) < 60.0  # the heads' first outputs are near zero, not zero
    moved = batch()
    moved["pelvis"] = moved["pelvis"].clone()
    moved["pelvis"][:, 1:, 0] += 1.0
    assert float(training._terms(moved)[1]["mpjpe_mm"]) > 900.0


def test_the_published_coherence_can_be_chosen():
    for form in ("published", "ours"):
        training = module(loss_weights={"coherence": 1.0}, coherence=form)
        assert training._terms(batch())[0]["coherence"].isfinite()


def test_a_loss_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="rotatoin"):
        ShapeTraining(loss_weights={"rotatoin": 1.0})
