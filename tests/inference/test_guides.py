"""Every guide obeys the guide contract; frames, summaries and transforms do what they say."""

import pytest
import torch
from tests.contracts.guide_contract import GuideContract, PoissonPatch, find_start
from tests.contracts.toys import Banana, PoissonField

from skysift.errors import InputError, NumericsError
from skysift.inference import Start, Stream
from skysift.inference.guides import build_guide
from skysift.inference.guides.adam import Adam
from skysift.inference.guides.affine import Affine, multiply_by_lower
from skysift.inference.guides.transforms import IafTransform, ZukoTransform
from skysift.inference.guides.whitening import Whitening


class TestMvn(GuideContract):
    guide = "mvn"


class TestIaf(GuideContract):
    guide = "iaf"


class TestConditionalIaf(GuideContract):
    guide = "conditional_iaf"


class TestFlow(GuideContract):
    guide = "flow"


class TestPublishedIaf(GuideContract):
    guide = "iaf"
    published = True

    def test_norms_and_field_are_independent(self):
        guide = self.train(self.build())
        noise = torch.randn(4000, guide.size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        z = guide.whitening.to_z(guide.draw(noise).w)
        correlation = torch.corrcoef(z.T)[:3, 3:].abs().max()
        assert float(correlation) < 6.0 / 4000**0.5
        # control: the joint form is not
        joint = TestIaf().build()
        z = joint.whitening.to_z(joint.draw(noise).w)
        assert float(torch.corrcoef(z.T)[:3, 3:].abs().max()) > 6.0 / 4000**0.5


@pytest.mark.parametrize(
    ("transform", "features", "context"),
    [
        (IafTransform(3), 3, 0),
        (IafTransform(3, 2), 3, 2),
        (IafTransform(1, 2), 1, 2),
        (ZukoTransform(3), 3, 0),
        (ZukoTransform(3, 2, splines=0), 3, 2),
        (ZukoTransform(1, affines=0), 1, 0),
    ],
)
def test_transforms_against_autograd(transform, features, context, seed):
    generator = torch.Generator().manual_seed(seed)
    seen = torch.randn(1, context, generator=generator, dtype=torch.float64) if context else None
    noise = torch.randn(1, features, generator=generator, dtype=torch.float64)
    assert torch.allclose(transform(noise, seen)[0], noise, atol=1e-12)
    with torch.no_grad():
        for weight in transform.parameters():
            weight.add_(0.3 * torch.randn(weight.shape, generator=generator, dtype=weight.dtype))
    x, log_det = transform(noise, seen)
    jacobian = torch.autograd.functional.jacobian(lambda e: transform(e, seen)[0][0], noise)[:, 0]
    assert torch.allclose(log_det, torch.linalg.slogdet(jacobian).logabsdet, atol=1e-8)
    assert torch.allclose(transform.inverse(x, seen), noise, atol=1e-7)
    assert float(log_det.detach().abs()) > 1e-3


def test_adam_against_the_one_of_torch(seed):
    generator = torch.Generator().manual_seed(seed)
    ours = [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in ((3, 2), (4,), ())]
    theirs = [torch.nn.Parameter(weight.detach().clone()) for weight in ours]
    adam, reference = Adam(ours), torch.optim.Adam(theirs, betas=(0.9, 0.99))
    for step in range(20):
        for mine, other in zip(ours, theirs, strict=True):
            mine.grad = 3.0 * torch.randn(mine.shape, generator=generator)
            other.grad = mine.grad.clone()
        torch.nn.utils.clip_grad_norm_(theirs, 5.0)
        reference.param_groups[0]["lr"] = 0.01 * (step + 1)
        reference.step()
        adam.step(0.01 * (step + 1), 5.0)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-5)


def test_low_rank_product_against_the_dense_one(seed):
    generator = torch.Generator().manual_seed(seed)
    factor = torch.randn(150, 150, generator=generator, dtype=torch.float64).tril()
    left, right = torch.randn(2, 7, 150, generator=generator, dtype=torch.float64)
    dense = torch.tril(left.T @ right)
    dense.diagonal().mul_(0.5)
    assert torch.allclose(multiply_by_lower(factor, left, right), factor @ dense, atol=1e-10)


def test_natural_gradient_reaches_a_gaussian_and_stays(seed):
    """At the optimum of a Gaussian target the step vanishes for every draw of the noise."""
    generator = torch.Generator().manual_seed(seed)
    lower = torch.randn(4, 4, generator=generator, dtype=torch.float64).tril()
    lower.diagonal().abs_().add_(0.5)
    precision = torch.linalg.inv(lower @ lower.T)
    affine = Affine(4)
    for _ in range(300):
        noise = torch.randn(16, 4, generator=generator, dtype=torch.float64)
        affine.step(-(affine.push(noise) - 2.0) @ precision, noise, noise, 0.2, 1.0)
    assert torch.allclose(affine.mean, torch.full((4,), 2.0, dtype=torch.float64), atol=1e-6)
    assert torch.allclose(affine.factor, lower, atol=1e-6)


def test_whitening_maps_back_and_keeps_the_covariance(seed):
    model = PoissonPatch()
    start = find_start(model)
    covariance = start.covariance_factor @ start.covariance_factor.T
    for first, rotate in (("field", False), ("field", True), ("norm", False)):
        frame = Whitening.from_start(model.parameters, start, first, rotate=rotate)
        z = torch.randn(5, frame.size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        assert torch.allclose(frame.to_z(frame.to_w(z)), z, atol=1e-9)
        spread = torch.empty_like(frame.factor)
        spread[frame.order] = frame.factor
        assert torch.allclose(spread @ spread.T, covariance, atol=1e-9)
        assert torch.allclose(frame.log_det(), start.covariance_factor.diagonal().log().sum(), atol=1e-9)
        lead = frame.order[: frame.lead]
        assert torch.allclose(frame.lead_to_z(frame.to_w(z)[:, : frame.lead])[:, lead], z[:, lead], atol=1e-9)


def test_whitening_refuses_a_start_that_is_not_finite():
    model = Banana()
    start = Start(mode=torch.tensor([0.0, torch.nan], dtype=torch.float64))
    with pytest.raises(NumericsError):
        Whitening.from_start(model.parameters, start, "norm")


def test_summary_is_standardised_over_the_start(seed):
    guide = build_guide("conditional_iaf", PoissonPatch(), find_start(PoissonPatch()), Stream(seed))
    noise = torch.randn(4000, guide.lead, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    summary = guide.summary(noise)
    assert float(summary.mean(0).abs().max()) < 0.3
    assert float((summary.std(0) - 1.0).abs().max()) < 0.3


@pytest.mark.parametrize(
    ("name", "model", "published", "field"),
    [
        ("flwo", PoissonPatch(), False, "guide"),
        ("flow", PoissonPatch(), True, "published"),
        ("conditional_iaf", PoissonField(), False, "guide"),
        ("conditional_iaf", Banana(), False, "guide"),
    ],
)
def test_wrong_guides_are_refused(name, model, published, field):
    with pytest.raises(InputError) as caught:
        build_guide(name, model, Start(), Stream(1), published=published)
    assert caught.value.field == field
