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


class Gated(nn.Module):
    """`body`, each of its channels scaled by what all of them are on average (squeeze and excite), beside a short cut."""

    def __init__(self, body, width, short_cut):
        super().__init__()
        self.body, self.short_cut, squeezed = body, short_cut, width // 8
        self.gate = nn.Sequential(
            nn.Conv2d(width, squeezed, 1), nn.ReLU(True), nn.Conv2d(squeezed, width, 1), nn.Sigmoid()
        )

    def forward(self, x):
        y = self.body(x)
        y = y * self.gate(y.mean((2, 3), keepdim=True))
        return x + y if self.short_cut else y


def dense(width):
    """Two 3x3 convolutions, the last one linear, gated, beside a short cut."""
    return Gated(nn.Sequential(conv(width, width), conv(width, width, activate=False)), width, True)


def bottleneck(inputs, outputs, hidden, stride=1):
    """Expand 1x1, depthwise 3x3, project 1x1 without activation (MobileNetV2), gated."""
    body = nn.Sequential(
        nn.Conv2d(inputs, hidden, 1), nn.ReLU(True),
        nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden), nn.ReLU(True),
        conv(hidden, outputs, 1, activate=False),
    )  # fmt: skip
    return Gated(body, outputs, inputs == outputs and stride == 1)


class Embedder(nn.Module):
    """RGB [n,3,112,112] in -1..1, on the ArcFace template -> vector [n,256], unit length.

    The stages' outputs have the shapes of the teacher's at the same depths, so that each can be taught on its own:
    twice [64,32,32], four times [128,16,16], twice [128,8,8], [256]. `CROP` is the part of the template that the
    teacher looks at: it is cut out and brought to the teacher's 128 pixels.
    """

    CROP, SIDE = (slice(4, 110), slice(3, 109)), 128

    def __init__(self, dimensions=256):
        super().__init__()
        stem = nn.Sequential(conv(3, 32, 3, 2), conv(32, 32), conv(32, 64, 3, 2), conv(64, 64, 1, activate=False))
        self.stages = nn.ModuleList([
            Gated(stem, 64, False),
            nn.Sequential(dense(64), dense(64)),
            bottleneck(64, 128, 256, 2),
            *(nn.Sequential(bottleneck(128, 128, 256), bottleneck(128, 128, 256)) for _ in range(3)),
            bottleneck(128, 128, 512, 2),
            nn.Sequential(bottleneck(128, 128, 256), bottleneck(128, 128, 256)),
            nn.Sequential(
                conv(128, 512, 1), nn.Conv2d(512, 512, 8, groups=512, bias=False), nn.BatchNorm2d(512),
                nn.Conv2d(512, dimensions, 1), nn.Flatten(),
            ),
        ])  # fmt: skip

    def scale_to(self, maps):
        """Sets each stage's first answers to the mean and deviation of the maps it is to learn."""
        for stage, wanted in zip(self.stages, maps, strict=True):
            for block in stage.modules():
                if isinstance(block, Gated):
                    last = block.body[-1][1]
                    if block.short_cut:
                        nn.init.constant_(last.weight, 0.2 * float(wanted.std()))
                    else:  # twice: the gate starts half open
                        last.weight.data = 2 * wanted.std((0, 2, 3))
                        last.bias.data = 2 * wanted.mean((0, 2, 3))

    def seen(self, x):
        """What the network looks at: [n,3,128,128], still RGB in -1..1."""
        cut = x[:, :, self.CROP[0], self.CROP[1]]
        return F.interpolate(cut, size=(self.SIDE, self.SIDE), mode="bilinear", align_corners=False)

    def forward(self, x):
        x = self.seen(x)
        for stage in self.stages:
            x = stage(x)
        return F.normalize(x, dim=1)
