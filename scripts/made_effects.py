"""Sounds of effects made with NumPy: a function each, float64 in any level, mono or stereo."""

from collections.abc import Callable

import numpy as np
from made_synthesis import RATE, Sound, band, burst, colored, modal, phase, put, times, wander, wide
from scipy import signal

Effect = Callable[[np.random.Generator], Sound]
EFFECTS: dict[str, Effect] = {}


def effect(function: Effect) -> Effect:
    EFFECTS[function.__name__] = function
    return function


@effect
def rain(rng: np.random.Generator) -> Sound:
    n = round(rng.uniform(6, 12) * RATE)
    bed = band(rng.standard_normal((2, n)), rng.uniform(200, 900), rng.uniform(4000, 14000), 1)
    bed = bed / bed.std() * wander(rng, n, 0.5, 0.7, 1.2)
    for at in rng.uniform(0, n / RATE - 0.1, int(rng.uniform(20, 600))):
        t = times(0.02)
        drop = np.sin(2 * np.pi * rng.uniform(800, 6000) * t) * np.exp(
            -t / rng.uniform(0.001, 0.005)
        )
        put(bed[int(rng.integers(2))], drop, at, rng.lognormal(0.5, 0.7))
    return bed


@effect
def wind(rng: np.random.Generator) -> Sound:
    n = round(rng.uniform(6, 12) * RATE)
    bed = colored(rng, n, rng.uniform(3, 7), 2) * wander(rng, n, 0.5, 0.2, 1) ** 2
    whistle = band(rng.standard_normal(n), rng.uniform(300, 500), rng.uniform(520, 1100), 2)
    return bed + rng.uniform(0, 0.5) * whistle / whistle.std() * wander(rng, n, 0.8, 0, 1) ** 3


@effect
def engine(rng: np.random.Generator) -> Sound:
    n = round(rng.uniform(4, 12) * RATE)
    base = rng.uniform(20, 90) * wander(rng, n, rng.uniform(0.1, 0.6), 0.8, rng.uniform(1, 2.5))
    turn = phase(base * (1 + 0.01 * colored(rng, n, 9)))
    found = np.zeros(n)
    for k in range(1, 25):
        found += rng.lognormal(0, 0.6) / k ** rng.uniform(0.5, 1.1) * np.sin(k * turn + k)
    noise = band(rng.standard_normal(n), 80, rng.uniform(800, 4000), 1) * (1 + np.sin(turn))
    return np.tanh(rng.uniform(0.3, 2) * found) + rng.uniform(0.1, 0.8) * noise


@effect
def footsteps(rng: np.random.Generator) -> Sound:
    pace_s, n_steps = rng.uniform(0.28, 0.75), int(rng.integers(4, 14))
    found = np.zeros(round((pace_s * n_steps + 0.6) * RATE))
    low, high, decay = rng.uniform(60, 400), rng.uniform(900, 7000), rng.uniform(0.008, 0.05)
    for k in range(n_steps):
        at = 0.05 + k * pace_s + abs(rng.normal(0, 0.015))
        put(found, burst(rng, low, high, decay), at, rng.uniform(0.7, 1.2))
        put(
            found, burst(rng, low * 1.5, high * 1.3, decay * 0.6), at + rng.uniform(0.05, 0.12), 0.5
        )
        if high > 3500:  # gravel
            for _ in range(int(rng.integers(3, 15))):
                put(found, burst(rng, 1500, 9000, 0.003), at + rng.uniform(0, 0.18), 0.4)
    return found


@effect
def impact(rng: np.random.Generator) -> Sound:
    body = modal(
        rng, np.exp(rng.uniform(4, 7.5)), np.exp(rng.uniform(-3.5, 0.2)), int(rng.integers(4, 24)),
        rng.uniform(0.9, 1.7),
    )  # fmt: skip
    found = np.zeros(max(body.size, RATE) + RATE // 2)
    for at in (0.0, *np.sort(rng.uniform(0.05, 0.6, int(rng.integers(0, 4))))):
        put(found, body, at, 1 if at == 0 else rng.uniform(0.1, 0.6))
        put(found, burst(rng, 100, 9000, rng.uniform(0.002, 0.02)), at, rng.uniform(0.5, 3))
    return found


@effect
def debris(rng: np.random.Generator) -> Sound:
    seconds, base = rng.uniform(1, 4), rng.uniform(500, 5000)
    found = np.zeros(round((seconds + 1) * RATE))
    for at in seconds * rng.random(int(rng.uniform(20, 120))) ** 2:
        shard = modal(rng, base * rng.uniform(0.6, 2.5), rng.uniform(0.01, 0.12), 4, 1.5)
        put(found, shard, at, rng.lognormal(-1, 0.8) * (1.1 - at / seconds))
    put(found, burst(rng, 300, 12000, 0.05), 0, 1.5)
    return wide(rng, found)


@effect
def siren(rng: np.random.Generator) -> Sound:
    t = times(rng.uniform(3, 9))
    low = rng.uniform(350, 800)
    sweep = np.sin(2 * np.pi * rng.uniform(0.15, 5) * t)
    if rng.random() < 0.35:
        sweep = np.sign(sweep)
    turn = phase(low * (1 + rng.uniform(0.1, 0.7) * (1 + sweep)))
    found = sum(np.sin(k * turn) / k ** rng.uniform(0.8, 2) for k in range(1, 8))
    return np.asarray(found) * wander(rng, t.size, 0.3, 0.3, 1)


@effect
def whoosh(rng: np.random.Generator) -> Sound:
    n = round(rng.uniform(0.5, 2.5) * RATE)
    x = np.linspace(0, 1, n)
    peak = rng.uniform(0.3, 0.75)
    shape = np.where(x < peak, x / peak, (1 - x) / (1 - peak)) ** rng.uniform(1.5, 4)
    found = np.zeros(n)
    center = np.exp(rng.uniform(5.5, 7.5))
    for k in range(4):  # bands that open one after the other
        part = band(rng.standard_normal(n), center * 1.8**k * 0.7, center * 1.8**k * 1.4, 1)
        found += part * shape ** (1 + 0.7 * k)
    side = 0.5 * np.pi * (x if rng.random() < 0.5 else 1 - x)
    return np.stack([np.cos(side), np.sin(side)]) * found


@effect
def fire(rng: np.random.Generator) -> Sound:
    n = round(rng.uniform(5, 12) * RATE)
    found = 0.15 * colored(rng, n, rng.uniform(3, 7), 2) * wander(rng, n, 3, 0.5, 1)
    for at in rng.uniform(0, n / RATE - 0.1, int(n / RATE * rng.uniform(5, 40))):
        snap = burst(
            rng, rng.uniform(300, 2000), rng.uniform(4000, 15000), rng.uniform(0.001, 0.008)
        )
        put(found[int(rng.integers(2))], snap, at, rng.lognormal(-0.5, 1))
    return found


@effect
def waves(rng: np.random.Generator) -> Sound:
    n = round(rng.uniform(8, 12) * RATE)
    low = colored(rng, n, 5, 2) * wander(rng, n, 0.3, 0.1, 1) ** 2
    hiss = band(rng.standard_normal((2, n)), 1500, 9000, 1) * wander(rng, n, 0.35, 0, 1) ** 3
    return low + rng.uniform(0.5, 2) * hiss


@effect
def stream(rng: np.random.Generator) -> Sound:
    seconds = rng.uniform(5, 10)
    found = np.zeros((2, round(seconds * RATE)))
    for at in rng.uniform(0, seconds - 0.2, int(seconds * rng.uniform(60, 200))):
        t = times(rng.uniform(0.01, 0.06))
        hz = rng.uniform(350, 2500) * (1 + rng.uniform(0, 8) * t)
        bubble = np.sin(phase(hz)) * np.exp(-t * 60) * np.minimum(1, t * 1000)
        put(found[int(rng.integers(2))], bubble, at, rng.lognormal(-1, 0.6))
    return found + 0.05 * colored(rng, found.shape[1], 3, 2)


@effect
def hum(rng: np.random.Generator) -> Sound:
    n = round(rng.uniform(5, 12) * RATE)
    turn = phase(np.full(n, float(rng.choice([50, 60, 100, 120, rng.uniform(30, 300)]))))
    found = sum(rng.lognormal(-0.3 * k, 0.8) * np.sin(k * turn + k) for k in range(1, 16))
    fan = colored(rng, n, rng.uniform(3, 9)) * (1 + 0.3 * np.sin(turn / rng.integers(2, 9)))
    return np.asarray(found) * wander(rng, n, 1, 0.9, 1) + rng.uniform(0.1, 2) * fan


@effect
def machine(rng: np.random.Generator) -> Sound:
    seconds, period = rng.uniform(4, 10), rng.uniform(0.12, 1.2)
    found = 0.1 * colored(rng, round(seconds * RATE), 5)
    parts = [modal(rng, rng.uniform(80, 2500), rng.uniform(0.02, 0.2), 8, 1.3) for _ in range(3)]
    offsets = rng.uniform(0, period, 3)
    for k in range(int(seconds / period) - 1):
        for part, offset in zip(parts, offsets, strict=True):
            put(found, part, k * period + offset, rng.uniform(0.8, 1.1))
    return found


@effect
def crowd(rng: np.random.Generator) -> Sound:
    """Return a murmur: many voices of which no word is left."""
    n = round(rng.uniform(6, 12) * RATE)
    found = np.zeros((2, n))
    for _ in range(int(rng.uniform(12, 40))):
        turn = phase(rng.uniform(90, 260) * wander(rng, n, 2, 0.85, 1.2))
        source = signal.sawtooth(turn) + 0.3 * rng.standard_normal(n)
        syllables = np.maximum(0, wander(rng, n, rng.uniform(3, 6), -0.6, 1)) * wander(
            rng, n, 0.4, 0, 1
        )
        formants = [(300, 800), (900, 2200), (2300, 3400)]
        voice = np.zeros(n)
        for low, high in formants:
            center = rng.uniform(low, high)
            voice += band(source, center * 0.85, center * 1.15, 1) * wander(rng, n, 4, 0.1, 1)
        side = rng.uniform(0, np.pi / 2)
        found += np.outer([np.cos(side), np.sin(side)], voice * syllables * rng.lognormal(0, 0.5))
    return found


@effect
def applause(rng: np.random.Generator) -> Sound:
    seconds = rng.uniform(4, 9)
    n = round(seconds * RATE)
    claps = np.zeros((2, n))
    for _ in range(int(rng.uniform(15, 70))):  # hands, each at its own pace
        pace, at, side = rng.uniform(0.17, 0.32), rng.uniform(0, 1), int(rng.integers(2))
        hand = burst(
            rng, rng.uniform(400, 1000), rng.uniform(1800, 5000), rng.uniform(0.004, 0.012)
        )
        gain = rng.lognormal(0, 0.5)
        while at < seconds - 0.1:
            put(claps[side], hand, at, gain * rng.uniform(0.6, 1.2))
            at += pace * rng.normal(1, 0.08)
    return claps * wander(rng, n, 0.4, 0.4, 1)


@effect
def birds(rng: np.random.Generator) -> Sound:
    seconds = rng.uniform(3, 10)
    found = 0.01 * colored(rng, round(seconds * RATE), 4, 2)
    for _ in range(int(rng.integers(1, 5))):
        base, depth, trill = rng.uniform(1800, 6500), rng.uniform(-0.4, 0.4), rng.uniform(8, 45)
        side = rng.uniform(0, np.pi / 2)
        for start in np.sort(rng.uniform(0, seconds - 1, int(rng.integers(2, 7)))):
            for k in range(int(rng.integers(1, 7))):
                t = times(rng.uniform(0.04, 0.16))
                x = t / t[-1]
                turn = phase(base * (1 + depth * x + 0.08 * np.sin(2 * np.pi * trill * t)))
                chirp = (np.sin(turn) + 0.15 * np.sin(2 * turn)) * np.sin(np.pi * x) ** 1.5
                for channel, gain in enumerate((np.cos(side), np.sin(side))):
                    put(found[channel], chirp, start + 0.15 * k, gain)
    return found


@effect
def insects(rng: np.random.Generator) -> Sound:
    t = times(rng.uniform(5, 10))
    found = 0.02 * colored(rng, t.size, 3, 2)
    for _ in range(int(rng.integers(1, 5))):
        pulse = np.maximum(0, np.sin(2 * np.pi * rng.uniform(10, 60) * t)) ** 3
        call = np.maximum(0, np.sin(2 * np.pi * rng.uniform(0.4, 3) * t + rng.uniform(0, 6))) > 0.2
        voice = np.sin(2 * np.pi * rng.uniform(2500, 7500) * t) * pulse
        voice *= signal.sosfilt(signal.butter(1, 30, fs=RATE, output="sos"), call.astype(float))
        found += np.outer(rng.uniform(0.2, 1, 2), voice)
    return found


@effect
def door(rng: np.random.Generator) -> Sound:
    found = np.zeros(round(rng.uniform(1.5, 3.5) * RATE))
    if rng.random() < 0.6:  # it squeaks: stick and slip
        t = times(rng.uniform(0.4, 1.2))
        turn = phase(rng.uniform(150, 700) * wander(rng, t.size, 5, 0.5, 1.8))
        squeak = band(signal.sawtooth(turn), rng.uniform(300, 900), rng.uniform(2000, 6000), 1)
        put(found, squeak * np.sin(np.pi * t / t[-1]) * wander(rng, t.size, 12, 0.1, 1), 0.05, 0.4)
    at = found.size / RATE - rng.uniform(0.7, 1)
    put(found, modal(rng, rng.uniform(50, 140), rng.uniform(0.04, 0.12), 10, 1.1), at, 1)
    put(found, burst(rng, 60, 2500, 0.03), at, 1.5)
    put(found, burst(rng, 1500, 9000, 0.006), at + rng.uniform(0.02, 0.09), 0.8)  # the latch
    return found


@effect
def gunshot(rng: np.random.Generator) -> Sound:
    n_shots, gap_s = int(rng.choice([1, 1, 1, 3, 8])), rng.uniform(0.08, 0.5)
    found = np.zeros((2, round((n_shots * gap_s + 2.5) * RATE)))
    crack = burst(rng, rng.uniform(60, 300), rng.uniform(6000, 16000), rng.uniform(0.008, 0.04))
    tail = band(rng.standard_normal((2, 2 * RATE)), 80, rng.uniform(800, 3000), 1)
    tail = tail * np.exp(-times(2) / rng.uniform(0.1, 0.5))
    for k in range(n_shots):
        at = 0.02 + k * gap_s * rng.uniform(0.95, 1.05)
        for side in range(2):
            put(found[side], np.tanh(4 * crack), at)
            put(found[side], tail[side], at + 0.01, 0.3)
    return found


@effect
def explosion(rng: np.random.Generator) -> Sound:
    t = times(rng.uniform(2.5, 6))
    decay = rng.uniform(0.3, 1.3)
    boom = (
        colored(rng, t.size, rng.uniform(5, 9), 2) * np.exp(-t / decay) * np.minimum(1, t / 0.005)
    )
    deep = np.sin(phase(rng.uniform(40, 90) * np.exp(-t * 2))) * np.exp(-t / decay)
    return np.tanh(rng.uniform(1, 3) * boom) + rng.uniform(0.3, 1) * deep


@effect
def thunder(rng: np.random.Generator) -> Sound:
    n = round(rng.uniform(5, 11) * RATE)
    t = np.arange(n) / RATE
    roll = colored(rng, n, rng.uniform(4, 8), 2) * wander(rng, n, 4, 0, 1) ** 2
    return roll * np.exp(-t / rng.uniform(1.5, 4)) * np.minimum(1, t / rng.uniform(0.01, 0.5))


@effect
def beeps(rng: np.random.Generator) -> Sound:
    found = np.zeros(round(rng.uniform(1, 4) * RATE))
    base, length = rng.uniform(300, 3500), rng.uniform(0.04, 0.3)
    steps = rng.choice([0.5, 0.75, 1, 1.25, 1.5, 2], int(rng.integers(1, 5)))
    shape, glide = int(rng.integers(3)), rng.choice([0, 0, -0.5, 0.8])
    at, k = 0.02, 0
    while at < found.size / RATE - length:
        t = times(length)
        turn = phase(base * steps[k % len(steps)] * (1 + glide * t / length))
        tone = (np.sin(turn), signal.square(turn) * 0.5, np.sin(turn + 2 * np.sin(2 * turn)))[shape]
        put(found, tone * np.minimum(1, np.minimum(t, t[-1] - t) / 0.004), at)
        at, k = at + length * rng.choice([1.1, 1.1, 2.5]), k + 1
    return found


@effect
def telephone(rng: np.random.Generator) -> Sound:
    t = times(rng.uniform(2, 6))
    ring = (np.sin(2 * np.pi * rng.uniform(12, 28) * t) > 0) * ((t % 3.0) < 1.5)
    bell = sum(np.sin(2 * np.pi * hz * t) for hz in rng.uniform(700, 3500, 3))
    soft = signal.sosfilt(signal.butter(1, 60, fs=RATE, output="sos"), ring.astype(float))
    return np.asarray(bell) * soft


@effect
def vehicle_pass(rng: np.random.Generator) -> Sound:
    n = round(rng.uniform(4, 9) * RATE)
    x = np.linspace(-1, 1, n) * rng.uniform(3, 8)
    near = 1 / np.sqrt(1 + x**2)
    hz = rng.uniform(40, 130) * (1 - rng.uniform(0.02, 0.09) * x * near)
    turn = phase(hz)
    motor = sum(rng.lognormal(0, 0.5) / k * np.sin(k * turn + k) for k in range(1, 14))
    tires = band(rng.standard_normal(n), 300, rng.uniform(2000, 5000), 1)
    side = np.pi / 4 * (1 + np.tanh(x * rng.choice([-1, 1])))
    sound = (0.3 * np.asarray(motor) + rng.uniform(0.5, 3) * tires) * near**1.5
    return np.stack([np.cos(side), np.sin(side)]) * sound


@effect
def rotor(rng: np.random.Generator) -> Sound:
    n = round(rng.uniform(5, 10) * RATE)
    turn = phase(rng.uniform(8, 28) * wander(rng, n, 0.3, 0.95, 1.05))
    chop = np.maximum(0, np.cos(turn)) ** rng.uniform(3, 12)
    thump = colored(rng, n, rng.uniform(4, 7)) * chop
    whine = np.sin(phase(np.full(n, rng.uniform(300, 1500))))
    return (thump + 0.1 * whine + 0.1 * rng.standard_normal(n)) * wander(rng, n, 0.2, 0.3, 1)


@effect
def scrape(rng: np.random.Generator) -> Sound:
    n = round(rng.uniform(0.5, 3) * RATE)
    noise = band(rng.standard_normal(n), rng.uniform(300, 2000), rng.uniform(4000, 12000), 1)
    ring = modal(rng, rng.uniform(200, 2000), 0.05, 10, 1.3)
    rough = noise * wander(rng, n, rng.uniform(10, 60), 0, 1) ** 2
    return np.asarray(signal.fftconvolve(rough, ring / np.abs(ring).max()))[:n]


@effect
def cloth(rng: np.random.Generator) -> Sound:
    found = np.zeros(round(rng.uniform(1, 3) * RATE))
    for at in rng.uniform(0, found.size / RATE - 0.5, int(rng.integers(2, 7))):
        t = times(rng.uniform(0.1, 0.45))
        rub = band(rng.standard_normal(t.size), rng.uniform(500, 1500), rng.uniform(5000, 14000), 1)
        put(found, rub * np.sin(np.pi * t / t[-1]) ** 2 * wander(rng, t.size, 30, 0.1, 1), at)
    return found
