"""EfficientNet-Lite0 as an encoder: features at five resolutions, ReLU6 throughout, no squeeze-and-excitation.

Tan & Le, "EfficientNet" (2019), in the Lite variant of its authors. Parameters have the names of the published
weights (`_conv_stem`, `_bn0`, `_blocks.N.…`), so these load as they are; their classifier (`_conv_head`, `_bn1`, `_fc`)
has no place here.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from segsweep.models.preprocess import IMAGENET_MEAN, IMAGENET_STD

__all__ = ["CHANNELS", "EfficientNetLite0"]

CHANNELS = (16, 24, 40, 112, 320)
"""Channels of the features at 1/2, 1/4, 1/8, 1/16 and 1/32 of the input's sides."""

_STAGES = (
    # (blocks, kernel, stride, expansion, channels)
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_STEM = 32
_EPSILON = 1e-3
"""Of batch normalisation, as the published weights were trained."""

_SCALE = tuple(255 * std / 128 for std in IMAGENET_STD)
_SHIFT = tuple((255 * mean - 127) / 128 for mean in IMAGENET_MEAN)
"""They expect (value - 127) / 128: this makes it of what `preprocess` gives."""


class EfficientNetLite0(nn.Module):
    """Takes RGB N×3×H×W normalised as everywhere here (`preprocess`), H and W multiples of 32.

    Batch normalisation keeps torch's momentum of 0.1, not the 0.01 of the publication: trainings here take hundreds of
    steps, not hundreds of thousands.
    """

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = _SameConv(3, _STEM, kernel=3, stride=2)
        self._bn0 = nn.BatchNorm2d(_STEM, eps=_EPSILON)
        blocks: list[nn.Module] = []
        inputs = _STEM
        for repeats, kernel, stride, expansion, outputs in _STAGES:
            for number in range(repeats):
                blocks.append(_Block(inputs, outputs, kernel, 1 if number else stride, expansion))
                inputs = outputs
        self._blocks = nn.ModuleList(blocks)
        self.apply(_initialise)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Features at 1/2, 1/4, 1/8, 1/16 and 1/32 of the sides, with `CHANNELS` channels."""
        scale, shift = (images.new_tensor(values).view(1, 3, 1, 1) for values in (_SCALE, _SHIFT))
        features = functional.relu6(self._bn0(self._conv_stem(images * scale + shift)), inplace=True)
        found: list[Tensor] = []
        for block in self._blocks:
            before, features = features, block(features)
            if features.shape[-1] < before.shape[-1]:
                found.append(before)
        return [*found, features]


class _SameConv(nn.Conv2d):
    """A convolution without bias, padded as TensorFlow does: with stride 2, an even side more after than before."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups, bias=False)
        missing = kernel - stride
        self._sides = (missing // 2, missing - missing // 2) * 2

    def forward(self, features: Tensor) -> Tensor:
        return super().forward(functional.pad(features, self._sides) if any(self._sides) else features)


class _Block(nn.Module):
    """Expands by 1x1, filters each channel by itself, projects by 1x1; with a shortcut where the shapes agree."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self._expands = expansion > 1
        self._shortcut = stride == 1 and inputs == outputs
        if self._expands:
            self._expand_conv = nn.Conv2d(inputs, inner, kernel_size=1, bias=False)
            self._bn0 = nn.BatchNorm2d(inner, eps=_EPSILON)
        self._depthwise_conv = _SameConv(inner, inner, kernel, stride, groups=inner)
        self._bn1 = nn.BatchNorm2d(inner, eps=_EPSILON)
        self._project_conv = nn.Conv2d(inner, outputs, kernel_size=1, bias=False)
        self._bn2 = nn.BatchNorm2d(outputs, eps=_EPSILON)

    def forward(self, features: Tensor) -> Tensor:
        inner = features
        if self._expands:
            inner = functional.relu6(self._bn0(self._expand_conv(inner)), inplace=True)
        inner = functional.relu6(self._bn1(self._depthwise_conv(inner)), inplace=True)
        projected: Tensor = self._bn2(self._project_conv(inner))
        return features + projected if self._shortcut else projected


def _initialise(module: nn.Module) -> None:
    """Kaiming normal over the fan-out of each group (batch normalisation starts at 1 and 0)."""
    if isinstance(module, nn.Conv2d):
        fan_out = module.out_channels * module.kernel_size[0] * module.kernel_size[1] // module.groups
        nn.init.normal_(module.weight, std=(2 / fan_out) ** 0.5)
