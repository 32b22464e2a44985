"""Who speaks: one vector of an utterance, from a model of speaker recognition.

Resemblyzer's model is the GE2E network of Wan et al. (2018), which Makiuchi et
al. (2021) take; its weights are read from the installed package, which is not
imported. Models of SpeechBrain are read as data, as all models are.
"""

import importlib.util
from pathlib import Path

import torch
import torchaudio
from torch import nn
from torch.nn import functional as F

from speechbrain_ext import vad
from speechbrain_ext.base.errors import UserError, reason
from speechbrain_ext.base.files import fingerprint, read_text
from speechbrain_ext.base.parameters import check_parameters
from speechbrain_ext.encoders.base import Encoder
from speechbrain_ext.encoders.grid import OneFrame
from speechbrain_ext.untrusted import construction
from speechbrain_ext.untrusted.model_yaml import Call, ModelYaml, mapping
from speechbrain_ext.untrusted.parameters import fill
from speechbrain_ext.untrusted.place import Place

# Resemblyzer's: 25 ms every 10 ms, and partial utterances of 1.6 s.
_WINDOW = 400
_HOP = 160
_BANDS = 40
_SIZE = 256
_PARTIAL = 160
_PARTIALS_PER_SECOND = 1.3
# A shorter last one, but the only one, does not count.
_COVERAGE = 0.75
_LEVEL = -30.0
# Less than usual is speech enough, for shouts; of a longer silence so much is
# kept (samples).
_SPEECH = 0.3
_MAX_SILENCE = 4800
# What a SpeechBrain model makes vectors with, in this order.
_PARTS = "compute_features", "mean_var_norm", "embedding_model"
# Its convolutions need a few frames.
_MIN_SAMPLES = 1600


class SpeakerEncoder(Encoder):
    """One vector of a whole utterance, which stands for the speaker.

    Utterances are encoded one by one, so that nothing depends on a batch.

    Arguments
    ---------
    source : str or os.PathLike
        ``"resemblyzer"``, or a SpeechBrain model of speaker recognition in the
        layout of ``speechbrain/spkrec-ecapa-voxceleb``: a folder, or its name
        on the Hugging Face Hub.
    save_path : str or os.PathLike, optional
        Where downloads are kept; the Hub's own cache if absent.

    Raises
    ------
    UserError
        When the source is no such model, or Resemblyzer is not installed.
    """

    def __init__(self, source="resemblyzer", save_path=None):
        super().__init__()
        self.grid = OneFrame()
        if str(source) == "resemblyzer":
            self.embed = Resemblyzer()
        else:
            self.embed = SpeechBrainSpeaker(str(source), save_path)
        self.output_size = self.embed.output_size
        self.freeze()

    def encode(self, wav, lengths, all_layers):
        with torch.autocast(wav.device.type, enabled=False):
            pairs = zip(wav.float(), lengths.tolist())
            return torch.stack([self.embed(x[:n])[None] for x, n in pairs])

    def describe(self):
        return self.embed.describe()


class Resemblyzer(nn.Module):
    """The speaker encoder of the package Resemblyzer.

    Silences are found by Silero VAD, where the package has WebRTC's.
    """

    output_size = _SIZE

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(_BANDS, _SIZE, num_layers=3, batch_first=True)
        self.linear = nn.Linear(_SIZE, _SIZE)
        self.load_state_dict(_resemblyzer_weights())
        filters = torchaudio.functional.melscale_fbanks(
            _WINDOW // 2 + 1, 0.0, 8000.0, _BANDS, 16000, "slaney", "slaney"
        )
        self.register_buffer("filters", filters, persistent=False)
        window = torch.hann_window(_WINDOW)
        self.register_buffer("window", window, persistent=False)

    def forward(self, wav):
        """The vector ``[channels]`` of a waveform ``[samples]``."""
        return self.embed_spoken(self.prepare(wav))

    def prepare(self, wav):
        """A waveform that is not too soft, without long silences."""
        power = wav.double().square().mean()
        if power > 0:
            gain = 10 ** (_LEVEL / 20) / power.sqrt()
            wav = wav * gain.clamp(min=1.0).float()
        (regions,) = vad.speech_regions([wav.cpu()], _SPEECH)
        kept = vad.keep_speech(regions, len(wav), _MAX_SILENCE)
        return torch.cat([wav[a:b] for a, b in kept]) if kept else wav

    def embed_spoken(self, wav):
        """The normalised mean over partial utterances."""
        starts = _partials(len(wav))
        end = (starts[-1] + _PARTIAL) * _HOP
        mel = self.mel(F.pad(wav, (0, max(end - len(wav), 0))))
        parts = torch.stack([mel[n : n + _PARTIAL] for n in starts])
        return F.normalize(self.embed_partials(parts).mean(0), dim=0)

    def embed_partials(self, mel):
        """Vectors ``[batch, channels]`` of mel spectra ``[batch, frames,
        bands]``."""
        _, (hidden, _) = self.lstm(mel)
        return F.normalize(self.linear(hidden[-1]).relu(), dim=1)

    def mel(self, wav):
        """Power ``[frames, bands]``, without a logarithm."""
        spectrum = torch.stft(
            wav,
            _WINDOW,
            _HOP,
            window=self.window,
            pad_mode="constant",
            return_complex=True,
        )
        return spectrum.abs().square().T @ self.filters

    def describe(self):
        """What shapes the vectors besides the weights."""
        silence = {"speech": _SPEECH, "max_silence": _MAX_SILENCE}
        return {"source": "resemblyzer", **silence}


def _partials(num_samples):
    """First frames of the partial utterances of a waveform."""
    frames = num_samples // _HOP + 1
    step = round(16000 / _PARTIALS_PER_SECOND / _HOP)
    starts = [*range(0, max(1, frames - _PARTIAL + step + 1), step)]
    covered = num_samples / _HOP - starts[-1]
    if len(starts) > 1 and covered < _COVERAGE * _PARTIAL:
        starts.pop()
    return starts


def _resemblyzer_weights():
    # The package itself needs others that are old, and are not needed here.
    package = importlib.util.find_spec("resemblyzer")
    if package is None:
        raise UserError(
            "speaker_source: 'resemblyzer' needs the weights in the package "
            "Resemblyzer; run 'pip install --no-deps Resemblyzer'."
        )
    path = Path(package.origin).with_name("pretrained.pt")
    try:
        check_parameters(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
        state = state["model_state"]
        # Of training alone.
        return {k: x for k, x in state.items() if "similarity" not in k}
    except Exception as error:
        # torch and pickle each have their own.
        raise UserError(
            f"speaker_source: '{path}' is damaged ({reason(error)}); install "
            "Resemblyzer again."
        ) from error


class SpeechBrainSpeaker(nn.Module):
    """A model of speaker recognition in SpeechBrain's layout."""

    def __init__(self, source, save_path=None):
        super().__init__()
        place = Place(source, save_path)
        path = place.file("hyperparams.yaml")
        text = ModelYaml(path)
        modules = text.get("modules")
        modules = modules if isinstance(modules, dict) else {}
        pretrainer = text.get("pretrainer")
        saver = pretrainer.kwargs if isinstance(pretrainer, Call) else {}
        loaded = mapping(path, saver, "loadables")
        parts = {name: modules.get(name) for name in _PARTS}
        calls = construction.check(path, parts)
        loaded = {name: x for name, x in loaded.items() if x in calls}
        trained = parts["embedding_model"] in loaded.values()
        if not all(part in calls for part in parts.values()) or not trained:
            raise UserError(
                f"speaker_source: '{source}' is no model of speaker "
                f"recognition; its modules must have {', '.join(_PARTS)}, and "
                "its pretrainer must load the last one."
            )
        built = {}
        self.parts = nn.ModuleDict(construction.construct(path, parts, built))
        paths = mapping(path, saver, "paths")
        for name, call in loaded.items():
            fill(
                built[id(call)],
                place.file(str(paths.get(name, f"{name}.ckpt"))),
            )
        self.settings = fingerprint(read_text(path))
        self.eval()
        try:
            found = self(torch.linspace(-1, 1, _MIN_SAMPLES))
            (self.output_size,) = found.shape
        except Exception as error:
            # Any part may raise anything.
            raise UserError(
                f"speaker_source: the parts of '{source}' do not fit together "
                f"({reason(error)}); restore the files of one model."
            ) from error

    @torch.no_grad()
    def forward(self, wav):
        """The vector ``[channels]`` of a waveform ``[samples]``."""
        wav = F.pad(wav, (0, max(_MIN_SAMPLES - len(wav), 0)))[None]
        whole = wav.new_ones(1)
        features, normalise, embed = (self.parts[name] for name in _PARTS)
        devices = [wav.device] if wav.is_cuda else []
        with torch.random.fork_rng(devices):
            # Pooling of statistics adds noise.
            torch.manual_seed(0)
            found = embed(normalise(features(wav), whole), whole)
        # Some give a dimension of time.
        return found.squeeze(0).squeeze(0)

    def describe(self):
        """What shapes the vectors besides the weights."""
        return {"hyperparams": self.settings}
