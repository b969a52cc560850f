"""Every example learns what needs a memory: its loss falls below that of the best answer without.

The baselines themselves are held against what they claim to be, computed another way.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatewright.language import catalogue

torch = pytest.importorskip("torch", reason="the examples use PyTorch")

from gatewright.examples import adding, char_lm, copying, forecast, reversal  # noqa: E402
from gatewright.examples.jobs import EXAMPLES, begin  # noqa: E402
from gatewright.examples.training import Size, Trainer, evaluating, train  # noqa: E402

# How far below the baseline each must come, in parts of it, with the small size.
LEARNT = {"adding": 0.2, "copying": 0.7, "reversal": 0.1, "forecast": 0.1, "char_lm": 0.7}
TINY = Size(hidden=6, batch=3, length=30, steps=2, rate=0.01)


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_the_loss_falls_below_that_of_an_answer_without_a_memory(name: str, cell: str) -> None:
    job = begin(name, cell, threads=1)
    curve = train(job)
    assert curve.final < LEARNT[name] * job.baseline
    first, last = curve.points[0], curve.points[-1]
    assert (first.step, last.step) == (0, job.size.steps)
    assert last.training is not None
    assert last.training < LEARNT[name] * job.baseline
    assert first.held_out > 0.9 * job.baseline


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_layer_that_forgets_does_not_learn_it(name: str) -> None:
    """The seeded fault: outputs that no longer depend on earlier steps. None may pass as learnt."""
    job = begin(name, "lstm", threads=1)
    for module in job.model.modules():
        if hasattr(module, "named_cell_parameters"):
            _forget_in(module)
    assert train(job).final > LEARNT[name] * job.baseline


def _forget_in(layer: Any) -> None:
    """Let a layer run every time step by itself, from zero."""
    whole = layer.forward

    def forward(x: Any, hx: Any = None) -> Any:
        y, state = whole(x.flatten(0, 1)[None])
        zeros = tuple(torch.zeros(1, x.shape[1], layer.hidden_size) for _ in state)
        return y.reshape(*x.shape[:2], -1), zeros

    layer.forward = forward


@pytest.mark.parametrize("cell", catalogue.names())
@pytest.mark.parametrize("name", EXAMPLES)
def test_any_cell_can_be_trained(name: str, cell: str) -> None:
    """On plain operations, which share the layer's surface and take nothing to compile."""
    trainer = Trainer(begin(name, cell, TINY, backend="eager"))
    before = [each.detach().clone() for each in trainer.job.model.parameters()]
    assert math.isfinite(trainer.step(0))
    moved = zip(before, trainer.job.model.parameters(), strict=True)
    assert all(not torch.equal(old, new) for old, new in moved)


def test_a_cell_of_ones_own_can_be_trained(tmp_path: Path) -> None:
    path = tmp_path / "leaky.yaml"
    path.write_text(LEAKY)
    job = begin("adding", path, threads=1)
    assert train(job).final < 0.8 * job.baseline


def test_further_dimensions_of_a_cell_have_the_size_of_the_hidden_one(tmp_path: Path) -> None:
    path = tmp_path / "wide.yaml"
    path.write_text(WIDE)
    trainer = Trainer(begin("reversal", path, TINY, backend="eager"))
    assert math.isfinite(trainer.step(0))
    shapes = {n: tuple(each.shape) for n, each in trainer.job.model.named_parameters()}
    assert (TINY.hidden,) * 2 in {each for n, each in shapes.items() if n.endswith(".U")}


WIDE = """cell: wide
title: A memory beside the hidden state
cite: [nobody2026]
inputs: {x: input}
states: {h: hidden, m: memory}
parameters:
  W: [hidden, input]
  V: [memory, input]
  U: [hidden, memory]
equations:
  m': tanh(V @ x) + m
  h': tanh(W @ x + U @ m' + h)
output: h'
"""


LEAKY = """cell: leaky
title: A leaky integrator
cite: [nobody2026]
inputs: {x: input}
states: {h: hidden}
parameters:
  W: [hidden, input]
  U: [hidden, hidden]
  b: [hidden]
constants:
  keep: 0.9
equations:
  n: tanh(W @ x + U @ h + b)
  h': keep * h + (1 - keep) * n
output: h'
"""


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_same_seed_gives_the_same_run_and_another_seed_another(name: str) -> None:
    torch.rand(3)
    runs = []
    for seed in (3, 3, 4):
        trainer = Trainer(begin(name, "minimal_rnn", TINY, seed, threads=1))
        runs.append([trainer.step(0), trainer.step(1), trainer.held_out()])
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


# -------------------------------------------------------------------------------- baselines


def test_always_answering_one_costs_a_sixth() -> None:
    x, sums = adding.draw(Size(1, 50_000, 20, 0, 0.0), 5)
    assert torch.all(x[:10, :, 1].sum(0) == 1)
    assert torch.all(x[10:, :, 1].sum(0) == 1)
    assert torch.allclose(sums, (x[..., 0] * x[..., 1]).sum(0))
    assert float(((sums - 1) ** 2).mean()) == pytest.approx(1 / 6, rel=0.02)


def test_guessing_letters_costs_what_the_copying_job_says() -> None:
    job = begin("copying", "lstm", "full", threads=1)
    read, wanted = job.held_out
    C, A, T = copying.COPIED, copying.LETTERS, len(read)
    logits = torch.full((T, read.shape[1], A + 1), -1e9)
    logits[:-C, :, copying.BLANK] = 0.0
    logits[-C:, :, :A] = 0.0
    assert float(job.loss(lambda _: logits, read, wanted)) == pytest.approx(job.baseline)
    assert torch.equal(wanted[-C:], read[:C])
    assert torch.all(read[C : -C - 1] == copying.BLANK)


def test_words_are_wanted_backwards_and_read_one_letter_late() -> None:
    word, before, wanted = reversal.draw(TINY, 1)
    assert torch.equal(wanted, word.flip(0))
    assert torch.equal(before[1:], wanted[:-1])
    assert torch.all(before[0] == reversal.START)
    job = begin("reversal", "lstm", TINY, threads=1)
    even = torch.zeros(*word.shape, reversal.START)
    loss = job.loss(lambda *_: even, word, before, wanted)
    assert float(loss) == pytest.approx(job.baseline)
    assert job.baseline == pytest.approx(math.log(12))


def test_the_series_obeys_its_equation() -> None:
    """The truth is the same equation by a method of another order with a quarter of the step."""
    coarse = forecast.mackey_glass(200).numpy()
    n, lag = 40, 17 * 40
    x = np.concatenate([np.full(lag + 1, 1.2), np.empty(n * 500)])
    for k in range(n * 500):

        def slope(now: float, then: float) -> float:
            return 0.2 * then / (1 + then**10) - 0.1 * now

        then, after, now, h = x[k], x[k + 1], x[k + lag], 1 / n
        middle = (then + after) / 2
        k1 = slope(now, then)
        k2 = slope(now + h * k1 / 2, middle)
        k3 = slope(now + h * k2 / 2, middle)
        k4 = slope(now + h * k3, after)
        x[k + lag + 1] = now + h * (k1 + 2 * k2 + 2 * k3 + k4) / 6
    # The first number is that of t = 300.1.
    fine = x[lag + 4 * 3001 :: n][:200]
    # Chaos: differences double in about a hundred units of time.
    assert np.max(np.abs(coarse[:20] - fine[:20])) < 0.01
    assert 0.2 < coarse.min() < 0.5
    assert 1.2 < coarse.max() < 1.4


def test_forecasts_are_for_six_steps_later_and_of_new_numbers() -> None:
    job = begin("forecast", "lstm", threads=1)
    series = forecast.mackey_glass()
    series = (series - series.mean()) / series.std()
    x, later = job.held_out
    assert torch.equal(x[0, 0, 0], series[3200])
    assert torch.equal(later[:-6, 0], x[6:, 0])
    known = {float(each) for each in job.batch(0)[1].flatten()}
    assert known <= {float(each) for each in series[:3200]}
    assert job.baseline == pytest.approx(float(((x - later)[forecast.SEEN :] ** 2).mean()))


def test_the_text_is_whole_and_its_baseline_an_entropy() -> None:
    text = char_lm.text()
    assert 30_000 < len(text) < 60_000
    assert text.isascii()
    assert text.startswith("In Congress, July 4, 1776.")
    assert text.endswith("or to the people.\n")
    for words in ("created equal", "We the People", "a more perfect Union", "Amendment X."):
        assert words in text
    known, new = torch.tensor([0, 0, 0, 1]), torch.tensor([0, 1])
    expected = -(math.log2(4 / 6) + math.log2(2 / 6)) / 2
    assert char_lm.without_memory(known, new) == pytest.approx(expected)


def test_the_next_character_is_wanted_and_the_last_tenth_is_kept_apart() -> None:
    job = begin("char_lm", "lstm", TINY, threads=1)
    text, cut = char_lm.text(), 9 * len(char_lm.text()) // 10
    model: Any = job.model
    x, following = ("".join(model.characters[k] for k in row) for row in _first_rows(job.held_out))
    assert (x, following) == (text[cut : cut + 30], text[cut + 1 : cut + 31])
    for k in range(20):
        for row in job.batch(k)[1].T:
            assert "".join(model.characters[k] for k in row) in text[:cut]


def _first_rows(batch: Any) -> Any:
    return (each[:, 0] for each in batch)


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_trained_model_speaks_for_itself(name: str) -> None:
    job = begin(name, "gru", TINY, threads=1)
    modes = [(job.model.training, torch.is_grad_enabled())]
    with evaluating(job.model):
        modes.append((job.model.training, torch.is_grad_enabled()))
        said = job.show(job.model)
    modes.append((job.model.training, torch.is_grad_enabled()))
    assert modes == [(True, True), (False, False), (True, True)]
    assert said
    if name == "char_lm":
        assert len(said) > len(char_lm.PROMPT)
