"""Voice activity: which samples of a recording to keep.

Section 5.1 of Wang et al. (2023): no silence over 0.2 s remains. A longer one
is cut to that; half is kept at either end, for joints of two recordings.
"""

import functools
import math

from speechbrain_ext.audio import SAMPLE_RATE

# Shorter bursts than this are clicks rather than speech.
_MIN_SPEECH_MS = 50
# Silero's step at 16 kHz.
_STEP = 512


@functools.lru_cache(maxsize=1)
def _model():
    from silero_vad import load_silero_vad

    return load_silero_vad()


def speech_regions(waveforms, threshold=0.5):
    """Where there is speech in each waveform, by Silero VAD, all at once."""
    import torch
    from silero_vad import utils_vad

    regions = [[] for _ in waveforms]
    # A region must not depend on how loud a recording was made.
    peaks = [waveform.abs().max() for waveform in waveforms]
    heard = [number for number, peak in enumerate(peaks) if peak > 0]
    if not heard:
        return regions
    steps = [-(-len(waveforms[number]) // _STEP) for number in heard]
    batch = torch.zeros(len(heard), max(steps) * _STEP)
    for row, number in zip(batch, heard):
        row[: len(waveforms[number])] = waveforms[number] / peaks[number]
    model = _model()
    model.reset_states()
    with torch.no_grad():
        found = [model(step, SAMPLE_RATE) for step in batch.split(_STEP, 1)]
    probabilities = torch.cat(found, dim=1).tolist()
    for number, count, row in zip(heard, steps, probabilities):
        regions[number] = [
            (region["start"], region["end"])
            for region in utils_vad.get_speech_timestamps_from_probs(
                row[:count],
                threshold=threshold,
                sampling_rate=SAMPLE_RATE,
                min_speech_duration_ms=_MIN_SPEECH_MS,
                min_silence_duration_ms=0,
                speech_pad_ms=0,
                audio_length_samples=len(waveforms[number]),
            )
        ]
    return regions


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


def level_db(waveform, kept):
    """Root-mean-square level of the stretches kept, in dB of full scale."""
    import torch

    part = torch.cat([waveform[a:b] for a, b in kept])
    power = part.double().square().mean().item()
    return round(10 * math.log10(power), 3) if power > 0 else -math.inf


def energy_share(waveform, kept):
    """Part of a recording's energy that lies in the stretches kept."""
    # In double precision, for long and soft recordings.
    energy = (waveform.double() - waveform.double().mean()).square()
    total = energy.sum().item()
    part = sum(energy[a:b].sum().item() for a, b in kept)
    return part / total if total > 0 else 0.0
