"""What chapter 7 trains."""
from chapters.kit.experiment import BookFigure, Experiment
from chapters.kit.recipe import Recipe

# The rules of 7.2; an epoch is what lies between two saves, 60 files of some 7,000 positions. It ends when the rate is
# under 0.01.
_RECIPE = Recipe(epochs=1000, batch_size=256, learning_rate=0.1, initializer='msra(avg,0)', samples_per_epoch=420000,
                 fall_factor=0.9, least_rate=0.01)

EXPERIMENTS = [
    Experiment(
        '7.2', 'A policy network that plays Go', '会下围棋的策略网络', 'chapters.ch07_policy_net.policy_net', 'PolicyNet',
        {'units': 6, 'filters': 128, 'planes': 8}, _RECIPE, 'go', loader='games', top=(2, 5, 10),
        sample_shape=(8, 19, 19), symbolic='sec_5_5_4',
        book=(BookFigure(0.3712, 'validation_accuracy', 'go', 'at the first save; over 0.5 at the end'),
              BookFigure(2.544, 'validation_loss', 'go', 'at the first save'))),
]
