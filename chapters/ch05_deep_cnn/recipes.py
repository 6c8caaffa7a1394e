"""The recipes of chapter 5 for CIFAR-10 and ImageNet: the book's own, and ours for networks that it does not train.

Images of CIFAR-10 keep their pixels from 0 to 255, as the book's `.rec` files have them.
"""
from chapters.kit.experiment import BookFigure, Training
from chapters.kit.trained.answers import answers
from chapters.kit.training.recipe import Recipe

_BOOK_AUGMENTATION = ('crop=28 mirror rotate=20 aspect=0.15 shear=0.1 hue=10 saturation=20 lightness=25 '
                      'smallest=0.88 largest=1.2')
ALL_CONVOLUTIONAL = Recipe(epochs=200, batch_size=50, learning_rate=0.5, lr_factor=0.98,
                           initializer='msra(avg,0)', augmentation=_BOOK_AUGMENTATION)
RESNET = ALL_CONVOLUTIONAL.but(batch_size=100, lr_factor=0.984)
# Ours: half of the epochs at 24 pixels. It takes a twelfth of the operations of the book's 200 epochs.
CIFAR_FAST = Recipe(epochs=16, batch_size=250, optimizer='muon', learning_rate=0.06, momentum=0.8, weight_decay=0.004,
                    anneal=1.0, initializer='msra(avg,0)', augmentation='alternate reflect=3 cutout=8', label_smoothing=0.1,
                    pixels=32, small_pixels=24, small_epochs=8)

# The book trains none of the other networks. Those for ImageNet have the settings of their time, with a lower
# rate where there is no BN; those for CIFAR-10 have a shorter schedule of ours.
IMAGENET = Recipe(epochs=90, batch_size=128, learning_rate=0.05, momentum=0.9, weight_decay=1e-4,
                  lr_factor=0.1, lr_every=30, initializer='msra(avg,0)')
IMAGENET_WITHOUT_BN = IMAGENET.but(learning_rate=0.01, weight_decay=5e-4)
CIFAR = Recipe(epochs=30, batch_size=100, learning_rate=0.1, momentum=0.9, weight_decay=1e-4, anneal=1.0,
               initializer='msra(avg,0)', augmentation='crop=28 mirror')


def on_imagenet(section, title, title_zh, network, sizes=None, recipe=IMAGENET, side=224, listing=None, small=None,
                table='', **printed):
    """A network for 1000 classes, with the totals of its table in the book."""
    return Training(
        section, title, title_zh, network=network, sizes={'classes': 1000, **(sizes or {})},
        recipe=recipe.but(augmentation=f'crop={side} mirror'), data='imagenet', sample_shape=(3, side, side),
        listing=listing, small=small or {},
        book=tuple(BookFigure(value, metric, note=table) for metric, value in printed.items()))


def on_cifar(section, title, title_zh, network, sizes=None, recipe=CIFAR, listing=None, small=None, book=(), remark='',
             fast=None):
    """A network for 28x28 parts of the images of CIFAR-10."""
    return Training(
        section, title, title_zh, network=network, sizes=sizes or {}, recipe=recipe, data='cifar10',
        sample_shape=(3, 28, 28), scale=1.0, listing=listing, small=small or {}, book=book, remark=remark,
        drawings=(answers,), fast=fast)


def accuracies(data, epochs, validation, train, first, second):
    """What the book prints of a training: accuracies after the last epoch, and after the first two."""
    return (BookFigure(validation, 'validation_accuracy', data, f'after {epochs} epochs'),
            BookFigure(train, 'train_accuracy', data, f'after {epochs} epochs'),
            BookFigure(first, 'validation_accuracy_epoch0', data),
            BookFigure(second, 'validation_accuracy_epoch1', data))
