r"""Logistic regression on time statistics: what any head should be held to.

> python -m tests.benchmarks.baseline_linear --data_folder=RAVDESS \
>     --encoder_source=openai/whisper-tiny.en
> python -m tests.benchmarks.baseline_linear --data_folder=GOEMOTIONS --text \
>     --corpus=goemotions --protocol=goemotions --encoder_source=minilm

from the root of the repository. Takes the corpus, protocol and stored features
of recipes/ssl_embeddings, the mean over time of every layer (and its standard
deviation), and prints UA of the validation and the test set, with global and
with speaker normalisation. Of texts it takes the last states of the tokens, as
recipes/cross_representation does, with and without class weights. Nothing is
tuned.
"""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from speechbrain_ext.base.errors import exits_cleanly
from speechbrain_ext.corpora import read_corpus
from speechbrain_ext.encoders import load_encoder
from speechbrain_ext.encoders.text import TextEncoder
from speechbrain_ext.models.inputs import Input
from speechbrain_ext.models.mixture import LayerMixture
from speechbrain_ext.protocols import partition
from speechbrain_ext.store import FeatureStore
from tests.benchmarks.timing import parse, show

OPTIONS = {
    "corpus": "ravdess",
    "protocol": "pepino_ravdess",
    "fold": 1,
    "feature_folder": "results/features",
    "text": False,
}
LAYERS = {"last": slice(-1, None), "all": slice(None)}
STATISTICS = {"mean": 1, "mean, sd": 2}
SPLITS = ("valid", "test")
# By its name in the table: normalisation, and the weights of classes.
WAYS = {"global": ("global", None), "speaker": ("speaker", None)}
WAYS_OF_TEXT = {
    "global": ("global", None),
    "global, class weights": ("global", "balanced"),
}


def pool(store, utterance):
    """Statistics over time [mean or sd, layers, channels]."""
    feats = store.load(utterance.to_dict()).float().numpy()
    return np.stack([feats.mean(axis=1), feats.std(axis=1)])


def by_speaker(pooled, speakers):
    """Normalise with the statistics of each speaker."""
    normalised = np.empty_like(pooled)
    for speaker in set(speakers):
        own = np.array(speakers) == speaker
        normalised[own] = StandardScaler().fit_transform(pooled[own])
    return normalised


def recall(pooled, data, by, class_weight=None):
    """UA (%) of validation and test set after training on the rest."""
    if by == "speaker":
        pooled = {
            name: by_speaker(rows, [u.speaker for u in data[name]])
            for name, rows in pooled.items()
        }
    classes = {name: [u.emotion for u in data[name]] for name in data}
    options = {"max_iter": 1000, "class_weight": class_weight}
    model = make_pipeline(StandardScaler(), LogisticRegression(**options))
    model.fit(pooled["train"], classes["train"])
    return [
        100
        * balanced_accuracy_score(classes[name], model.predict(pooled[name]))
        for name in SPLITS
    ]


@exits_cleanly
def main(arguments=None):
    """Print the table."""
    options = parse(
        __doc__, arguments, "data_folder", "encoder_source", **OPTIONS
    )
    utterances, _ = read_corpus(options.corpus, options.data_folder)
    split = partition(options.protocol, utterances, options.fold)
    data = {name: getattr(split, name) for name in ("train", *SPLITS)}
    layers, ways = LAYERS, WAYS
    if options.text:
        source = Input(TextEncoder(options.encoder_source))
        layers, ways = {"last": slice(None)}, WAYS_OF_TEXT
    else:
        how = {"freeze": True, "local_encoder": True}
        encoder = load_encoder(options.encoder_source, **how)
        source = Input(encoder, mixture=LayerMixture(encoder.num_layers))
    store = FeatureStore(options.feature_folder, source)
    store.extract([u for part in data.values() for u in part])
    pooled = {
        name: np.stack([pool(store, u) for u in part])
        for name, part in data.items()
    }
    cells = [["layers", "over time", "normalisation", *SPLITS]]
    for name_of_layers, chosen in layers.items():
        for statistics, count in STATISTICS.items():
            rows = {
                name: each[:, :count, chosen].reshape(len(each), -1)
                for name, each in pooled.items()
            }
            for way, how in ways.items():
                found = [f"{figure:.1f}" for figure in recall(rows, data, *how)]
                cells.append([name_of_layers, statistics, way, *found])
    show(cells)


if __name__ == "__main__":
    main()
