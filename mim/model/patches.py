"""A close look at the patches of a view where its own features are most suspicious.

The idea is that of the globally aware multiple instance classifier (Shen et al.,
doi:10.1016/j.media.2020.101908). Everything is done in batches, so that it can be exported.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from mim.model.backbone import Backbone
from mim.model.pooling import GatedAttention, make_pool
from mim.model.settings import EncoderSettings, Norm, PatchSettings, Pool


class Patches(nn.Module):
    """Finds patches, encodes them, and weighs them.

    Suspicion is attention over the cells of the view's maps, read by a 1 x 1 convolution. It learns
    in two ways: the vector holds the maps' mean under it, so it grows where they tell most, and it
    says how much each patch weighs before that is looked at. The patches' own encoder starts
    without weights, and with group normalisation, since patches of one batch are no fair sample.

    Args:
        settings: how many patches, their size, and their encoder.
        view: settings of the view's encoder, whose ways with memory the patches' encoder shares.
        channels: of the view's maps.
    """

    def __init__(self, settings: PatchSettings, view: EncoderSettings, channels: int) -> None:
        super().__init__()
        self._count = settings.count
        self._size = settings.size
        self.suspicion = nn.Conv2d(channels, 1, 1, bias=False)
        self.backbone = Backbone(
            replace(
                view,
                name=settings.encoder,
                weights=None,
                pretrained=False,
                frozen=False,
                norm=Norm.group,
            ),
            key="model.patches.encoder",
        )
        self.pool, features = make_pool(Pool.mean_max, self.backbone.channels)
        self.attention = GatedAttention(features)
        self.features = features + channels

    def forward(self, images: Tensor, maps: Tensor) -> Tensor:
        """Float [image, 1, height, width] and their maps to [image, feature]."""
        suspicion = self.attend(maps)
        crops, scores = choose_patches(images, suspicion, self._count, self._size)
        seen = self.pool(self.backbone(crops.flatten(0, 1))[0]).unflatten(0, crops.shape[:2])
        return torch.cat([self.attention(seen, scores), (suspicion * maps).sum(dim=(2, 3))], dim=1)

    def attend(self, maps: Tensor) -> Tensor:
        """Suspicion [image, 1, row, column] of maps; over an image it sums to 1."""
        weights = torch.softmax(self.suspicion(maps).float().flatten(1), dim=1)
        return weights.reshape(-1, 1, *maps.shape[-2:])


def choose_patches(
    images: Tensor, suspicion: Tensor, count: int, size: int
) -> tuple[Tensor, Tensor]:
    """The most suspicious windows, the best first, none over another while there is room.

    Args:
        images: [image, 1, height, width].
        suspicion: [image, 1, row, column], which sums to 1.
        count: how many windows.
        size: height and width of a window in pixels; no more than the image has.

    Returns:
        [image, patch, 1, size, size] of the images, and [image, patch], the suspicion in each.
    """
    height, width = images.shape[-2:]
    rows, columns = suspicion.shape[-2:]
    tall, top = _windows(height, rows, size)
    wide, left = _windows(width, columns, size)
    # The exporter passes over avg_pool2d's divisor_override, so the sum is made of the mean.
    windows = functional.avg_pool2d(suspicion, (tall, wide), stride=1).flatten(1) * (tall * wide)
    chosen = _greedy(windows.detach(), (len(top), len(left)), (tall, wide), count)
    tops = torch.tensor(top, device=images.device)[chosen // len(left)]
    lefts = torch.tensor(left, device=images.device)[chosen % len(left)]
    down = tops[..., None] + torch.arange(min(size, height), device=images.device)
    across = lefts[..., None] + torch.arange(min(size, width), device=images.device)
    pixels = down[..., None] * width + across[..., None, :]
    crops = images.flatten(1).gather(1, pixels.flatten(1)).reshape(pixels.shape)
    return crops[:, :, None], windows.gather(1, chosen)


def _windows(length: int, cells: int, size: int) -> tuple[int, list[int]]:
    """Cells that a window spans along one axis, and the first pixel of each place it can take."""
    span = min(cells, max(1, round(size * cells / length)))
    centres = [(cell + span / 2) * length / cells for cell in range(cells - span + 1)]
    last = max(0, length - size)
    return span, [min(max(0, round(centre - size / 2)), last) for centre in centres]


def _greedy(scores: Tensor, places: tuple[int, int], spans: tuple[int, int], count: int) -> Tensor:
    """Places [image, patch] by falling score, those that overlap earlier ones last.

    Args:
        scores: [image, place] from 0 to 1, row by row.
        places: rows and columns of places.
        spans: rows and columns of places that a window covers.
        count: how many to choose.
    """
    place = torch.arange(scores.shape[1], device=scores.device)
    chosen = []
    for _ in range(count):
        best = scores.argmax(dim=1, keepdim=True)
        chosen.append(best)
        down = (place // places[1] - best // places[1]).abs() < spans[0]
        across = (place % places[1] - best % places[1]).abs() < spans[1]
        scores = scores - 2.0 * (down & across).to(scores.dtype)
    return torch.cat(chosen, dim=1)
