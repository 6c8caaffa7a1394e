"""What chapter 7 trains."""
from chapters.kit.experiment import BookFigure, Experiment
from chapters.kit.recipe import Recipe

# The rules of 7.2; an epoch is what lies between two saves, 60 files of some 7,000 positions. It ends when
# the rate is under 0.01.
_RECIPE = Recipe(epochs=1000, batch_size=256, learning_rate=0.1, initializer='msra(avg,0)',
                 samples_per_epoch=420000, fall_factor=0.9, least_rate=0.01)

# The same by a recipe for one core and an hour and a half: the rate rises, then falls to 0 over 1.5 million
# positions.
_SMALL = Recipe(epochs=30, batch_size=64, learning_rate=0.05, momentum=0.9, weight_decay=1e-4,
                warmup_epochs=0.2, anneal=1.0, initializer='msra(avg,0)', samples_per_epoch=50000)
_FIRST_SAVE = (BookFigure(0.3712, 'validation_accuracy', 'go', 'at the first save; over 0.5 at the end'),
               BookFigure(2.544, 'validation_loss', 'go', 'at the first save'))


def _policy(section, title, title_zh, sizes, recipe, symbolic='sec_5_5_4'):
    return Experiment(
        section, title, title_zh, 'chapters.ch07_policy_net.policy_net', 'PolicyNet', sizes, recipe, 'go',
        loader='games', top=(2, 5, 10), sample_shape=(8, 19, 19), symbolic=symbolic, drawings=('answers',),
        book=_FIRST_SAVE, small={'units': 2, 'filters': 32})


_SIZES = {'units': 6, 'filters': 128, 'planes': 8}


EXPERIMENTS = [
    _policy('7.2', 'A policy network that plays Go', '会下围棋的策略网络', _SIZES, _RECIPE),
    _policy('7.2-small', 'A smaller policy network, for one core', '适合单核训练的小型策略网络',
            {'units': 5, 'filters': 48, 'planes': 36}, _SMALL, symbolic=''),
    _policy('5.5.4', 'The network of 7.2, where the book describes it', '7.2 所用的网络', _SIZES, _RECIPE),
]
