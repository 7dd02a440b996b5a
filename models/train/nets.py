"""The networks of the base pack: small, convolution only, quick on one core of a small board.

`Reader` (plate picture -> characters), `CentrePoints` (picture -> heat map, corner or landmark points, box) and
`Embedder` (aligned face -> unit vector). Shapes are batch, channels, height, width throughout.
"""

import torch
import torch.nn as nn
import torch.nn.functional as F


def conv(inputs, outputs, kernel=3, stride=1, groups=1, padding=None, dilation=1, activate=True):
    """Convolution, batch norm and, unless told otherwise, ReLU."""
    padding = dilation * (kernel // 2) if padding is None else padding
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), *([nn.ReLU(True)] if activate else []))


class Residual(nn.Module):
    """Two 3x3 convolutions beside a short cut; `dilation` spreads both, for a wider view at the same cost."""

    def __init__(self, width, dilation=1):
        super().__init__()
        self.body = nn.Sequential(
            conv(width, width, dilation=dilation), conv(width, width, dilation=dilation, activate=False)
        )

    def forward(self, x):
        return F.relu(x + self.body(x))


class Reader(nn.Module):
    """Gray [n,1,32,160] in -1..1 -> CTC logits [n,40,classes].

    The picture is first brought to its own mean and contrast, so that night, glare and white ink on blue are no lessons of their own.
    Towards the end each step sees about 15 columns of 40, and a gate fed by the mean of all columns tells it what kind of plate this is.
    """

    def __init__(self, classes, widths=(24, 32, 64, 96, 128)):
        super().__init__()
        a, b, c, d, e = widths
        self.features = nn.Sequential(
            conv(1, a, 5, 2), conv(a, b),
            conv(b, c, 3, 2), Residual(c),
            conv(c, d, 3, (2, 1)), Residual(d),
            conv(d, e, (4, 3), padding=(0, 1)),
        )  # fmt: skip
        self.along = nn.Sequential(
            conv(e, e, (1, 5), padding=(0, 2)), conv(e, e, (1, 5), padding=(0, 2), activate=False)
        )
        self.gate = nn.Sequential(nn.Conv2d(e, e // 4, 1), nn.ReLU(True), nn.Conv2d(e // 4, e, 1), nn.Sigmoid())
        self.classify = nn.Sequential(nn.Dropout(0.1), nn.Conv2d(e, classes, 1))

    def forward(self, x):
        x = x - x.mean((2, 3), keepdim=True)
        x = x / (x.square().mean((2, 3), keepdim=True).sqrt() + 0.02)
        x = self.features(x)
        y = self.along(x)
        x = F.relu(x + y * (2 * self.gate(y.mean((2, 3), keepdim=True))))
        return self.classify(x).squeeze(2).permute(0, 2, 1)


class Agreement(nn.Module):
    """Points [n,2p,h,w] averaged over 3x3 cells, each weighted by the square of its heat's probability.

    Points are given from each cell's own middle; `pitch` is how far apart two cells' middles are, in the points' unit.
    """

    def __init__(self, points, pitch=0.25):
        super().__init__()
        right = pitch * torch.tensor([[-1.0, 0.0, 1.0]] * 3)[None, None]
        self.count = 2 * points
        self.register_buffer("shift", torch.cat([right, right.transpose(2, 3)] * points), persistent=False)
        self.register_buffer("around", torch.ones(2 * points, 1, 3, 3), persistent=False)

    def forward(self, heatmap, points):
        weight = torch.sigmoid(heatmap.detach()).square() + 1e-6
        total = F.conv2d(weight * points, self.around, padding=1, groups=self.count)
        total = total + F.conv2d(weight, self.shift, padding=1)
        return total / F.conv2d(weight, self.around[:1], padding=1)


class CentrePoints(nn.Module):
    """BGR [n,3,h,w] in -1..1, sides multiples of 32 -> heat map [n,1,h/8,w/8], points [n,2p,..], box [n,4,..].

    A cell sees about 330 pixels across; with `wide`, one more, dilated block makes that about 590, enough to see both
    ends of an object that fills half the picture. With `detail` the points have a convolution of their own, and what the
    cells around a peak say of them is averaged, each by how sure it is (`Agreement`).
    """

    def __init__(self, points, box, widths=(16, 24, 48, 64, 96), neck=48, wide=False, detail=False):
        super().__init__()
        stem, a, b, c, d = widths
        self.eighth = nn.Sequential(conv(3, stem, 3, 2), conv(stem, a, 3, 2), conv(a, b, 3, 2), Residual(b))
        self.sixteenth = nn.Sequential(conv(b, c, 3, 2), Residual(c))
        context = [Residual(d, dilation=2)] if wide else []
        self.thirty_second = nn.Sequential(conv(c, d, 3, 2), Residual(d), *context)
        self.side_32, self.side_16, self.side_8 = conv(d, neck, 1), conv(c, neck, 1), conv(b, neck, 1)
        self.merge_16, self.merge_8 = conv(neck, neck), conv(neck, neck)
        self.heatmap, self.points = nn.Conv2d(neck, 1, 1), nn.Conv2d(neck, 2 * points, 1)
        self.box = nn.Conv2d(neck, 4, 1) if box else None
        self.detail = conv(neck, neck) if detail else None
        self.agreement = Agreement(points) if detail else None
        nn.init.constant_(self.heatmap.bias, -3.5)

    def forward(self, x):
        eighth = self.eighth(x)
        sixteenth = self.sixteenth(eighth)
        deep = self.side_32(self.thirty_second(sixteenth))
        deep = self.merge_16(F.interpolate(deep, scale_factor=2.0, mode="nearest") + self.side_16(sixteenth))
        deep = self.merge_8(F.interpolate(deep, scale_factor=2.0, mode="nearest") + self.side_8(eighth))
        heatmap = self.heatmap(deep)
        if self.detail is None:
            points = self.points(deep)
        else:
            fine = deep + self.detail(deep)
            with torch.autocast(fine.device.type, enabled=False):  # bfloat16 would round a corner to a quarter of a pixel
                points = self.agreement(heatmap.float(), self.points(fine.float()))
        out = (heatmap, points)
        return (*out, self.box(deep)) if self.box is not None else out


class Embedder(nn.Module):
    """RGB [n,3,112,112] in -1..1 -> vector [n,256], unit length."""

    def __init__(self, dimensions=256, widths=(32, 48, 96, 128)):
        super().__init__()
        a, b, c, d = widths
        self.features = nn.Sequential(
            conv(3, a, 3, 2),
            conv(a, b, 3, 2), Residual(b),
            conv(b, c, 3, 2), Residual(c), Residual(c),
            conv(c, d, 3, 2), Residual(d),
            conv(d, 2 * d, 1), nn.Conv2d(2 * d, 2 * d, 7, groups=2 * d, bias=False), nn.BatchNorm2d(2 * d),
        )  # fmt: skip
        self.project = nn.Linear(2 * d, dimensions)

    def forward(self, x):
        return F.normalize(self.project(self.features(x).flatten(1)), dim=1)
