"""Manifests -> SpeechBrain datasets."""

import torch
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.utils.data_pipeline import provides, takes

from speechbrain_ext.audio import (
    SAMPLE_RATE,
    num_samples,
    probe,
    read_audio,
    to_samples,
)
from speechbrain_ext.encoders.frames import frame_labels
from speechbrain_ext.models.frames import frame_limit, selected_layers
from speechbrain_ext.simulation import compose


def load_waveform(record):
    """Audio of a manifest's record: a file, a part of one, or pieces joined.

    Arguments
    ---------
    record : dict
        With ``pieces``, or with ``wav`` and perhaps ``start`` and ``stop``.

    Returns
    -------
    torch.Tensor
        Waveform [samples] at 16 kHz.

    Raises
    ------
    speechbrain_ext.audio.AudioError
        When a recording cannot be used.

    Example
    -------
    >>> from speechbrain.dataio import audio_io
    >>> path = str(getfixture("tmp_path") / "a.wav")
    >>> audio_io.save(path, torch.zeros(1, 16000), 16000)
    >>> load_waveform({"wav": path, "start": 0.25}).shape
    torch.Size([12000])
    """
    if "pieces" in record:
        return compose(record["pieces"])
    return read_audio(record["wav"], *_bounds(record))


def count_samples(record):
    """Number of samples that ``load_waveform`` gives, without reading them.

    Arguments
    ---------
    record : dict
        As for ``load_waveform``.

    Returns
    -------
    int

    Example
    -------
    >>> count_samples({"pieces": [
    ...     {"start": 0.0, "stop": 1.0},
    ...     {"start": 1.0, "stop": 1.5, "crossfade": 0.25},
    ... ]})
    20000
    """
    if "pieces" in record:
        return sum(
            to_samples(piece["stop"])
            - to_samples(piece["start"])
            - to_samples(piece.get("crossfade", 0.0))
            for piece in record["pieces"]
        )
    start, stop = _bounds(record)
    return (num_samples(probe(record["wav"])) if stop is None else stop) - start


def _bounds(record):
    stop = record.get("stop")
    return (
        to_samples(record.get("start") or 0),
        None if stop is None else to_samples(stop),
    )


def segments_of(record):
    """Segments of a record, whether it has one emotion or several.

    Example
    -------
    >>> segments_of({"emotion": "sad", "duration": 2.0})
    [{'emo': 'sad', 'start': 0.0, 'end': 2.0}]
    """
    emotion = record["emotion"]
    if isinstance(emotion, str):
        return [{"emo": emotion, "start": 0.0, "end": record["duration"]}]
    return emotion


class SpeechDataset(DynamicItemDataset):
    """Utterances, as waveforms or as stored features, with their labels.

    Its items have ``id``, ``speaker``, ``labels``, and ``sig`` [samples], or
    in its place ``feats`` [frames, layers, channels] and the like.

    Arguments
    ---------
    utterances : list of Utterance
        What is in it.
    label : callable
        From the record of an utterance to its labels, a tensor
        ``[any number]``.
    stores : dict, optional
        From prefix to ``speechbrain_ext.features.FeatureStore``, if encoders'
        output is stored: that of ``"fusion_"`` becomes ``fusion_feats``.
    layers : str
        Which hidden states ``feats`` has, see
        ``speechbrain_ext.models.frames.selected_layers``.
    max_length : float, optional
        Features beyond are cut off (s).
    """

    def __init__(
        self, utterances, label, stores=None, layers="all", max_length=None
    ):
        @takes("record")
        @provides("sig")
        def audio(record):
            return load_waveform(record)

        @takes("record")
        @provides("labels")
        def labels(record):
            return label(record)

        items, keys = [audio, labels], ["id", "speaker", "labels"]
        for prefix, store in (stores or {}).items():
            items.append(
                _features(
                    prefix + "feats",
                    store,
                    "all" if prefix else layers,
                    max_length,
                )
            )
            keys.append(prefix + "feats")
        super().__init__(
            _items(utterances),
            dynamic_items=items,
            output_keys=keys if stores else [*keys, "sig"],
        )

    def replace(self, utterances):
        """Put other utterances in, for a fresh plan every epoch.

        Arguments
        ---------
        utterances : list of Utterance
            The new ones.
        """
        self.data = _items(utterances)
        self.data_ids = list(self.data)


class FrameDataset(SpeechDataset):
    """Utterances with a label for every frame of an encoder.

    Arguments
    ---------
    utterances : list of Utterance
        What is in it.
    grid : FrameGrid
        The frames of the encoder.
    classes : list of str
        Name of every class, in the order of their indices.
    store : speechbrain_ext.features.FeatureStore, optional
        Where the encoder's output lies, if that is stored; items then have
        ``feats`` [frames, layers, channels] in place of ``sig`` [samples].

    Example
    -------
    >>> from speechbrain.dataio import audio_io
    >>> from speechbrain_ext.encoders.frames import FrameGrid
    >>> from speechbrain_ext.manifest import Utterance
    >>> path = str(getfixture("tmp_path") / "a.wav")
    >>> audio_io.save(path, torch.zeros(1, 16000), 16000)
    >>> data = [Utterance("a", 1.0, "s", "sad", "demo", wav=path)]
    >>> item = FrameDataset(data, FrameGrid([(400, 320, 0)]), ["neutral", "sad"])[0]
    >>> item["sig"].shape, item["labels"].shape
    (torch.Size([16000]), torch.Size([49]))
    """

    def __init__(self, utterances, grid, classes, store=None):
        index = {name: number for number, name in enumerate(classes)}

        def label(record):
            named = frame_labels(
                segments_of(record), count_samples(record), SAMPLE_RATE, grid
            )
            return torch.tensor([index[name] for name in named])

        super().__init__(
            utterances, label, None if store is None else {"": store}
        )


class UtteranceDataset(SpeechDataset):
    """Utterances with one label each, ``labels`` [1].

    Arguments
    ---------
    utterances : list of Utterance
        What is in it.
    classes : list of str
        Name of every class, in the order of their indices.
    **options
        ``stores``, ``layers`` and ``max_length`` of ``SpeechDataset``.

    Example
    -------
    >>> from speechbrain.dataio import audio_io
    >>> from speechbrain_ext.manifest import Utterance
    >>> path = str(getfixture("tmp_path") / "a.wav")
    >>> audio_io.save(path, torch.zeros(1, 16000), 16000)
    >>> data = [Utterance("a", 1.0, "s", "sad", "demo", wav=path)]
    >>> UtteranceDataset(data, ["neutral", "sad"])[0]["labels"]
    tensor([1])
    """

    def __init__(self, utterances, classes, **options):
        index = {name: number for number, name in enumerate(classes)}
        super().__init__(
            utterances,
            lambda record: torch.tensor([index[record["emotion"]]]),
            **options,
        )


def _features(name, store, layers, max_length):
    taken = selected_layers(layers)
    limit = None
    if max_length is not None:
        limit = frame_limit(store.encoder.grid, max_length)

    @takes("record")
    @provides(name)
    def features(record):
        return store.load(record, taken, limit)

    return features


def _items(utterances):
    return {
        utterance.id: {
            "record": utterance.to_dict(),
            "duration": utterance.duration,
            "speaker": utterance.speaker,
        }
        for utterance in utterances
    }
