"""The speech model of Makiuchi et al. (2021), figure 1: codes that classify an
emotion and from which, with speaker and phones, a mel spectrum is made again.

What the figure does not say (first weights, the down- and upsampling of AutoVC)
is as in the authors' released code.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

from speechbrain_ext.base.errors import UserError
from speechbrain_ext.base.values import check_value
from speechbrain_ext.models import packing

# Channels of the phone encoder's output, in either direction.
PHONE_CELLS = 128


class CrossRepresentation(nn.Module):
    """Encoder, downsampling and classifier; phone encoder, decoder, postnet.

    Arguments
    ---------
    input_size, speaker_size, num_classes : int
        Channels of the speech frames and of a speaker's vector; classes.
    bottleneck, downsampling : int
        ``d`` and ``f`` of section 6.1: cells in either direction, and frames
        for one code of ``2 d`` channels.
    segment : int
        Frames of a segment; a multiple of ``downsampling``.
    encoder_width, decoder_width : int
        Filters of the convolutions before the bottleneck; those after it, and
        the cells of the LSTM there (of the last one twice as many).
    dropout : float
        Of the classifier.
    num_phones, bands : int
        Phones, and mel bands that are reconstructed.
    decoder, use_speaker, use_phones : bool
        Whether there is a decoder; what encoder and decoder, and what the
        decoder is given besides. Without a decoder there are no phones.
    drop_remainder : bool
        A last segment of a single frame is left out, as in the released code.

    Raises
    ------
    UserError
        When ``downsampling`` does not divide ``segment``.

    Example
    -------
    >>> model = CrossRepresentation(16, 8, 4, encoder_width=32, decoder_width=8)
    >>> speech, lengths = torch.randn(300, 16), torch.tensor([100, 200])
    >>> speaker = torch.randn(2, 8), torch.tensor([1, 1])
    >>> model.eval()(speech, lengths, *speaker).shape
    torch.Size([2, 4])
    >>> codes, counts = model.codes(speech, lengths, *speaker)
    >>> codes.shape, counts
    (torch.Size([5, 2, 16]), [2, 3])
    """

    def __init__(
        self,
        input_size,
        speaker_size,
        num_classes,
        bottleneck=8,
        downsampling=48,
        segment=96,
        encoder_width=2048,
        decoder_width=512,
        dropout=0.5,
        num_phones=128,
        bands=80,
        decoder=True,
        use_speaker=True,
        use_phones=True,
        drop_remainder=False,
    ):
        super().__init__()
        if segment % downsampling:
            raise UserError(
                f"downsampling: {downsampling} does not divide the segment of "
                f"{segment} frames; choose one that does."
            )
        self.segment, self.downsampling = segment, downsampling
        self.use_speaker, self.drop_remainder = use_speaker, drop_remainder
        self.use_phones = decoder and use_phones
        self.num_phones = num_phones
        speaker_size = speaker_size if use_speaker else 0
        self.encoder = nn.ModuleList(
            [
                ConvNorms(input_size + speaker_size, *[encoder_width] * 3),
                _lstm(encoder_width, bottleneck, 2, True),
            ]
        )
        codes = 2 * bottleneck
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(codes * segment // downsampling, 128),
            nn.Linear(128, 128),
            nn.Dropout(dropout),
            nn.Linear(128, num_classes),
        )
        self.phone_encoder = self.decoder = self.postnet = None
        if self.use_phones:
            convolutions = ConvNorms(num_phones, *[decoder_width] * 3)
            lstm = _lstm(decoder_width, PHONE_CELLS, 2, True)
            self.phone_encoder = nn.ModuleList([convolutions, lstm])
        if decoder:
            given = codes + speaker_size + 2 * PHONE_CELLS * self.use_phones
            self.decoder = nn.ModuleList(
                [
                    _lstm(given, decoder_width),
                    ConvNorms(decoder_width, *[decoder_width] * 3),
                    _lstm(decoder_width, 2 * decoder_width, 2),
                    nn.Linear(2 * decoder_width, bands),
                ]
            )
            last = ConvNorms(decoder_width, bands, activation=None)
            tanh = {"activation": "tanh"}
            first = ConvNorms(bands, *[decoder_width] * 4, **tanh)
            self.postnet = nn.Sequential(first, last)

    @property
    def unused(self):
        """Names of the inputs that training can do without."""
        unused = {
            "phones": not self.use_phones,
            "mel": self.decoder is None,
        }
        return [name for name, is_unused in unused.items() if is_unused]

    def codes(self, speech, lengths, speaker, speaker_lengths):
        """Codes ``[segments, segment / f, 2 d]`` of packed frames, and how many
        segments each utterance has (a list).

        The last segment of an utterance is filled up with zeros.
        """
        x, counts = self.segments(speech, lengths)
        if self.use_speaker:
            vectors = self._of_segments(speaker, speaker_lengths, counts)
            x = torch.cat([x, vectors], dim=-1)
        convolutions, lstm = self.encoder
        x, _ = lstm(convolutions(x))
        forward, backward = x.chunk(2, dim=-1)
        # Either direction has seen all of its frames there.
        every = self.downsampling
        kept = forward[:, every - 1 :: every], backward[:, ::every]
        return torch.cat(kept, dim=-1), counts

    def classify(self, codes, counts):
        """Log of the mean posteriors of each utterance's segments (3.1.7)."""
        log_probs = self.classifier(codes).float().log_softmax(dim=-1)
        means = [
            x.logsumexp(0) - math.log(len(x)) for x in log_probs.split(counts)
        ]
        return torch.stack(means)

    def forward(self, speech, lengths, speaker, speaker_lengths):
        """Log posteriors ``[batch, classes]``."""
        codes = self.codes(speech, lengths, speaker, speaker_lengths)
        return self.classify(*codes)

    def reconstruct(self, codes, counts, speaker, phones=None):
        """The mel spectra ``[segments, segment, bands]`` of the decoder and of
        its postnet.

        ``speaker`` and ``phones`` (ids as numbers) are packed frames and their
        lengths.
        """
        x = [codes.repeat_interleave(self.downsampling, dim=1)]
        if self.use_speaker:
            x.append(self._of_segments(*speaker, counts))
        if self.use_phones:
            ids = self.segments(*phones)[0][..., 0].long()
            convolutions, lstm = self.phone_encoder
            one_hot = F.one_hot(ids, self.num_phones).to(codes)
            x.append(lstm(convolutions(one_hot))[0])
        first, convolutions, last, linear = self.decoder
        x = convolutions(first(torch.cat(x, dim=-1))[0])
        x = linear(last(x)[0])
        return x, x + self.postnet(x)

    def segments(self, packed, lengths):
        """``[frames, channels]`` -> ``[segments, segment, channels]``, and how
        many segments each utterance has (a list)."""
        size, padded, counts = self.segment, [], []
        for frames in packing.split(packed, lengths):
            if self.drop_remainder and len(frames) % size == 1 < len(frames):
                frames = frames[:-1]
            counts.append(-(-len(frames) // size))
            missing = counts[-1] * size - len(frames)
            padded.append(F.pad(frames, (0, 0, 0, missing)))
        return torch.cat(padded).unflatten(0, (-1, size)), counts

    def _of_segments(self, speaker, lengths, counts):
        """Speakers' vectors, at every frame of every segment."""
        vectors = packing.mean_over_frames(speaker, lengths)
        repeats = torch.tensor(counts, device=vectors.device)
        vectors = vectors.repeat_interleave(repeats, dim=0)
        return vectors[:, None].expand(-1, self.segment, -1)


class ConvNorms(nn.Module):
    """Convolutions over five frames, each normalised over the batch; from
    ``[batch, frames, channels]`` to the same."""

    def __init__(self, *sizes, activation="relu"):
        super().__init__()
        self.activation = activation
        self.convolutions, self.norms = nn.ModuleList(), nn.ModuleList()
        for before, after in zip(sizes, sizes[1:]):
            convolution = nn.Conv1d(before, after, 5, padding=2)
            gain = nn.init.calculate_gain(activation or "linear")
            nn.init.xavier_uniform_(convolution.weight, gain)
            self.convolutions.append(convolution)
            self.norms.append(nn.BatchNorm1d(after))

    def forward(self, x):
        x = x.transpose(1, 2)
        for convolution, norm in zip(self.convolutions, self.norms):
            x = norm(convolution(x))
            if self.activation is not None:
                x = getattr(torch, self.activation)(x)
        return x.transpose(1, 2)


def reconstruction_loss(made, mel, which="both"):
    """Equation 2 for the decoder's output, the postnet's, or the sum of both.

    The mean is over all values, as in the released code; the equation's M, read
    as the number of segments, would make it 7680 times as large.
    """
    check_value("reconstruction", which)
    losses = [F.mse_loss(x.float(), mel) for x in made]
    kept = {"both": losses, "decoder": losses[:1], "postnet": losses[1:]}
    return sum(kept[which])


def _lstm(before, cells, layers=1, both=False):
    return nn.LSTM(before, cells, layers, batch_first=True, bidirectional=both)
