"""Textual Context Module: a head that is only there while training.

Each character of the ground truth is predicted from the visual frames, once asked for by the characters before it and
once by those after it. The gradient teaches the frames about their textual neighbourhood; inference stays CTC alone.
"""

import torch
from torch import nn

from .attention_htr_convtext import eager_attention_forward
from .configuration_htr_convtext import HTRConvTextConfig


class HTRConvTextTextualContextModule(nn.Module):
    """
    The module has a padding class of its own after the CTC classes, so its tables have `vocab_size + 1` rows.
    """

    def __init__(self, config: HTRConvTextConfig):
        super().__init__()
        self.blank_token_id = config.pad_token_id
        self.context_length = config.tcm_context_length
        self.attention_dropout = config.tcm_dropout
        self.embed = nn.Embedding(config.vocab_size + 1, config.tcm_hidden_size, padding_idx=config.vocab_size)
        self.context_conv = nn.Conv1d(config.tcm_hidden_size, config.tcm_hidden_size, kernel_size=3, padding=1)
        self.direction_embed = nn.Parameter(torch.empty(2, config.tcm_hidden_size))
        self.text_proj = nn.Linear(config.tcm_hidden_size, config.hidden_size)
        self.query_norm = nn.LayerNorm(config.hidden_size)
        self.visual_norm = nn.LayerNorm(config.hidden_size)
        self.classifier = nn.Linear(config.hidden_size, config.vocab_size + 1)

    @property
    def pad_token_id(self) -> int:
        return self.embed.num_embeddings - 1

    def contexts(self, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """
        The characters around each character.

        Args:
            labels: `(batch_size, length)` ids, padded with negative values or the blank.

        Returns:
            left and right, each `(batch_size, length, context_length)` in reading order, and the target mask
            `(batch_size, length)`; places without a character hold the module's padding id.
        """
        mask = (labels >= 0) & (labels != self.blank_token_id)
        ids = labels.masked_fill(~mask, self.pad_token_id)
        size, pad = self.context_length, self.pad_token_id
        left = nn.functional.pad(ids, (size, 0), value=pad).unfold(1, size, 1)[:, :-1]
        right = nn.functional.pad(ids, (0, size), value=pad).unfold(1, size, 1)[:, 1:]
        return left.masked_fill(~mask[..., None], pad), right, mask

    def forward(
        self, hidden_states: torch.Tensor, context: torch.Tensor, direction: int, frame_mask: torch.Tensor | None
    ) -> torch.Tensor:
        """
        Args:
            hidden_states: Encoder output, `(batch_size, sequence_length, hidden_size)`.
            context: `(batch_size, length, context_length)` character ids.
            direction: 0 where the context is on the left of the target, 1 on the right.
            frame_mask: `(batch_size, sequence_length)`, True for real frames.

        Returns:
            Logits of `(batch_size, length, vocab_size + 1)`.
        """
        embeddings = self.embed(context).flatten(0, 1).transpose(1, 2)
        query = self.context_conv(embeddings).mean(-1).view(*context.shape[:2], self.embed.embedding_dim)
        query = self.query_norm(self.text_proj(query + self.direction_embed[direction]))
        visual = self.visual_norm(hidden_states)
        attention_mask = None
        if frame_mask is not None:
            attention_mask = visual.new_zeros(frame_mask.shape).masked_fill(~frame_mask, torch.finfo(visual.dtype).min)
            attention_mask = attention_mask[:, None, None]
        attn_output, _ = eager_attention_forward(
            self,
            query[:, None],
            visual[:, None],
            visual[:, None],
            attention_mask,
            scaling=visual.shape[-1] ** -0.5,
            dropout=self.attention_dropout,
        )
        return self.classifier(attn_output.squeeze(2))

    def loss(
        self,
        hidden_states: torch.Tensor,
        labels: torch.Tensor,
        frame_mask: torch.Tensor | None = None,
        masked_frames: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """
        Mean cross-entropy over the characters of the batch and both directions.

        With masked training, a character counts double where `masked_frames` (`(batch_size, sequence_length)`) is
        true, its place taken as if the characters were spread evenly over the frames of the line.
        """
        left, right, mask = self.contexts(labels)
        weights = mask.float()
        if masked_frames is not None:
            if frame_mask is None:
                frame_mask = torch.ones_like(masked_frames)
            last_frame = frame_mask.sum(-1, keepdim=True) - 1
            last_character = (mask.sum(-1, keepdim=True) - 1).clamp(min=1)
            position = torch.arange(labels.shape[1], device=labels.device)[None] * last_frame / last_character
            place = torch.minimum(position.long(), last_frame)
            weights = weights * (1 + masked_frames.gather(1, place).float())
        targets = labels.masked_fill(~mask, self.pad_token_id)
        loss = weights.new_zeros(())
        for direction, context in enumerate((left, right)):
            logits = self(hidden_states, context, direction, frame_mask)
            losses = nn.functional.cross_entropy(logits.float().transpose(1, 2), targets, reduction="none")
            loss = loss + (losses * weights).sum()
        return loss / (2 * weights.sum()).clamp(min=1)
