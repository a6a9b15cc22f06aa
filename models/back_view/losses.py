"""Training losses of the VAE, the denoising UNet and the ControlNet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from jaxtyping import Float, Int
from torch import Tensor, nn

from turnaround.models.back_view.coarse import blur
from turnaround.models.back_view.diffusion import networks
from turnaround.models.back_view.diffusion.base import LatentBase
from turnaround.models.back_view.patches import Patches
from turnaround.models.metrics.similarity import ssim_maps

KL = 1e-5  # weight of the mean KL divergence a latent number
SSIM = 0.05
CHROMA = (
    20.0  # weight of the squared error of opponent colours; without it small VAEs stay grey for a long time
)
Objective = Literal["restore", "noise"]
HARDEST = 500  # largest timestep that the ControlNet is trained for, strength 0.5


@dataclass(frozen=True)
class Latents:
    """A batch: latents of the truth and of what inference starts from, the control picture, weights of latent
    pixels."""

    true: Float[Tensor, "b c h w"]
    start: Float[Tensor, "b c h w"]
    control: Float[Tensor, "b 3 ph pw"] | None
    weight: Float[Tensor, "b 1 h w"]


def vae_loss(vae: nn.Module, batch: Patches) -> tuple[Tensor, dict[str, Tensor]]:
    """Weighted L1 + opponent colours + 0.05 (1 - SSIM) + small KL."""
    posterior = vae.encode(batch.image * 2 - 1).latent_dist  # type: ignore[operator]
    found = vae.decode(posterior.sample()).sample.float() * 0.5 + 0.5  # type: ignore[operator]
    error = found - batch.image
    absolute = (error.abs() * batch.weight).mean()
    chroma = ((error - error.mean(1, keepdim=True)).square() * batch.weight).mean()
    structure = ((1 - ssim_map(found, batch.image)) * batch.weight).mean()
    divergence = (
        0.5 * (posterior.mean.float() ** 2 + posterior.var.float() - 1 - posterior.logvar.float()).mean()
    )
    loss = absolute + CHROMA * chroma + SSIM * structure + KL * divergence
    values = {"l1": absolute, "chroma": chroma, "dssim": structure, "kl": divergence}
    return loss, {name: value.detach() for name, value in values.items()}


def ssim_map(a: Float[Tensor, "b c h w"], b: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """Structural similarity a pixel (Gaussian window, sigma 1.5, range 1), in float32: variances cancel."""
    with torch.autocast(a.device.type, enabled=False):
        return ssim_maps(a.float(), b.float(), lambda x: blur(x, 1.5))[0]


class _Noise:
    """The noise schedule, and v targets (Salimans & Ho 2022, appendix D)."""

    def __init__(self, alphas: Tensor | None = None) -> None:
        self.alphas = networks.build_scheduler().alphas_cumprod if alphas is None else alphas

    def coefficients(self, t: Int[Tensor, " b"]) -> tuple[Tensor, Tensor]:
        """Signal and noise amplitudes (b, 1, 1, 1) of timesteps."""
        share = self.alphas.to(t.device)[t][:, None, None, None]
        return share.sqrt(), (1 - share).sqrt()


class NoiseLoss(_Noise):
    """v-prediction of the denoiser on latents of true pictures."""

    def __call__(self, unet: nn.Module, batch: Latents) -> tuple[Tensor, dict[str, Tensor]]:
        """Weighted squared error of v over random timesteps."""
        t = torch.randint(0, len(self.alphas), (len(batch.true),), device=batch.true.device)
        signal, noise_share = self.coefficients(t)
        noise = torch.randn_like(batch.true)
        noised, target = signal * batch.true + noise_share * noise, signal * noise - noise_share * batch.true
        found = unet(noised, t, networks.empty_prompt(len(t), t.device)).sample.float()
        loss = ((found - target) ** 2 * batch.weight).sum() / (batch.weight.sum() * found.shape[1])
        return loss, {"v": loss.detach()}


class ControlLoss(_Noise):
    """A ControlNet under a frozen denoiser, by one of two objectives.

    - `restore` (ours): from noised latents between the coarse picture's and the truth's to the truth, at the
    weak half of
      the noise. Image-to-image starts from the noised *coarse* latents; trained only on noised true latents,
      a denoiser would take the coarse picture's blur for content and keep it. The error is that of the clean
      latents it implies.
    - `noise` (ControlNet's own, which the paper keeps): what the denoiser predicts, on noised true latents,
    at all timesteps.
    """

    def __init__(
        self, unet: UNet2DConditionModel, base: LatentBase | None = None, objective: Objective = "restore"
    ) -> None:
        super().__init__(None if base is None else base.alphas)
        self.unet, self.base, self.objective = unet, base, objective
        self.predicts = "v_prediction" if base is None else base.predicts

    def __call__(self, controlnet: nn.Module, batch: Latents) -> tuple[Tensor, dict[str, Tensor]]:
        """Weighted squared error, and that of the clean latents and of the coarse ones, for comparison."""
        restore, count = self.objective == "restore", len(batch.true)
        t = torch.randint(0, HARDEST if restore else len(self.alphas), (count,), device=batch.true.device)
        signal, noise_share = self.coefficients(t)
        blend = torch.rand(count, 1, 1, 1, device=t.device) * 1.5
        start = torch.lerp(batch.true, batch.start, blend.clamp(max=1)) if restore else batch.true
        noise = torch.randn_like(start)
        noised = signal * start + noise_share * noise
        found = self.predict(controlnet, noised, t, batch.control)
        clean = self.clean(noised, found, t)
        target = noise if self.predicts == "epsilon" else signal * noise - noise_share * batch.true
        loss = self._mean(clean - batch.true if restore else found - target, batch.weight)
        values = {"loss_noise": loss.detach()} if not restore else {}
        clean_error = self._mean(clean - batch.true, batch.weight).detach()
        return loss, {
            **values,
            "clean": clean_error,
            "coarse": self._mean(batch.start - batch.true, batch.weight).detach(),
        }

    def predict(self, controlnet: nn.Module, noised: Tensor, t: Tensor, control: Tensor | None) -> Tensor:
        """The denoiser's output under control, float32."""
        prompt = networks.empty_prompt(len(t), t.device) if self.base is None else self.base.prompts(len(t))
        down, middle = controlnet(noised, t, prompt, controlnet_cond=control, return_dict=False)
        return self.unet(
            noised, t, prompt, down_block_additional_residuals=down, mid_block_additional_residual=middle
        ).sample.float()

    def clean(self, noised: Tensor, found: Tensor, t: Tensor) -> Tensor:
        """The clean latents that a prediction implies."""
        signal, noise_share = self.coefficients(t)
        return (
            (noised - noise_share * found) / signal
            if self.predicts == "epsilon"
            else signal * noised - noise_share * found
        )

    @staticmethod
    def _mean(error: Tensor, weight: Tensor) -> Tensor:
        return (error.square() * weight).sum() / (weight.sum() * error.shape[1])
