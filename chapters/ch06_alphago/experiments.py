"""What chapter 6 builds and trains."""
from chapters.kit.experiment import Experiment
from chapters.kit.recipe import Recipe

# As the paper has it: mini-batches of 16, a rate of 0.003 that is halved every 80 million updates of 340
# million.
_ALPHAGO = Recipe(epochs=17, batch_size=16, learning_rate=0.003, lr_factor=0.5, lr_every=4,
                  initializer='xavier', samples_per_epoch=320000000)
_NETWORKS = 'chapters.ch06_alphago.networks'
_LISTING = 'chapters.ch06_alphago.listing'


EXPERIMENTS = [
    Experiment(
        '6.3', 'AlphaGo\'s policy network', 'AlphaGo 的策略网络', _NETWORKS, 'AlphaGoPolicy', {'planes': 48}, _ALPHAGO,
        'go', loader='games', top=(2, 5, 10), sample_shape=(48, 19, 19),
        symbolic='sec_6_3', small={'layers': 3, 'filters': 16}),
    Experiment(
        '6.3-value', 'AlphaGo\'s value network', 'AlphaGo 的价值网络', _NETWORKS, 'AlphaGoValue', {'planes': 49},
        sample_shape=(49, 19, 19), program=f'{_LISTING}.print_and_compare', symbolic='sec_6_3_value',
        proof=f'{_LISTING}.parity', small={'layers': 3, 'filters': 8, 'hidden': 16}),
    Experiment(
        '6.3-zero', 'The network of AlphaGo Zero', 'AlphaGo Zero 的网络', _NETWORKS, 'AlphaGoZero', {'planes': 17},
        sample_shape=(17, 19, 19), program=f'{_LISTING}.print_and_compare', symbolic='sec_6_3_zero',
        proof=f'{_LISTING}.parity', small={'units': 2, 'filters': 8, 'hidden': 16}),
    Experiment('6.4.1', 'Policy gradient and value network on 7x7', '7x7 上的策略梯度与价值网络',
               'chapters.ch06_alphago.reinforce', program='alphago_way'),
    Experiment('6.4.2', 'AlphaGo Zero on 5x5', '5x5 上的 AlphaGo Zero', 'chapters.ch06_alphago.zero',
               program='train_zero'),
]
