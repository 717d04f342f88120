"""The noise schedule that training and sampling share."""

from __future__ import annotations

from typing import Final

from diffusers import DDPMScheduler

TRAIN_STEPS: Final = 1000


def noise_schedule() -> DDPMScheduler:
    """The forward process: 1,000 steps, cosine, v-prediction."""
    return DDPMScheduler(
        num_train_timesteps=TRAIN_STEPS,
        beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction",
    )
