"""What stands behind the page: its models, what they say of a recording, and
the model that it makes for itself. Nothing of a recording is kept."""

import contextlib
import csv
import io
import logging
import os
import tempfile
import threading
import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import soundfile
import torch

from speechbrain_ext.app.command import MAX_MEGABYTES, MAX_SECONDS
from speechbrain_ext.audio import SAMPLE_RATE, AudioStream, probe
from speechbrain_ext.base.errors import UserError, unusable
from speechbrain_ext.base.files import check_writable, fingerprint, read_json
from speechbrain_ext.base.options import RecipeYaml
from speechbrain_ext.experiment.plan import make_plan
from speechbrain_ext.experiment.runs import (
    BUSY,
    LOG,
    Processes,
    epoch_lines,
    execute,
)
from speechbrain_ext.inference import EmotionDiarizer, EmotionRecognizer
from speechbrain_ext.inference.layouts import OtherKind
from speechbrain_ext.inference.texts import Details, transcript_of
from speechbrain_ext.metrics.hypotheses import format_rttm
from speechbrain_ext.plots import timeline, waveforms

_RECIPE = Path(__file__).parents[2] / "recipes" / "emotion_diarization"


@dataclass(frozen=True)
class Recording:
    """What is read: samples at 16 kHz, and what the page shows of it."""

    name: str
    header: object
    samples: np.ndarray
    # After the preprocessing of the model, if it has one.
    cleaned: np.ndarray | None
    picture: bytes


@dataclass
class Result:
    """What the models say of a recording."""

    #: Emotion -> share, which sum to 1.
    shares: dict
    warnings: list = field(default_factory=list)
    #: What is said; None of models that read no text.
    transcript: str | None = None
    #: Rows of a fusion: name, emotion, share, and the shares of all.
    members: list = field(default_factory=list)
    #: Of a diarizer.
    segments: list | None = None
    picture: bytes | None = None
    table: list = field(default_factory=list)
    rttm: str | None = None

    @property
    def emotion(self):
        """The one with the largest share."""
        return max(self.shares, key=self.shares.get)

    @cached_property
    def csv(self):
        """The table as a file."""
        file = io.StringIO()
        csv.writer(file, lineterminator="\n").writerows(self.table)
        return file.getvalue()


class Station:
    """Models that all who open the page share; they judge one recording after
    the other, as some of them keep what they know of a speaker.

    Arguments
    ---------
    source : str
        Of a recognizer, a fusion or a diarizer, as for ``from_hparams``.
    diarizer : str, optional
        That of a diarizer beside a recognizer.
    transcriber : str or callable, optional
        For a model that reads text.

    Raises
    ------
    UserError
        When one of them cannot be loaded.
    """

    def __init__(self, source, diarizer=None, transcriber=None):
        self._lock = threading.Lock()
        given = {} if transcriber is None else {"transcriber": transcriber}
        try:
            self.model = EmotionRecognizer.from_hparams(source, **given)
        except OtherKind:
            if given or diarizer is not None:
                option = "--transcriber" if given else "--diarizer"
                raise UserError(
                    f"{option}: '{source}' is a diarizer itself, which reads "
                    "no text; leave the option out."
                ) from None
            self.model = EmotionDiarizer.from_hparams(source)
        self.diarizer = self.model
        if self.recognizes:
            self.diarizer = diarizer and EmotionDiarizer.from_hparams(diarizer)
        #: Why nothing is transcribed.
        self.deaf = None
        self.reads_text = self.recognizes and self.model.reads_text
        if self.reads_text:
            self._listen()
        self.languages = _languages(source)

    @property
    def recognizes(self):
        """Whether the model gives one emotion for the whole of a recording."""
        return not isinstance(self.model, EmotionDiarizer)

    @property
    def cleaner(self):
        """The preprocessing that is part of the model, or None."""
        members = getattr(self.model, "members", [self.model])
        return next(filter(None, (each.cleaner for each in members)), None)

    def _listen(self):
        listener = self.model.listener
        try:
            listener.load()
        except UserError as error:
            # What is said can still be typed.
            self.deaf, listener.transcriber = str(error), None
        if listener.transcriber is None:
            self.deaf = self.deaf or "The model names no transcriber."

    def read(self, name, data):
        """The ``Recording`` of a file's bytes."""
        with self._lock, _as_file(name, data) as path:
            header = probe(path)
            if header.duration > MAX_SECONDS:
                raise UserError(
                    f"'{name}' lasts {header.duration:.0f} s, longer than the "
                    f"{MAX_SECONDS} s that the page takes; cut it into parts, "
                    "or use the command emotion-recognize."
                )
            samples = np.concatenate(list(AudioStream(path).blocks()))
            cleaned, shown = None, {"waveform": samples}
            if self.cleaner is not None:
                waveform = torch.from_numpy(samples)
                cleaned = self.cleaner.clean(waveform, path).numpy()
                shown = {"before": samples, "after": cleaned}
            picture = _picture(waveforms, shown, SAMPLE_RATE)
            return Recording(name, header, samples, cleaned, picture)

    def judge(self, recording, data, text=None):
        """The ``Result`` of a recording; of a text, where one is given in
        place of what is heard."""
        with (
            self._lock,
            _as_file(recording.name, data) as path,
            _warnings(path, recording.name) as warnings,
        ):
            if self.recognizes:
                result = self._recognize(recording, path, text)
            if self.diarizer:
                # Long recordings hold more than the one event of short ones.
                spans = self.diarizer.spans(len(recording.samples))
                changes = {"one_event": False} if len(spans) > 1 else None
                analysis = self.diarizer.analyse_file(path, changes)
            if not self.recognizes:
                result = _shares_of(analysis, self.diarizer.classes)
                result.table = _segment_table(recording.name, analysis.segments)
        result.warnings = warnings + self._foreign(recording)
        if self.diarizer:
            self._add_timeline(result, recording, analysis)
        return result

    def _recognize(self, recording, path, text):
        stream = AudioStream(path)
        found = self.model.classify_files([stream], texts=[text])
        out_prob, score, _, [emotion] = found
        shares = out_prob[0].tolist()
        details = Details(self.model)
        header = ["file", "emotion", "score", *self.model.classes]
        row = [recording.name, emotion]
        row += (f"{x:.6f}" for x in (score.item(), *shares))
        row += [*details.cells(stream), "; ".join(self.model.remarks(stream))]
        return Result(
            dict(zip(self.model.classes, shares)),
            transcript=transcript_of(stream) if self.reads_text else None,
            members=list(details.rows(stream)),
            table=[[*header, *details.header, "warning"], row],
        )

    def _add_timeline(self, result, recording, analysis):
        result.segments = analysis.segments
        # Fields of RTTM end at spaces.
        stem = "_".join(Path(recording.name).stem.split()) or "recording"
        try:
            result.rttm = format_rttm("RTTM", {stem: analysis.segments})
        except UserError as error:
            # Classes of two words; there are other ways to write them.
            result.warnings.append(str(error))
        result.picture = _picture(
            timeline,
            recording.samples,
            SAMPLE_RATE,
            analysis.segments,
            analysis.duration,
            posteriors=analysis.probabilities,
            frame_edges=analysis.edges,
            labels=self.diarizer.classes,
        )

    def _foreign(self, recording):
        """A warning of another language than those that the model knows."""
        listener = getattr(self.model, "listener", None)
        hear = getattr(listener and listener.transcriber, "hear_language", None)
        if hear is None or not self.languages:
            return []
        with self._lock:
            heard = hear(torch.from_numpy(recording.samples))
        if heard is None or heard in self.languages:
            return []
        known = ", ".join(map(_language_name, sorted(self.languages)))
        return [
            f"'{recording.name}' seems to be in {_language_name(heard)}, and "
            f"the model was trained on {known}: its result means little."
        ]


def check_size(name, size):
    """Refuse a file that is larger than the page takes, before it is read."""
    if size > MAX_MEGABYTES * 10**6:
        raise UserError(
            f"'{name}' has {size / 1e6:.0f} MB, more than the {MAX_MEGABYTES} "
            "MB that the page takes; convert it to FLAC, or cut it into parts."
        )


@contextlib.contextmanager
def _as_file(name, data):
    """A path that has the bytes of a file while they are read; errors name the
    file that was given."""
    check_size(name, len(data))
    with tempfile.TemporaryDirectory(prefix="emotion-") as folder:
        path = str(Path(folder, "recording"))
        try:
            Path(path).write_bytes(data)
            yield path
        except UserError as error:
            raise UserError(_renamed(str(error), path, name)) from error
        except OSError as error:
            raise unusable(folder, error) from error


@contextlib.contextmanager
def _warnings(path, name):
    """The warnings of the models, by this thread."""
    found, thread = [], threading.get_ident()

    class Keeper(logging.Handler):
        def emit(self, record):
            if record.thread == thread:
                found.append(_renamed(record.getMessage(), path, name))

    keeper = Keeper(logging.WARNING)
    logger = logging.getLogger("speechbrain_ext.inference")
    logger.addHandler(keeper)
    try:
        yield found
    finally:
        logger.removeHandler(keeper)


def _renamed(sentence, path, name):
    sentence = sentence.replace(path, name)
    return sentence.replace(f"'{Path(path).name}'", f"'{name}'")


def _shares_of(analysis, classes):
    """The share of each emotion over the time of a recording."""
    seconds = np.diff(analysis.edges)
    shares = np.average(analysis.probabilities, axis=0, weights=seconds)
    return Result(dict(zip(classes, shares.tolist())))


def _segment_table(name, segments):
    row = "{start:.3f} {end:.3f} {emotion}".format_map
    rows = [[name, *row(one).split(" ", 2)] for one in segments]
    return [["file", "start", "end", "emotion"], *rows]


def _picture(draw, *args, **options):
    """What a function of ``plots`` draws, as a PNG in memory."""
    with tempfile.TemporaryDirectory(prefix="emotion-") as folder:
        path = Path(folder, "picture.png")
        draw(path, *args, **options)
        return path.read_bytes()


def as_wav(samples):
    """Samples at 16 kHz as a file that every browser plays."""
    file = io.BytesIO()
    soundfile.write(file, samples, SAMPLE_RATE, "PCM_16", format="WAV")
    return file.getvalue()


def _languages(source):
    """ISO 639-1 codes of the languages that a run was trained on, as far as
    its manifest has them."""
    path = Path(os.path.expanduser(str(source)), "manifests", "train.json")
    if not path.is_file():
        return set()
    records = read_json(path)
    records = records.values() if isinstance(records, dict) else ()
    found = (x.get("language") for x in records if isinstance(x, dict))
    return {code for code in found if isinstance(code, str)}


def _language_name(code):
    from transformers.models.whisper.tokenization_whisper import LANGUAGES

    return LANGUAGES.get(code, code).capitalize()


class DefaultModel:
    """The quickstart of the recipe emotion_diarization: trained in another
    process, once for all who wait for it, in a folder of the user's cache.

    A process that is killed leaves a run that the next one goes on with.
    """

    def __init__(self):
        #: Set when there is nothing left to wait for.
        self.done = threading.Event()
        #: Why there is no model.
        self.problem = None
        cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        self._run = _planned(Path(cache).expanduser() / "speechbrain_ext")
        threading.Thread(target=self._make, daemon=True).start()

    @property
    def folder(self):
        """The run folder."""
        return self._run.folder

    def progress(self):
        """The share that is done, and what is going on."""
        total = self._run.settings.scalars["number_of_epochs"]
        epochs = len(epoch_lines(self._run))
        # The speech is made before the first one, the test follows the last.
        text = f"epoch {epochs + 1} of {total}" if epochs else "making speech"
        text = "testing" if epochs >= total else text
        return min((epochs + 1) / (total + 2), 1.0), text

    def _make(self):
        processes = Processes()
        try:
            while (failed := execute(self._run, processes)) == BUSY:
                time.sleep(1.0)
            if failed:
                self.problem = (
                    f"The default model is not trained ({failed.rstrip('.')}); "
                    f"mend that, or give a model. See '{self.folder / LOG}'."
                )
        except UserError as error:
            self.problem = str(error)
        except OSError as error:
            self.problem = str(unusable(self.folder, error))
        finally:
            processes.close()
            self.done.set()


def _planned(cache):
    """The run of the default model, in a folder of its version."""
    train, yaml = _RECIPE / "train.py", _RECIPE / "hparams" / "quickstart.yaml"
    if not train.is_file():
        raise UserError(
            "MODEL: give the folder or name of a model; the default one is "
            "trained by a recipe, which is not beside an installed package: "
            "'pip install -e .' in a checkout keeps it there."
        )
    check_writable("XDG_CACHE_HOME", cache)
    version = fingerprint(yaml.read_text(encoding="utf-8"))
    root = cache / f"quickstart-{version}"
    rows = [("", "", {})]
    row, *_ = make_plan(train, RecipeYaml(yaml), root, rows, {}, None, None)
    return row.runs[0]
