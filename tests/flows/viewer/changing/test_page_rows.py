"""The page's Gaussians lie in the order of what they do."""

import dataclasses

import torch
import toy_avatar

from turnaround.flows.viewer.changing.rows import rows_of


def test_what_fades_comes_first_and_meets_what_follows_the_face():
    gaussians = toy_avatar.avatar(4).gaussians
    generator = torch.Generator().manual_seed(0)
    sizes = 0.5 + torch.rand(len(gaussians), 1, generator=generator)
    gaussians = dataclasses.replace(gaussians, scales=gaussians.scales * sizes)
    fades, follows = (torch.rand(2, len(gaussians), generator=generator) < 0.3).unbind()
    order, fading, (start, end) = rows_of(gaussians, fades, follows)
    assert order.sort().values.equal(torch.arange(len(gaussians))), "each once"
    assert fades[order[:fading]].all() and not fades[order[fading:]].any()
    assert follows[order[start:end]].all() and int(follows.sum()) == end - start
    both = (fades & follows)[order]
    assert both[start:fading].all() and int(both.sum()) == fading - start
    volume = gaussians.scales.prod(-1)[order]
    for part in (volume[:start], volume[start:fading], volume[fading:end], volume[end:]):
        assert len(part) > 10 and (part.diff() <= 0).all(), "the most visible first"
