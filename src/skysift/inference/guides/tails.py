"""The evidence of a guide whose tails may be thinner than those of the posterior."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from skysift.inference.importance import FREEDOM, log_student
from skysift.inference.psis import smooth_weights
from skysift.inference.result import factorise_covariance

if TYPE_CHECKING:
    from skysift.inference.guides.base import Guide
    from skysift.inference.guides.restarts import Weighed
    from skysift.inference.target import Target

__all__ = ["reach_tails"]

#: Draws from the wide proposal, as a share of those from the guide, and how much wider it is.
SHARE, WIDTH = 0.2, 1.5


def reach_tails(guide: Guide, target: Target, weighed: Weighed, generator: torch.Generator) -> tuple[float, float]:
    r"""Return log Z and its error from the draws of a guide and a few from a wider Student-t.

    A guide made of standard normal numbers has Gaussian tails; the logarithm of a fraction that may be zero has an
    exponential one. Where no draw reaches, weights show nothing of what is missing. With every draw weighed by both,

    .. math:: w_i = \pi(z_i) \frac{n + m}{n\, q(z_i) + m\, t(z_i)}

    weights are bounded wherever the Student-t is wider than the posterior.

    References
    ----------
    Hesterberg 1995, Technometrics 37, 185; Owen & Zhou 2000, J. Am. Stat. Assoc. 95, 135
    """
    mean, factor = weighed.z.mean(0), WIDTH * factorise_covariance(weighed.z)
    count, wide = len(weighed.z), math.ceil(SHARE * len(weighed.z))
    shape = wide, target.size + int(FREEDOM)
    normal = torch.randn(shape, generator=generator, dtype=torch.float64, device=mean.device)
    noise, squares = normal[:, : target.size], normal[:, target.size :].square().sum(1)
    z = mean + (noise * (FREEDOM / squares)[:, None].sqrt()) @ factor.T
    log_guide = guide.log_density(guide.whitening.to_w(z)) - guide.whitening.log_det()
    log_target = torch.cat([weighed.log_ratio + weighed.log_q, target.log_density(z)])
    log_guide = torch.cat([weighed.log_q, torch.nan_to_num(log_guide, nan=-math.inf)])
    away = torch.linalg.solve_triangular(factor, (torch.cat([weighed.z, z]) - mean).T, upper=False)
    log_wide = log_student(away.square().sum(0), target.size) - factor.diagonal().log().sum()
    mixture = torch.logaddexp(log_guide + math.log(count), log_wide + math.log(wide)) - math.log(count + wide)
    found = smooth_weights(log_target - mixture)
    return found.log_mean, found.log_mean_error
