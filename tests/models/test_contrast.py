"""Ground that is not black is taken away; pictures on black stay as they are, to the last digit."""

import pytest
import torch
from torch import Tensor

from study.evaluation.corruptions import brightness, fog
from study.models.contrast import is_lit, on_black


@pytest.fixture
def strokes() -> Tensor:
    """A bright ring on black, float [3, 1, 28, 28] from 0 to 255, in three sizes."""
    y, x = torch.meshgrid(torch.arange(28.0), torch.arange(28.0), indexing="ij")
    away = (torch.hypot(y - 14, x - 14) - torch.tensor([5.0, 7, 9]).view(3, 1, 1)).abs()
    return (255 * (2.5 - away).clamp(0, 1)).round().unsqueeze(1)


def test_pictures_on_black_stay_the_same_also_beside_others(strokes):
    strokes[0, 0, 0, :] = 255  # ink at an edge is no light
    strokes[1] += 16 * (strokes[1] < 16)
    assert torch.equal(on_black(strokes), strokes)
    lit = (strokes[2:] + 60).clamp(max=255)
    both = on_black(torch.cat([strokes, lit]))
    assert torch.equal(both[:3], strokes)
    assert not torch.equal(both[3:], lit)


@pytest.mark.parametrize(("corrupt", "level"), [(brightness, 0.2), (brightness, 0.6), (fog, 0.3), (fog, 0.7)])
def test_ink_comes_out_of_light_and_fog_in_full_contrast(strokes, corrupt, level):
    x = strokes / 255
    seen = on_black(corrupt(x, level, torch.Generator().manual_seed(1)), white=1.0)
    assert float(seen.min()) < 1e-6
    assert torch.allclose(seen.amax(dim=(1, 2, 3)), torch.ones(3), atol=1e-6)
    assert float((seen - x).abs().mean()) < 0.06
    assert float((seen[x == 0] > 0.1).float().mean()) < 0.05


def test_a_blank_picture_of_any_light_stays_without_ink():
    white, gray = torch.full((1, 1, 28, 28), 255.0), torch.full((1, 1, 28, 28), 90.0)
    assert on_black(torch.cat([white, gray])).abs().max() < 1e-3
    assert is_lit(torch.cat([white, gray]).to(torch.uint8)).all()
    faint = gray.clone()
    faint[..., 10:18, 13:15] += 4
    assert 0 < on_black(faint).max() < 100
