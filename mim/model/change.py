"""What has changed since the newest prior of the same view, place by place."""

import torch
from torch import Tensor, nn

from mim.model.seen import newest_prior


class ChangeMaps(nn.Module):
    """The exam's last feature maps less those of each view's newest prior, as one vector.

    Mean and maximum of the difference, in units of the spread of the exam's own map, so that its
    size does not depend on the encoder. Views without a prior have no difference, and get 0. Images
    are compared where they stand; ``data.align_priors`` moves the prior's onto the exam's first.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.project = nn.Linear(2 * channels, width, bias=False)
        # At the start nothing is added: a run that goes on from one without it begins as that one.
        nn.init.zeros_(self.project.weight)

    def forward(self, maps: Tensor, there: Tensor, present: Tensor) -> Tensor:
        """What is added to the vector of each image that is there [image, width].

        Args:
            maps: [image, channel, row, column], of the images that are there.
            there: [image], their places in ``present`` laid out flat, rising.
            present: bool [exam, time, view].
        """
        before = maps[_compared_with(present).flatten()[there]]
        spread = maps.flatten(1).std(dim=1) + 1e-6
        difference = (maps - before) / spread[:, None, None, None]
        pooled = torch.cat([difference.mean(dim=(2, 3)), difference.amax(dim=(2, 3))], dim=1)
        added: Tensor = self.project(pooled)
        return added


def _compared_with(present: Tensor) -> Tensor:
    """int64 [exam, time, view]: the number, among the images that are there, of the image that each
    is compared with: the newest prior of its view, or itself."""
    number = (present.flatten().cumsum(dim=0) - 1).reshape(present.shape)
    newest = newest_prior(present)
    prior = (number * newest).sum(dim=1)
    compared = present[:, 0] & newest.any(dim=1)
    now = torch.where(compared, prior, number[:, 0])
    return torch.cat([now[:, None], number[:, 1:]], dim=1)
