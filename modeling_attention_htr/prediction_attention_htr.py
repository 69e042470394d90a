"""AttentionHTR sequence and prediction: LSTM layers over the frames, and a decoder that attends to them."""

import torch
from torch import nn

from .configuration_attention_htr import AttentionHTRConfig


class AttentionHTRBiLSTM(nn.Module):
    """A bidirectional LSTM layer and a linear one."""

    def __init__(self, input_size: int, hidden_size: int):
        super().__init__()
        self.lstm = nn.LSTM(input_size, hidden_size, bidirectional=True, batch_first=True)
        self.projection = nn.Linear(2 * hidden_size, hidden_size)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        return self.projection(self.lstm(hidden_states)[0])


class AttentionHTRDecoder(nn.Module):
    """
    Writes one character after the other: an LSTM cell that sees the last character and the frames that it attends to
    (additive attention: Bahdanau et al., arXiv 1409.0473).
    """

    def __init__(self, config: AttentionHTRConfig):
        super().__init__()
        size = config.hidden_size
        self.vocab_size = config.vocab_size
        self.start_token_id = config.pad_token_id
        self.frame_projection = nn.Linear(AttentionHTRDecoder.frame_size(config), size, bias=False)
        self.state_projection = nn.Linear(size, size)
        self.score = nn.Linear(size, 1, bias=False)
        self.cell = nn.LSTMCell(AttentionHTRDecoder.frame_size(config) + config.vocab_size, size)
        self.classifier = nn.Linear(size, config.vocab_size)

    @staticmethod
    def frame_size(config: AttentionHTRConfig) -> int:
        """Width of the frames that the prediction gets."""
        return config.feature_size if config.sequence == "none" else config.hidden_size

    def forward(
        self, frames: torch.Tensor, steps: int, decoder_input_ids: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """
        Args:
            frames: `(batch_size, sequence_length, width)`.
            steps: Number of characters to write.
            decoder_input_ids: `(batch_size, steps)`, before each character the one before it, the start symbol first.
                By default the one that was written: the most probable.

        Returns:
            Logits `(batch_size, steps, vocab_size)`, alignments `(batch_size, steps, sequence_length)`, the weights of
            the frames in each step, and states of the LSTM `(batch_size, steps, hidden_size)`.
        """
        keys = self.frame_projection(frames)
        batch_size = frames.shape[0]  # not `len`, which an exported graph would keep as a constant
        hidden = cell = frames.new_zeros(batch_size, self.cell.hidden_size)
        token_ids = torch.full((batch_size,), self.start_token_id, device=frames.device)
        logits, alignments, states = [], [], []
        for step in range(steps):
            if decoder_input_ids is not None:
                token_ids = decoder_input_ids[:, step]
            scores = self.score((keys + self.state_projection(hidden)[:, None]).tanh())
            weights = scores.softmax(1)
            context = (weights * frames).sum(1)
            symbol = nn.functional.one_hot(token_ids, self.vocab_size).to(context.dtype)
            hidden, cell = self.cell(torch.cat([context, symbol], 1), (hidden, cell))
            logits.append(self.classifier(hidden))
            alignments.append(weights.squeeze(-1))
            states.append(hidden)
            token_ids = logits[-1].argmax(-1)
        return torch.stack(logits, 1), torch.stack(alignments, 1), torch.stack(states, 1)
