"""Recordings as the model was trained on them: without noise and silence."""

import bisect
import itertools

import torch

from speechbrain_ext.audio import SAMPLE_RATE, AudioError

# A recording is cleaned as a whole, in memory (s).
LONGEST = 600.0


class CleanedRecording:
    """What a ``Cleaner`` leaves of a recording, with its face.

    Its text is that of the recording as it is, as in training.
    """

    def __init__(self, recording, cleaner):
        if recording.duration > LONGEST:
            reason = f"lasts {recording.duration:.0f} s, and this model cleans "
            reason += f"recordings of up to {LONGEST:g} s"
            raise AudioError(reason, recording.path, "cut it into parts")
        self.recording, self.cleaner = recording, cleaner
        self.path = recording.path
        self._make()

    def _make(self):
        span = 0, self.recording.num_samples
        self._whole = next(iter(self.recording.windows([span])))
        wav, self.parts = self.cleaner.parts(self._whole, self.path)
        self._wav = torch.cat([wav[start:stop] for start, stop in self.parts])
        self.num_samples = len(self._wav)
        self.duration = self.num_samples / SAMPLE_RATE

    @property
    def notes(self):
        """As of ``AudioStream``."""
        notes = list(self.recording.notes)
        if self.duration < self.cleaner.min_duration:
            notes.append(
                f"lasts {self.duration:.2f} s without silence, less than what "
                f"the model was trained on ({self.cleaner.min_duration:g} s)"
            )
        return notes

    @property
    def text(self):
        """What the user says that is said."""
        return self.recording.text

    @property
    def heard(self):
        """What was transcribed, by stretches of the recording as it is."""
        return self.recording.heard

    def windows(self, spans):
        """As ``AudioStream.windows``."""
        if self._wav is None:
            self._make()
        return (self._wav[start:stop] for start, stop in spans)

    def release(self):
        """Free the memory; the recording is cleaned again if need be."""
        self._whole = self._wav = None

    def before(self, span):
        """The recording, and span and waveform of the stretch of it that a
        span was made of."""
        start, stop = map(self._position, span)
        # Silence at the ends belongs to what is heard, too.
        if span[0] == 0:
            start = 0
        if span[1] == self.num_samples:
            stop = self.recording.num_samples
        return self.recording, (start, stop), self._whole[start:stop]

    def _position(self, sample):
        lengths = [stop - start for start, stop in self.parts]
        ends = list(itertools.accumulate(lengths))
        at = min(bisect.bisect_right(ends, sample), len(ends) - 1)
        return self.parts[at][1] - ends[at] + sample


def clean_once(recording, cleaner):
    """A recording as a model wants it, cleaned once for all that ask."""
    if cleaner is None or isinstance(recording, CleanedRecording):
        return recording
    known = vars(recording).setdefault("cleaned", {})
    key = repr(cleaner.options)
    if key not in known:
        known[key] = CleanedRecording(recording, cleaner)
    return known[key]


def release(recording):
    """Free the memory of all that was made of a recording."""
    for each in vars(recording).get("cleaned", {}).values():
        each.release()
