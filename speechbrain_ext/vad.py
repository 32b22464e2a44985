"""Voice activity: which samples of a recording to keep.

Section 5.1 of Wang et al. (2023) lets no silence of more than 0.2 s remain in
a recording. What the detector hears as a longer silence is cut down to that
length here, and half of it is kept at either end, so that a silence across the
joint of two recordings stays within the bound too.
"""

import functools
import math

import torch
from silero_vad import get_speech_timestamps, load_silero_vad

from speechbrain_ext.audio import SAMPLE_RATE, read_audio

# Shorter bursts than this are clicks rather than speech.
_MIN_SPEECH_MS = 50


@functools.lru_cache(maxsize=1)
def _model():
    return load_silero_vad()


def speech_regions(waveform, threshold=0.5):
    """Where there is speech, by Silero VAD."""
    peak = waveform.abs().max()
    if peak == 0:
        return []
    # A region must not depend on how loud a recording was made.
    regions = get_speech_timestamps(
        waveform / peak,
        _model(),
        threshold=threshold,
        sampling_rate=SAMPLE_RATE,
        min_speech_duration_ms=_MIN_SPEECH_MS,
        min_silence_duration_ms=0,
        speech_pad_ms=0,
    )
    return [(region["start"], region["end"]) for region in regions]


def keep_speech(regions, num_samples, max_silence):
    """Stretches to keep so that no silence is longer than a bound."""
    before, after = max_silence // 2, max_silence - max_silence // 2
    kept = []
    for start, stop in regions:
        start, stop = max(0, start - before), min(num_samples, stop + after)
        if kept and start <= kept[-1][1]:
            kept[-1] = (kept[-1][0], max(kept[-1][1], stop))
        else:
            kept.append((start, stop))
    return kept


def level_db(waveform):
    """Root-mean-square level in dB relative to full scale."""
    power = waveform.double().square().mean().item()
    return round(10 * math.log10(power), 3) if power > 0 else -math.inf


def trim(path, start=0, stop=None, max_silence=0.2):
    """What to keep of a recording, and how loud that is."""
    waveform = read_audio(path, start, stop)
    kept = keep_speech(
        speech_regions(waveform),
        waveform.shape[0],
        round(max_silence * SAMPLE_RATE),
    )
    if not kept:
        return [], -math.inf, 0.0
    level = level_db(torch.cat([waveform[a:b] for a, b in kept]))
    speech = [[start + a, start + b] for a, b in kept]
    return speech, level, _energy_share(waveform, kept)


def _energy_share(waveform, kept):
    # In double precision, for long and soft recordings.
    energy = (waveform.double() - waveform.double().mean()).square()
    total = energy.sum().item()
    part = sum(energy[a:b].sum().item() for a, b in kept)
    return part / total if total > 0 else 0.0
