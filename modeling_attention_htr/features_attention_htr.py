"""AttentionHTR features: images of 32 rows to one row of frames, by one of three convolutional networks."""

import torch
from torch import nn

from .configuration_attention_htr import AttentionHTRConfig


class AttentionHTRConvLayer(nn.Module):
    """Convolution without bias and batch norm, then ReLU."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 1,
        has_activation: bool = True,
    ):
        super().__init__()
        self.convolution = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=False)
        self.normalization = nn.BatchNorm2d(out_channels)
        self.activation = nn.ReLU() if has_activation else nn.Identity()

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        return self.activation(self.normalization(self.convolution(hidden_states)))


class AttentionHTRConvReLU(nn.Module):
    """Convolution with bias, then ReLU, without normalisation."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, padding: int = 1):
        super().__init__()
        self.convolution = nn.Conv2d(in_channels, out_channels, kernel_size, padding=padding)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        return self.convolution(hidden_states).relu()


class AttentionHTRVGG(nn.Sequential):
    """The network of CRNN (Shi et al., arXiv 1507.05717): a quarter of the columns, less one, as frames."""

    def __init__(self, config: AttentionHTRConfig):
        a, b, c, d = (config.feature_size // share for share in (8, 4, 2, 1))
        super().__init__(
            AttentionHTRConvReLU(config.num_channels, a),
            nn.MaxPool2d(2),
            AttentionHTRConvReLU(a, b),
            nn.MaxPool2d(2),
            AttentionHTRConvReLU(b, c),
            AttentionHTRConvReLU(c, c),
            nn.MaxPool2d((2, 1)),
            AttentionHTRConvLayer(c, d),
            AttentionHTRConvLayer(d, d),
            nn.MaxPool2d((2, 1)),
            AttentionHTRConvReLU(d, d, kernel_size=2, padding=0),
        )


class AttentionHTRGatedRecurrentConvLayer(nn.Module):
    """
    Gated recurrent convolution (Wang and Hu, NIPS 2017): a convolution of its own output, five times over, that a gate
    lets through where the context matters.
    """

    ITERATIONS = 5

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.input_gate = nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=False)
        self.state_gate = nn.Conv2d(out_channels, out_channels, kernel_size=1, bias=False)
        self.input_convolution = nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False)
        self.state_convolution = nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1, bias=False)
        self.normalization = nn.BatchNorm2d(out_channels)
        # Every iteration has its own: the statistics change from one to the next.
        self.iterations = nn.ModuleList(
            [
                nn.ModuleDict(
                    {
                        name: nn.BatchNorm2d(out_channels)
                        for name in ("input_gate", "state_gate", "input", "state", "gated_state")
                    }
                )
                for _ in range(self.ITERATIONS)
            ]
        )

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        gate, states = self.input_gate(hidden_states), self.input_convolution(hidden_states)
        recurrent = self.normalization(states).relu()
        for norms in self.iterations:
            opened = norms["input_gate"](gate) + norms["state_gate"](self.state_gate(recurrent))
            update = norms["state"](self.state_convolution(recurrent)) * opened.sigmoid()
            recurrent = (norms["input"](states) + norms["gated_state"](update)).relu()
        return recurrent


class AttentionHTRRCNN(nn.Sequential):
    """The network of GRCNN (Wang and Hu, NIPS 2017): a quarter of the columns, and one, as frames."""

    def __init__(self, config: AttentionHTRConfig):
        a, b, c, d = (config.feature_size // share for share in (8, 4, 2, 1))
        super().__init__(
            AttentionHTRConvReLU(config.num_channels, a),
            nn.MaxPool2d(2),
            AttentionHTRGatedRecurrentConvLayer(a, a),
            nn.MaxPool2d(2),
            AttentionHTRGatedRecurrentConvLayer(a, b),
            nn.MaxPool2d(2, stride=(2, 1), padding=(0, 1)),
            AttentionHTRGatedRecurrentConvLayer(b, c),
            nn.MaxPool2d(2, stride=(2, 1), padding=(0, 1)),
            AttentionHTRConvLayer(c, d, kernel_size=2, padding=0),
        )


class AttentionHTRResidualBlock(nn.Module):
    """Two convolutions and the input, projected where the number of channels changes."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.conv1 = AttentionHTRConvLayer(in_channels, out_channels)
        self.conv2 = AttentionHTRConvLayer(out_channels, out_channels, has_activation=False)
        self.shortcut = (
            nn.Identity()
            if in_channels == out_channels
            else AttentionHTRConvLayer(in_channels, out_channels, kernel_size=1, padding=0, has_activation=False)
        )

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        return (self.conv2(self.conv1(hidden_states)) + self.shortcut(hidden_states)).relu()


class AttentionHTRResNet(nn.Sequential):
    """The network of Cheng et al. (ICCV 2017, arXiv 1709.02054): a quarter of the columns, and one, as frames."""

    def __init__(self, config: AttentionHTRConfig):
        stem, a, b, c, d = (config.feature_size // share for share in (16, 8, 4, 2, 1))

        def stage(in_channels: int, out_channels: int, blocks: int) -> list[nn.Module]:
            sizes = [in_channels, *[out_channels] * blocks]
            return [AttentionHTRResidualBlock(sizes[i], sizes[i + 1]) for i in range(blocks)]

        super().__init__(
            AttentionHTRConvLayer(config.num_channels, stem),
            AttentionHTRConvLayer(stem, a),
            nn.MaxPool2d(2),
            *stage(a, b, 1),
            AttentionHTRConvLayer(b, b),
            nn.MaxPool2d(2),
            *stage(b, c, 2),
            AttentionHTRConvLayer(c, c),
            nn.MaxPool2d(2, stride=(2, 1), padding=(0, 1)),
            *stage(c, d, 5),
            AttentionHTRConvLayer(d, d),
            *stage(d, d, 3),
            AttentionHTRConvLayer(d, d, kernel_size=2, stride=(2, 1), padding=(0, 1)),
            AttentionHTRConvLayer(d, d, kernel_size=2, padding=0),
        )


NETWORKS: dict[str, type[nn.Sequential]] = {
    "vgg": AttentionHTRVGG,
    "rcnn": AttentionHTRRCNN,
    "resnet": AttentionHTRResNet,
}


class AttentionHTRFeatures(nn.Module):
    """`(batch_size, num_channels, 32, width)` to frames `(batch_size, config.frames(width), feature_size)`."""

    def __init__(self, config: AttentionHTRConfig):
        super().__init__()
        self.network = NETWORKS[config.features](config)

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        return self.network(pixel_values).mean(2).transpose(1, 2)
