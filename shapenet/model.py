"""ShapeNet: from windows of events and flow to a moving SMPL body.

Two readings of one plan (image features a step, a GRU over the steps with a residual, heads):

- "paper": EventHPE (Zou et al., ICCV 2021, section 3.2), which predicts increments of rotation and
  translation from a given start pose. Its 49,009,299 parameters (10 channels) fix the free choices:
  ResNet-50 without its classifier, a one-layer GRU 2048 -> 2048 with biases, and two linear heads
  with biases (24 x 6 and 3 outputs).
- "small": absolute poses from a light ResNet that is also asked where each joint lies
  (`shapenet.joint_maps`). Increments alone drift; absolute poses do not.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from shapenet.backbone import ResNet
from shapenet.joint_maps import NUM_JOINTS, NUMBERS, JointMaps

NUM_BETAS = 10
PLACE_FEATURES = 4
MEAN_SIGMA = 0.9  # of the translation code: a standing person in a region drawn around it
FLOW_CHANNELS = 2
_ALWAYS_PRESENT = 10.0


@dataclass(frozen=True)
class ShapeNetConfig:
    """Everything that rebuilds a ShapeNet; ``dataclasses.asdict`` of it is JSON.

    Attributes:
        head: "absolute" (poses) or "increments" (from a start pose, as published).
        in_channels: event channels and the two of flow together.
        image_size: side S of the square input, pixels.
        flow: whether the network looks at the flow; without, it passes over those channels.
        block, depths, widths, stem_kernel: see ``ResNet``.
        grid_channels: channels that each cell of the last feature map keeps, so that the regressor
            knows where a limb is; 0 averages the map away, as published.
        map_channels: width of the pyramid that the joints' maps are read from; 0 leaves it out.
        hidden: width of the GRU; with grid_channels 0 it equals the features' width.
        place_width: width of the embedding of the crop's place; 0 leaves it out.
    """

    head: str = "absolute"
    in_channels: int = 10
    image_size: int = 96
    flow: bool = True
    block: str = "basic"
    depths: tuple[int, ...] = (1, 2, 2, 2)
    widths: tuple[int, ...] = (32, 64, 128, 256)
    stem_kernel: int = 5
    grid_channels: int = 64
    map_channels: int = 64
    hidden: int = 512
    place_width: int = 32

    def __post_init__(self) -> None:
        if self.head not in ("absolute", "increments"):
            raise ValueError(f"head must be 'absolute' or 'increments', got {self.head!r}")
        if self.map_channels and not self.grid_channels:
            raise ValueError("map_channels needs grid_channels: pooled features keep no places")
        if any(width % 8 for width in self.widths):
            # oneDNN 3.x corrupts memory in the backward pass of strided 1x1 channels-last
            # convolutions of 4 channels; full vectors are safe, and faster.
            raise ValueError(f"widths must be multiples of 8, got {self.widths}")
        # JSON has no tuples; a configuration read back must equal the one written.
        object.__setattr__(self, "depths", tuple(self.depths))
        object.__setattr__(self, "widths", tuple(self.widths))


PRESETS: dict[str, ShapeNetConfig] = {
    "small": ShapeNetConfig(),
    "paper": ShapeNetConfig(
        head="increments",
        image_size=256,
        block="bottleneck",
        depths=(3, 4, 6, 3),
        widths=(64, 128, 256, 512),
        stem_kernel=7,
        grid_channels=0,
        map_channels=0,
        hidden=2048,
        place_width=0,
    ),
    "small-increments": ShapeNetConfig(head="increments"),
}


def preset_config(name: str) -> ShapeNetConfig:
    """The configuration of a preset.

    Raises:
        ValueError: for a name that is not a preset.
    """
    if name not in PRESETS:
        raise ValueError(f"unknown ShapeNet preset {name!r}; there are {sorted(PRESETS)}")
    return PRESETS[name]


@dataclass
class ShapeNetState:
    """What a ShapeNet remembers between steps.

    Attributes:
        hidden: (B, hidden) state of the GRU.
        rotations: (B, 24, 3, 3) previous pose; increments only, else None.
        translation: (B, 3) previous translation, metres; increments only, else None.
        betas: (B, 10) the start's body shape; increments only, else None.
    """

    hidden: Tensor
    rotations: Tensor | None = None
    translation: Tensor | None = None
    betas: Tensor | None = None

    def detach(self) -> "ShapeNetState":
        """Return the state cut from the graph, for truncated back-propagation."""
        return self._map(Tensor.detach)

    def to(self, device: torch.device | str) -> "ShapeNetState":
        """Return the state on ``device``."""
        return self._map(lambda tensor: tensor.to(device))

    def select(self, rows: Tensor) -> "ShapeNetState":
        """Return the state of some clips; ``rows`` is an index or mask over the batch."""
        return self._map(lambda tensor: tensor[rows])

    def reset(self, mask: Tensor, fresh: "ShapeNetState | None" = None) -> "ShapeNetState":
        """Return the state with the masked clips begun anew.

        Args:
            mask: (B,) bool, True where a new sequence begins.
            fresh: the state to begin from, of the same batch; None clears the GRU's memory.

        Raises:
            ValueError: without ``fresh`` for increments, which cannot begin without a start pose.
        """
        if fresh is None:
            if self.rotations is not None:
                raise ValueError("a state with a pose needs `fresh`: the start pose to begin from")
            fresh = ShapeNetState(torch.zeros_like(self.hidden))

        def merged(old: Tensor | None, new: Tensor | None) -> Tensor | None:
            if old is None or new is None:
                return None
            return torch.where(mask.view(-1, *[1] * (old.ndim - 1)), new, old)

        return ShapeNetState(
            torch.where(mask[:, None], fresh.hidden, self.hidden),
            merged(self.rotations, fresh.rotations),
            merged(self.translation, fresh.translation),
            merged(self.betas, fresh.betas),
        )

    def _map(self, function: Any) -> "ShapeNetState":
        values = (self.rotations, self.translation, self.betas)
        return ShapeNetState(
            function(self.hidden), *(None if value is None else function(value) for value in values)
        )


@dataclass
class ShapeNetOutput:
    """A pose a step.

    Attributes:
        rotations: (B, T, 24, 3, 3) global_orient then the 23 body joints, camera frame.
        betas: (B, T, 10).
        translation_code: (B, T, 3). Absolute: (sigma, tx, ty), decoded to the pelvis by
            ``eventhpe.camera.decode_translation``; increments: the translation itself, metres.
        log_variance: (B, T) of the pose's error; increments have no such head and give 0.
        presence_logit: (B, T) that a person is in the crop; increments give a constant +10.
        joint_maps: (B, T, 24, 4) the joints as `shapenet.joint_maps` sees them; None without.
    """

    rotations: Tensor
    betas: Tensor
    translation_code: Tensor
    log_variance: Tensor
    presence_logit: Tensor
    joint_maps: Tensor | None = None


class ShapeNet(nn.Module):
    """Poses from clips of event windows; see the module's docstring for the two presets.

    Args:
        config: the network's shape.
        mean_rotations: (24, 3, 3) pose that an untrained absolute network gives; it travels in the
            state dict. None: every joint at rest, the body upright and facing the camera.
    """

    mean_rotations: Tensor
    IMAGE_MODULES = ("backbone", "squeeze", "joint_maps")
    FIRST_LAYER = "backbone.conv1.weight"  # its last input channels are the flow's

    def __init__(self, config: ShapeNetConfig, mean_rotations: Tensor | None = None) -> None:
        super().__init__()
        self.config = config
        self.backbone = ResNet(
            config.in_channels - (0 if config.flow else FLOW_CHANNELS),
            config.block,
            config.depths,
            config.widths,
            config.stem_kernel,
        )
        if config.grid_channels:
            self._build_features()
        if config.head == "increments":
            self._build_increments()
        else:
            mean = upright_rotations() if mean_rotations is None else mean_rotations
            self.register_buffer("mean_rotations", mean.to(torch.float32).clone())
            self._build_absolute()
        self.gru = nn.GRU(config.hidden, config.hidden, batch_first=True)

    @classmethod
    def preset(
        cls, name: str, in_channels: int = 10, mean_rotations: Tensor | None = None
    ) -> "ShapeNet":
        """Build a network of `PRESETS`; ``in_channels`` counts events and flow.

        Raises:
            ValueError: for a name that is not a preset.
        """
        return cls(replace(preset_config(name), in_channels=in_channels), mean_rotations)

    def image_modules(self) -> list[nn.Module]:
        """The parts that ``see`` uses."""
        return [getattr(self, name) for name in self.IMAGE_MODULES if hasattr(self, name)]

    def untrained_mean(self) -> bool:
        """Whether an absolute network still has the mean pose that it is built with."""
        if self.config.head == "increments":
            return False
        return torch.equal(self.mean_rotations.cpu(), upright_rotations())

    def config_dict(self) -> dict[str, Any]:
        """Return the configuration as JSON values: ``ShapeNet(ShapeNetConfig(**config_dict))``."""
        return asdict(self.config)

    def initial_state(self, batch: int) -> ShapeNetState:
        """Return an empty memory for ``batch`` clips, on the network's device."""
        return ShapeNetState(next(self.gru.parameters()).new_zeros(batch, self.config.hidden))

    def start_state(self, rotations: Tensor, translation: Tensor, betas: Tensor) -> ShapeNetState:
        """Return the state that increments begin from.

        Args:
            rotations: (B, 24, 3, 3) start pose, camera frame.
            translation: (B, 3) start translation, metres.
            betas: (B, 10) body shape, handed through unchanged.
        """
        hidden = self.initial_state(len(rotations)).hidden
        return ShapeNetState(hidden, rotations, translation, betas)

    def forward(
        self, inputs: Tensor, place: Tensor | None = None, state: ShapeNetState | None = None
    ) -> tuple[ShapeNetOutput, ShapeNetState]:
        """Read a clip.

        Args:
            inputs: (B, T, C, S, S) events, then flow divided by the crop's side.
            place: (B, T, 4) = (bx-cx)/f, (by-cy)/f, b/f, log(step in seconds) of the crop's box
                with centre (bx, by) and side b; None only where the network has no place embedding.
            state: memory of the clip before, or ``start_state`` for increments; None starts anew.

        Returns:
            The poses, and the state to hand to the next clip. Its graph reaches back through every
            clip before: ``detach`` it where that is not wanted.

        Raises:
            ValueError: on shapes other than these, or increments without a start pose.
        """
        self._check(inputs, place)
        return self.remember(self.see(inputs), place, state)

    def see(self, inputs: Tensor) -> Tensor:
        """What each step's image shows, without memory or place.

        Args:
            inputs: (B, T, C, S, S), as for ``forward``.

        Returns:
            (B, T, F) features for ``remember``; the last 96 are the joints (24, 4) of
            `shapenet.joint_maps`, where the network has such maps.
        """
        batch, steps = inputs.shape[:2]
        images = inputs.flatten(0, 1)
        if not self.config.flow:
            images = images[:, :-FLOW_CHANNELS]
        maps = self.backbone(images.contiguous(memory_format=torch.channels_last))
        if self.config.grid_channels == 0:
            return maps[-1].mean(dim=(2, 3)).unflatten(0, (batch, steps))
        features = self.squeeze(maps[-1]).flatten(1)
        if self.config.map_channels:
            joints = self.joint_maps(maps[1:]).flatten(1)
            features = torch.cat([features.to(joints.dtype), joints], dim=1)
        return features.unflatten(0, (batch, steps))

    def remember(
        self, seen: Tensor, place: Tensor | None = None, state: ShapeNetState | None = None
    ) -> tuple[ShapeNetOutput, ShapeNetState]:
        """Read a clip of what ``see`` gives; otherwise as ``forward``."""
        state = state or self.initial_state(len(seen))
        joints, features = None, seen
        if self.config.map_channels:
            joints = seen[..., -NUMBERS * NUM_JOINTS :].unflatten(-1, (NUM_JOINTS, NUMBERS))
        if self.config.grid_channels:
            if place is not None and self.config.place_width:
                features = torch.cat([features, self.place(place)], dim=-1)
            features = functional.relu(self.join(features))
        memory, hidden = self.gru(features, state.hidden[None].to(features.dtype))
        features = features + memory
        if self.config.head == "increments":
            return self._increments(features, joints, hidden[0], state)
        return self._absolute(features, joints), ShapeNetState(hidden[0])

    def _check(self, inputs: Tensor, place: Tensor | None) -> None:
        config, size = self.config, self.config.image_size
        if inputs.ndim != 5 or inputs.shape[2:] != (config.in_channels, size, size):
            raise ValueError(
                f"expected (B, T, {config.in_channels}, {size}, {size}), got {tuple(inputs.shape)}"
            )
        expected = (*inputs.shape[:2], PLACE_FEATURES)
        if config.place_width and (place is None or place.shape != expected):
            found = None if place is None else tuple(place.shape)
            raise ValueError(f"expected place {expected}, got {found}")

    def _build_features(self) -> None:
        config = self.config
        side = -(-config.image_size // 32)
        self.squeeze = nn.Sequential(
            nn.Conv2d(self.backbone.out_channels, config.grid_channels, 1, bias=False),
            nn.BatchNorm2d(config.grid_channels),
            nn.ReLU(inplace=True),
        )
        if config.place_width:
            self.place = nn.Sequential(nn.Linear(PLACE_FEATURES, config.place_width), nn.ReLU())
        width = config.grid_channels * side * side + config.place_width
        if config.map_channels:
            self.joint_maps = JointMaps(self.backbone.channels[1:], config.map_channels)
            width += NUMBERS * NUM_JOINTS
        self.join = nn.Linear(width, config.hidden)

    def _build_absolute(self) -> None:
        config = self.config
        self.mix = nn.Sequential(nn.Linear(config.hidden, config.hidden), nn.ReLU())
        outputs = {"rotation": 6 * NUM_JOINTS, "shape": NUM_BETAS, "code": 3}
        outputs |= {"variance": 1, "presence": 1}
        self.heads = nn.ModuleDict(
            {name: _quiet_linear(config.hidden, width) for name, width in outputs.items()}
        )

    def _absolute(self, features: Tensor, joints: Tensor | None) -> ShapeNetOutput:
        features = features + self.mix(features)
        mean = matrix_to_six(self.mean_rotations)
        six = mean + self.heads["rotation"](features).unflatten(-1, (NUM_JOINTS, 6)).float()
        code = self.heads["code"](features).float()
        offset = torch.expm1(code.new_tensor(MEAN_SIGMA)).log()
        sigma = functional.softplus(code[..., :1] + offset)
        return ShapeNetOutput(
            rotations=six_to_matrix(six),
            betas=self.heads["shape"](features).float(),
            translation_code=torch.cat([sigma, code[..., 1:]], dim=-1),
            log_variance=self.heads["variance"](features)[..., 0].float(),
            presence_logit=self.heads["presence"](features)[..., 0].float(),
            joint_maps=joints,
        )

    def _build_increments(self) -> None:
        self.rotation_head = _quiet_linear(self.config.hidden, 6 * NUM_JOINTS)
        self.translation_head = _quiet_linear(self.config.hidden, 3)
        with torch.no_grad():  # an untrained network holds the start pose
            identity = matrix_to_six(torch.eye(3).expand(NUM_JOINTS, 3, 3))
            self.rotation_head.bias.copy_(identity.flatten())

    def _increments(
        self, features: Tensor, joints: Tensor | None, hidden: Tensor, state: ShapeNetState
    ) -> tuple[ShapeNetOutput, ShapeNetState]:
        if state.rotations is None or state.translation is None or state.betas is None:
            raise ValueError("increments need a start pose: pass state=start_state(...)")
        six = self.rotation_head(features).unflatten(-1, (NUM_JOINTS, 6)).float()
        increments = six_to_matrix(six)
        steps = features.shape[1]
        pose, poses = state.rotations, []
        for step in range(steps):
            pose = increments[:, step] @ pose
            poses.append(pose)
        moves = self.translation_head(features).float()
        translation = state.translation[:, None] + moves.cumsum(dim=1)
        zeros = translation.new_zeros(translation.shape[:2])
        output = ShapeNetOutput(
            rotations=torch.stack(poses, dim=1),
            betas=state.betas[:, None].expand(-1, steps, -1),
            translation_code=translation,
            log_variance=zeros,
            presence_logit=zeros + _ALWAYS_PRESENT,
            joint_maps=joints,
        )
        return output, ShapeNetState(hidden, pose, translation[:, -1], state.betas)


def six_to_matrix(six: Tensor) -> Tensor:
    """Turn (..., 6) into rotation matrices (..., 3, 3) by Gram-Schmidt.

    Source: Zhou et al., "On the continuity of rotation representations", CVPR 2019, eq. 15. The six
    numbers are the first two columns of the matrix, one after the other. Where the columns are
    (nearly) zero or parallel the result is finite but no rotation.
    """
    first = functional.normalize(six[..., :3], dim=-1, eps=1e-8)
    second = six[..., 3:] - (first * six[..., 3:]).sum(-1, keepdim=True) * first
    second = functional.normalize(second, dim=-1, eps=1e-8)
    return torch.stack([first, second, torch.linalg.cross(first, second)], dim=-1)


def matrix_to_six(matrix: Tensor) -> Tensor:
    """Return the first two columns of (..., 3, 3) as (..., 6); see ``six_to_matrix``."""
    return torch.cat([matrix[..., 0], matrix[..., 1]], dim=-1)


def upright_rotations() -> Tensor:
    """Return (24, 3, 3): joints at rest, an upright body facing a y-down camera (pi about x)."""
    rotations = torch.eye(3).repeat(NUM_JOINTS, 1, 1)
    rotations[0] = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    return rotations


def _quiet_linear(cin: int, cout: int) -> nn.Linear:
    """Return a linear layer whose first outputs are near zero."""
    layer = nn.Linear(cin, cout)
    nn.init.normal_(layer.weight, std=1e-3)
    nn.init.zeros_(layer.bias)
    return layer
