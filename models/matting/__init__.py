"""Person mattes: the embedded network, any segmentation model of the hub, and the training of ours."""

from turnaround.models.matting.hub import HubMatting
from turnaround.models.matting.model import MattingNetwork, load_matting, person_mask

__all__ = ["HubMatting", "MattingNetwork", "load_matting", "person_mask"]
