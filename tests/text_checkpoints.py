"""Small random text encoders in the layout of the Hub, one a family."""

from transformers import (
    AlbertConfig,
    AlbertModel,
    AlbertTokenizer,
    BertConfig,
    BertModel,
    BertTokenizer,
    DistilBertConfig,
    DistilBertModel,
    ElectraConfig,
    ElectraForPreTraining,
    RobertaConfig,
    RobertaForMaskedLM,
    RobertaTokenizer,
    WhisperTokenizer,
    XLMRobertaConfig,
    XLMRobertaModel,
    XLMRobertaTokenizer,
    XLNetConfig,
    XLNetLMHeadModel,
    XLNetTokenizer,
)

from tests.checkpoints import make_whisper_checkpoint, write_checkpoint

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def _word_pieces():
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = [*LETTERS, *(f"##{x}" for x in LETTERS), *"[]!.'", "well", "day"]
    return BertTokenizer({x: n for n, x in enumerate(special + pieces)})


def _byte_pairs():
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    pieces = [*LETTERS, *(f"Ġ{x}" for x in LETTERS), "Ġ", "ð", "Ł", "ĺ", "Ģ"]
    vocabulary = {x: n for n, x in enumerate(special + pieces)}
    return RobertaTokenizer(vocabulary, [])


def _unigrams(tokenizer_class, special):
    pieces = [*special, "▁", *LETTERS, *(f"▁{x}" for x in LETTERS)]
    return tokenizer_class([(x, -float(n)) for n, x in enumerate(pieces)])


_SIZES = {
    "vocab_size": 80,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 40,
}
_SMALL = {"embedding_size": 16}
_ROBERTA = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
_XLNET = "<unk> <s> </s> <cls> <sep> <pad> <mask> <eod> <eop>".split()
_XLMR = "<s> <pad> </s> <unk> <mask>".split()
# By family: configuration, the class that checkpoints of the Hub hold, other
# settings, tokenizer.
FAMILIES = {
    "bert": (BertConfig, BertModel, {}, _word_pieces),
    "albert": (
        *(AlbertConfig, AlbertModel, _SMALL),
        lambda: _unigrams(
            AlbertTokenizer, "<pad> <unk> [CLS] [SEP] [MASK]".split()
        ),
    ),
    "distilbert": (DistilBertConfig, DistilBertModel, {}, _word_pieces),
    "electra": (ElectraConfig, ElectraForPreTraining, _SMALL, _word_pieces),
    # It has no weights that pool.
    "roberta": (RobertaConfig, RobertaForMaskedLM, _ROBERTA, _byte_pairs),
    "xlm-roberta": (
        *(XLMRobertaConfig, XLMRobertaModel, _ROBERTA),
        lambda: _unigrams(XLMRobertaTokenizer, _XLMR),
    ),
    "xlnet": (
        *(XLNetConfig, XLNetLMHeadModel, {"d_inner": 64, "d_head": 8}),
        lambda: _unigrams(XLNetTokenizer, _XLNET),
    ),
}


def make_text_checkpoint(folder, family="bert", **options):
    """Write a small random model of a family, with its tokenizer."""
    config_class, model_class, settings, tokenizer = FAMILIES[family]
    settings = _SIZES | settings | options
    if family == "xlnet":
        # Its positions are relative, without a bound.
        del settings["max_position_embeddings"], settings["intermediate_size"]
    config = config_class(**settings)
    return write_checkpoint(folder, model_class, config, tokenizer())


def make_transcriber(folder, seed=6):
    """Write a small random Whisper, whose tokens are letters."""
    folder = make_whisper_checkpoint(folder, seed=seed, max_target_positions=16)
    pieces = ["<|endoftext|>", *"abcdefghijklmnopq", "Ġ"]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    WhisperTokenizer(vocabulary, []).save_pretrained(folder)
    return folder
