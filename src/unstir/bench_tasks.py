"""Single measured tasks, each run in a process of its own: ``python -m unstir.bench_tasks NAME``.

The sound is the demo scene over and over, 44.1 kHz stereo, a minute unless told otherwise.
"""

import argparse
import json
import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import soxr

from unstir.registry import make
from unstir.scene import load_scene
from unstir.separate import separate_with
from unstir.spectral import StftConfig, analyze, stft
from unstir.streaming import Grid, one_blas_thread
from unstir.types import Mixture, Waveform

Task = Callable[[], Any]
REPEATS = 3
GRID = StftConfig()


def sound(seconds: float) -> tuple[Waveform, int]:
    """Return the demo scene repeated to a length, and its sample rate."""
    scene = load_scene()
    n = round(seconds * scene.sample_rate)
    return np.take(scene.mix, np.arange(n), axis=1, mode="wrap"), scene.sample_rate


def _magnitude(seconds: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    x, _ = sound(seconds)
    return np.ascontiguousarray(np.abs(stft(x.mean(axis=0, keepdims=True), GRID))[0])


def _voice(seconds: float) -> Waveform:
    scene = load_scene()
    mono = soxr.resample(scene.stems["speech"].mean(axis=0), scene.sample_rate, 16000)
    return np.take(np.asarray(mono, np.float32), np.arange(round(16000 * seconds)), mode="wrap")


def _stft(seconds: float) -> Task:
    x, _ = sound(seconds)
    return lambda: stft(x, GRID)


def _stft_librosa(seconds: float) -> Task:
    import librosa

    x, _ = sound(seconds)
    return lambda: librosa.stft(x, n_fft=GRID.n_fft, hop_length=GRID.hop_length)


def _hpss(seconds: float) -> Task:
    from unstir.hybrid.hpss import median_masks

    magnitude = _magnitude(seconds)
    return lambda: median_masks(magnitude)


def _hpss_librosa(seconds: float) -> Task:
    from librosa.decompose import hpss

    magnitude = _magnitude(seconds)
    return lambda: hpss(magnitude, kernel_size=31, mask=True)


def _nmf_start(seconds: float) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(0)
    v = _magnitude(seconds)
    scale = np.sqrt(v.mean() / 30)
    w = (scale * rng.uniform(0.1, 1, (v.shape[0], 30))).astype(np.float32)
    return v, w, (scale * rng.uniform(0.1, 1, (30, v.shape[1]))).astype(np.float32)


def _nmf(seconds: float) -> Task:
    from unstir.hybrid.nmf import kl_nmf

    v, w, h = _nmf_start(seconds)
    return lambda: kl_nmf(v, w, h, n_iter=100)


def _nmf_sklearn(seconds: float) -> Task:
    import warnings

    from sklearn.decomposition import NMF
    from sklearn.exceptions import ConvergenceWarning

    v, w, h = _nmf_start(seconds)
    model = NMF(30, init="custom", solver="mu", beta_loss="kullback-leibler", max_iter=100, tol=0)

    def run() -> Any:
        with warnings.catch_warnings():
            # A fixed number of updates is what is compared; it is not meant to converge.
            warnings.simplefilter("ignore", ConvergenceWarning)
            return model.fit_transform(v, W=w.copy(), H=h.copy())

    return run


def _pyin(seconds: float) -> Task:
    from unstir.hybrid.pyin import pyin

    x = _voice(seconds)
    return lambda: pyin(x, 16000, f0_min_hz=65, f0_max_hz=600, frame_length=1024, hop_length=160)


def _pyin_librosa(seconds: float) -> Task:
    import librosa

    x = _voice(seconds)
    return lambda: librosa.pyin(x, sr=16000, fmin=65, fmax=600, frame_length=1024, hop_length=160)


def _priors(seconds: float) -> Task:
    """Center, NMF, comb and HPSS on one transform per window, as the fusion asks them."""
    from unstir.hybrid.harmonic import Harmonic
    from unstir.hybrid.hpss import Hpss
    from unstir.hybrid.midside import MidSide
    from unstir.hybrid.nmf import Nmf

    x, rate = sound(seconds)
    grid = Grid.for_rate(rate)
    priors: tuple[Any, ...] = (MidSide(), Nmf(), Harmonic(epochs=False), Hpss())
    whole = Mixture(x, rate)
    states = [prior.survey([whole]) for prior in priors]

    def run() -> None:
        for k in range(grid.n_windows(x.shape[1])):
            window = np.ascontiguousarray(x[:, k * grid.hop : k * grid.hop + grid.window])
            with one_blas_thread():
                spectrum = analyze(Mixture(window, rate, k * grid.hop))
                for prior, state in zip(priors, states, strict=True):
                    prior.evidence(spectrum, state)

    return run


def _method(name: str, seconds: float) -> Task:
    x, rate = sound(seconds)
    mix = Mixture(x, rate)
    return lambda: separate_with(make(name), mix)


TASKS: dict[str, Callable[[float], Task]] = {
    "stft": _stft,
    "stft-librosa": _stft_librosa,
    "hpss": _hpss,
    "hpss-librosa": _hpss_librosa,
    "nmf": _nmf,
    "nmf-sklearn": _nmf_sklearn,
    "pyin": _pyin,
    "pyin-librosa": _pyin_librosa,
    "priors": _priors,
}


def measure(task: Task, seconds: float) -> dict[str, float]:
    """Return median wall and CPU seconds of a task, after one run to warm up, and peak memory."""
    task()
    walls, cpus = [], []
    for _ in range(REPEATS):
        wall, cpu = time.perf_counter(), time.process_time()
        task()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return {
        "seconds": float(np.median(walls)),
        "cpu_seconds": float(np.median(cpus)),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "duration_s": seconds,
    }


def main() -> None:
    """Measure one task and print its figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", help=f"{', '.join(TASKS)}, or method:NAME")
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    kind, _, name = options.task.partition(":")
    build = TASKS[options.task](options.seconds) if not name else _method(name, options.seconds)
    assert name == "" or kind == "method"
    print(json.dumps(measure(build, options.seconds)))


if __name__ == "__main__":
    main()
