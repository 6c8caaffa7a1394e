"""Section 8.3: DCGAN, a generator and a discriminator that teach each other.

"Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks",
https://arxiv.org/abs/1511.06434.
"""
import mxnet as mx
from mxnet import gluon
from mxnet.gluon import nn

from chapters.kit.training.recipe import Recipe

RECIPE = Recipe(epochs=500, batch_size=64, optimizer='adam', learning_rate=0.0002, momentum=0.5,
                initializer='msra(avg,0.2)')
_EPSILON = 1e-5 + 1e-12  # of the listing


def doublings(size):
    """How often 4x4 must be doubled to become `size`: 3 for 32, 4 for 64."""
    from data_tools.errors import UserError
    number = int(size).bit_length() - 3
    if number < 2 or size != 4 << number:
        raise UserError(f'size={size}: images are made by doubling 4x4; give 16, 32, 64 or 128')
    return number


class Generator(gluon.HybridBlock):
    """Codes to images, by transposed convolutions that each double the side.

    Shapes at 64x64 and width 64: 512x4x4, 256x8x8, 128x16x16, 64x32x32, 3x64x64.

    Parameters
    ----------
    size : int
        Side of the images: 16, 32, 64, ...
    channels : int
        1 for gray, 3 for colour.
    width : int
        Channels before the image; each layer before has twice as many.
    codes : int
        Numbers of a code.
    learnt_slopes : bool
        As in the listing, slopes for negative numbers that are learnt, one a channel; else ReLU, as in the
        text.
    fix_gamma : bool
        Batch normalisation's factors stay 1, as printed: "may mend mode collapse".
    image_norm : bool
        Batch normalisation before the last tanh, too; the book says that this may be a mistake, and to try it.

    Input (N, codes), normally distributed; output (N, channels, size, size) from -1 to 1.
    """
    def __init__(self, size=64, channels=3, width=64, codes=100, learnt_slopes=True, fix_gamma=True, image_norm=False,
                 **kwargs):
        super().__init__(**kwargs)
        filters = [width << number for number in reversed(range(doublings(size)))]  # 512, 256, 128, 64
        with self.name_scope():
            self.layers = nn.HybridSequential()
            for number, count in enumerate(filters):
                grow = dict(strides=2, padding=1) if number else {}  # the first makes 1x1 into 4x4
                # Without bias, which is the default of `mx.sym.Deconvolution`.
                self.layers.add(nn.Conv2DTranspose(count, 4, use_bias=False, **grow),
                                nn.BatchNorm(epsilon=_EPSILON, scale=not fix_gamma),
                                LearntSlopes(count) if learnt_slopes else nn.Activation('relu'))
            last = GrayConv2DTranspose if channels == 1 else nn.Conv2DTranspose
            self.layers.add(last(channels, 4, strides=2, padding=1, use_bias=False, in_channels=width))
            if image_norm:
                self.layers.add(nn.BatchNorm(epsilon=_EPSILON, scale=not fix_gamma))

    def hybrid_forward(self, F, z):
        return F.tanh(self.layers(F.expand_dims(F.expand_dims(z, axis=2), axis=3)))


class LearntSlopes(gluon.HybridBlock):
    """ReLU whose slope for negative numbers is learnt, one a channel: `LeakyReLU` with `act_type='prelu'`.

    As a convolution channel by channel it goes back through oneDNN: more than twice as fast as MXNet's own
    operator. That one also computes a wrong gradient of the slope (the right one times the slope) wherever
    MXNet lets it work in place, which it does in float64.
    """
    by_operator = False  # as MXNet computes it, right or wrong

    def __init__(self, channels, **kwargs):
        super().__init__(**kwargs)
        self._channels = channels
        with self.name_scope():
            self.alpha = self.params.get('alpha', shape=(channels,), init=mx.init.Constant(0.25))

    def hybrid_forward(self, F, x, alpha):
        if self.by_operator:
            return F.LeakyReLU(x, alpha, act_type='prelu')
        below = F.Convolution(F.Activation(-x, act_type='relu'), F.reshape(alpha, (-1, 1, 1, 1)), no_bias=True,
                              kernel=(1, 1), num_filter=self._channels, num_group=self._channels)
        return F.Activation(x, act_type='relu') - below


class GrayConv2DTranspose(nn.Conv2DTranspose):
    """A transposed 4x4 convolution with stride 2 and padding 1 to one channel, as a 3x3 convolution and pixel shuffle.

    The transposed convolution of oneDNN 2.4 cannot go back from a single channel in float32 ("could not
    create a primitive descriptor for a reorder primitive"). Each of the four pixels that come from one sees
    2x2 of the weights:

        rows of the upper pixels: 3 1 -    of the lower pixels: - 2 0    and columns alike.
    """
    def hybrid_forward(self, F, x, weight):
        def halves(array, axis):
            zero, one, two, three = F.split(array, num_outputs=4, axis=axis)
            nothing = F.zeros_like(zero)
            return F.concat(three, one, nothing, dim=axis), F.concat(nothing, two, zero, dim=axis)
        four = [quarter for half in halves(weight, 2) for quarter in halves(half, 3)]  # (I, 1, 3, 3)
        weight = F.transpose(F.concat(*four, dim=1), axes=(1, 0, 2, 3))
        return F.depth_to_space(F.Convolution(x, weight, kernel=(3, 3), pad=(1, 1), num_filter=4, no_bias=True), 2)


class BatchNorm(nn.BatchNorm):
    """Batch normalisation that can ask for its input `plainly`, in MXNet's own memory layout.

    On AVX-512 oneDNN's convolutions of prediction mode give it in another one than that in which the gradient comes back,
    and BN's backward would take up to 20 times as long.
    """
    plainly = False  # in MXNet's own memory layout, for speed alone

    def hybrid_forward(self, F, x, gamma, beta, running_mean, running_var):
        x = F.reshape(x, shape=(0, 0, 0, 0)) if self.plainly else x
        return super().hybrid_forward(F, x, gamma, beta, running_mean, running_var)


class Discriminator(gluon.HybridBlock):
    """Images to one number: above 0 where it takes the image for a real one.

    Parameters
    ----------
    size, channels, width, learnt_slopes, fix_gamma
        As for `Generator`; without learnt slopes they are 0.2.
    spectral : bool
        Divide every weight by its largest singular value (https://arxiv.org/abs/1802.05957).
    normalised : bool
        With batch normalisation, as printed.
    outputs : int
        Numbers to find in an image: with more than one it is an encoder.
    image_norm : bool
        Batch normalisation of the images, too.

    Input (N, channels, size, size), output logits (N,), or (N, outputs).
    """
    def __init__(self, size=64, channels=3, width=64, learnt_slopes=True, spectral=False, normalised=True, outputs=1,
                 fix_gamma=True, image_norm=False, **kwargs):
        super().__init__(**kwargs)
        self._shape = (-1,) if outputs == 1 else (0, outputs)
        convolution = SpectralConv2D if spectral else nn.Conv2D
        with self.name_scope():
            self.layers = nn.HybridSequential()
            if image_norm:
                self.layers.add(nn.BatchNorm(epsilon=_EPSILON, scale=not fix_gamma))
            for number in range(doublings(size)):
                self.layers.add(convolution(width << number, 4, strides=2, padding=1,
                                            in_channels=width << number >> 1 if number else channels))
                if number and normalised:
                    self.layers.add(BatchNorm(epsilon=_EPSILON, scale=not fix_gamma))
                self.layers.add(LearntSlopes(width << number) if learnt_slopes else nn.LeakyReLU(0.2))
            self.layers.add(convolution(outputs, 4, in_channels=width << number))

    def hybrid_forward(self, F, x):
        return F.reshape(self.layers(x), shape=self._shape)

    def normalise_plainly(self, plainly):
        """Whether its normalisations ask for their inputs `plainly`, in graphs that are made from now on."""
        for layer in self.layers:
            if isinstance(layer, BatchNorm):
                layer.plainly = plainly

    def iterate(self):
        """With `spectral`: follow the largest singular vectors, after each update of the weights."""
        for layer in self.layers:
            if isinstance(layer, SpectralConv2D):
                layer.iterate()


class SpectralConv2D(nn.Conv2D):
    """A convolution whose weight is divided by its largest singular value.

    The value comes from power iteration, one step an update: `u`, the left singular vector as far as it is
    known, is a parameter without gradient, followed by `iterate`.
    """
    def __init__(self, channels, kernel_size, **kwargs):
        super().__init__(channels, kernel_size, **kwargs)
        with self.name_scope():
            self.u = self.params.get('u', shape=(1, channels), init=mx.init.Normal(1), grad_req='null')

    def hybrid_forward(self, F, x, weight, u, bias=None):
        flat = F.reshape(weight, shape=(0, -1))  # (O, I * k * k)
        v = F.BlockGrad(F.L2Normalization(F.dot(u, flat)))
        u = F.BlockGrad(F.L2Normalization(F.dot(v, flat, transpose_b=True)))
        largest = F.sum(F.dot(u, flat) * v)
        return super().hybrid_forward(F, x, F.broadcast_div(weight, F.reshape(largest, (1, 1, 1, 1))), bias)

    def iterate(self):
        """One step of power iteration."""
        flat, u = self.weight.data().reshape((0, -1)), self.u.data()
        v = mx.nd.L2Normalization(mx.nd.dot(u, flat))
        self.u.set_data(mx.nd.L2Normalization(mx.nd.dot(v, flat, transpose_b=True)))


class DCGAN(gluon.HybridBlock):
    """Both networks, and what they learn by.

    Parameters
    ----------
    size, channels, width, codes, learnt_slopes, spectral, fix_gamma, image_norm, normalised
        As for `Generator` and `Discriminator`.
    loss : str
        A name in `chapters.ch08_gan.adversarial.LOSSES`.
    clip : float
        Keep the discriminator's numbers between -clip and clip, as the Wasserstein loss asks; 0: do not.
    penalty : float
        Weight of the gradient penalty (see `chapters.ch08_gan.adversarial.GradientPenalty`), another way to what the
        Wasserstein loss asks; then the discriminator is without batch normalisation. 0: none.

    Input: codes (N, codes); output: what the discriminator says of the images made of them, (N,).
    """
    def __init__(self, size=64, channels=3, width=64, codes=100, learnt_slopes=True, loss='book', spectral=False,
                 clip=0.0, penalty=0.0, fix_gamma=True, image_norm=False, normalised=True, **kwargs):
        super().__init__(**kwargs)
        self.codes, self.loss, self.clip, self.spectral, self.penalty = codes, loss, clip, spectral, penalty
        with self.name_scope():
            norm = dict(fix_gamma=fix_gamma, image_norm=image_norm)
            self.generator = Generator(size, channels, width, codes, learnt_slopes, **norm)
            self.discriminator = Discriminator(size, channels, width, learnt_slopes, spectral,
                                               normalised and not penalty, **norm)

    def hybrid_forward(self, F, z):
        return self.discriminator(self.generator(z))
