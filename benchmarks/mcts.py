"""Tree search: visits a second with a network and without, and how they grow with the batch.

    python -m benchmarks.mcts [--run RUN] [--visits 400]

One thread; seconds are those of the processor, so that other programs disturb little. Visits are counted from a
new tree on a position in the middle of a game. Without --run the network is the smaller one of 7.2, untrained:
its speed is the same.
"""
import argparse
import os
import sys
import time

os.environ['OMP_NUM_THREADS'] = '1'

import numpy as np  # noqa: E402

from benchmarks.book import Row, save  # noqa: E402
from data_tools.errors import one_line_errors  # noqa: E402

BATCHES = (1, 2, 4, 8, 16, 32, 64)
ROUNDS = 3


def middle_of_a_game():
    """A position of 19x19 after 100 moves of the built-in player."""
    from data_tools.go.board import Position
    from data_tools.go.player import choose
    position, random = Position(), np.array([1], np.uint64)
    for _ in range(100):
        position.play(int(choose(position.state, random)))
    return position


def visits_a_second(evaluate, batch, visits, position):
    """Of one search from a new tree."""
    from chapters.ch06_alphago.mcts import Search
    search = Search(evaluate, 7.5, batch=batch)
    search.start(position)
    began = time.process_time()
    search.run(visits)
    return visits / (time.process_time() - began)


@one_line_errors
def main(arguments=None):
    """The command line."""
    parser = argparse.ArgumentParser('python -m benchmarks.mcts', description=__doc__.splitlines()[0])
    parser.add_argument('--run', metavar='RUN', help='the run folder of a policy network')
    parser.add_argument('--visits', type=int, default=400)
    options = parser.parse_args(arguments)
    import chapters
    from chapters.ch06_alphago.mcts import Rollouts, nothing_known, pass_probability
    from chapters.ch06_alphago.policy import Policy, load_policy
    from chapters.ch07_policy_net.ownership import OwnersAndRollouts, load_head
    if options.run:
        policy = load_policy(options.run)
    else:
        experiment = chapters.find('7.2-small')
        network = experiment.build()
        network.initialize()
        policy = Policy(network, experiment.sizes['planes'])

    def network_alone(states):
        chances = np.concatenate([policy(states), pass_probability(states)[:, None]], axis=1)
        return chances, np.zeros(len(states))
    evaluators = {'nothing': (lambda: nothing_known, 20), 'rollouts': (lambda: Rollouts(7.5), 1),
                  'network': (lambda: network_alone, 1),
                  'network and rollouts': (lambda: Rollouts(7.5, policy=policy), 1)}
    head = load_head(options.run, policy.network) if options.run else None
    if head:
        evaluators['network in 8 bits, owners and rollouts'] = (lambda: OwnersAndRollouts(policy, head), 1)
    position, rows = middle_of_a_game(), []
    for name, (make, more) in evaluators.items():
        found = {}
        for batch in BATCHES:  # one after the other: the network is compiled anew for each
            policy.batch = batch
            evaluate = make()
            visits_a_second(evaluate, batch, batch, position)
            found[f'batch {batch}'] = [visits_a_second(evaluate, batch, options.visits * more, position)
                                       for _ in range(ROUNDS)]
        rows.append(Row(f'evaluated by {name}', 'visits/s', found, compared=False))
        print(rows[-1], flush=True)
    save('benchmarks.mcts', 'Tree search on 19x19, one thread', rows)
    return 0


if __name__ == '__main__':
    sys.exit(main())
