"""Sections 6.2.4 and 6.2.5 on whole boards: errors of the value and of games played out; searches without policy or value.

    python -m chapters.ch07_policy_net.judged_games --set games_file=GAMES.sgf.xz

They stand in chapter 7 since they need chapter 7's network and what judges positions for it.
"""
import re

import numpy as np

from chapters.ch06_alphago.judges import draw_errors, games_of_the_player
from chapters.ch06_alphago.mcts import Rollouts, Search, nothing_known, pass_probability
from chapters.ch06_alphago.reinforce import played_out
from chapters.ch06_alphago.zero import require
from chapters.ch07_policy_net import POLICY
from chapters.ch07_policy_net.engine import load_engine
from chapters.ch07_policy_net.thinking import GAME, position_after
from chapters.kit.experiment import WorkedExample
from chapters.kit.progress import tqdm
from chapters.kit.report import figures
from chapters.kit.training.epochs import seed_everything
from chapters.script import run_script
from data_tools.errors import UserError
from data_tools.go import sgf
from data_tools.go.board import BLACK, MOVE_NUMBER, RECENT, TO_MOVE, Position, to_move

_KOMI = 7.5
_EARLIEST = 10  # move to look at


def positions_of(path, games, per_game, random):
    """Positions of games, the moves played there, and who won.

    Parameters
    ----------
    path : path-like
        SGF, as `go pack` reads it; empty: games of the built-in player.
    games, per_game : int
    random : numpy.random.Generator

    Returns
    -------
    states : int32 (N, STATE_LENGTH)
    moves : int (N,)
    results : float (N,)
        1 where the player to move won.

    Raises
    ------
    UserError
        No file, or no game with its winner in it.
    """
    states, moves, results = [], [], []

    def keep(played, following, black):
        if len(played) >= _EARLIEST + per_game:
            for place in sorted(random.choice(np.arange(_EARLIEST, len(played)), per_game, replace=False)):
                states.append(played[place])
                moves.append(following[place])
                results.append(float(black == (played[place][TO_MOVE] == BLACK)))
    if not path:
        for _ in range(games):
            played, won, _ = games_of_the_player(1, 19, _KOMI, random)
            keep(played[:-1], [to_move(int(state[RECENT]), 19) for state in played[1:]],
                 (won[0] == 1) == (played[0][TO_MOVE] == BLACK))
    for game in sgf.read_games(path) if path else ():
        if len(states) >= games * per_game:
            break
        result = not isinstance(game, sgf.Refused) and re.match(r'([BW])\+', game.result)
        if not result or game.size != 19:
            continue
        position, played, following = Position(), [], []
        try:
            for event in game.events.tolist():
                kind, move = divmod(event, sgf.KIND)
                if kind < sgf.PLAY_BLACK:
                    raise ValueError('stones set up')
                if position.to_play == kind - sgf.PLAY_BLACK + 1:
                    played.append(position.state.copy())
                    following.append(move)
                position.play(move, kind - sgf.PLAY_BLACK + 1)
        except ValueError:  # not a game to judge by
            continue
        keep(played, following, result[1] == 'B')
    if not states:
        raise UserError(f'{path}: no game there with its winner')
    return np.array(states), np.array(moves), np.array(results)


def _judge(run, network):
    return load_engine(network, say=lambda words: run.say(str(words)), komi=_KOMI, seed=run.seed).judge


def errors_on_games(run, network=POLICY, games_file='', games=250, parts=6):
    """Section 6.2.4 on 19x19: errors of the network's value and of games played out, by move number.

    Parameters
    ----------
    run : Run
    network : str
        Run folder of a policy network with its `ownership` head.
    games_file : str
        SGF; empty: games of the built-in player.
    games : int
        Four positions of each.
    parts : int
        Of a game, each with as many positions.

    Returns
    -------
    dict
        As of `chapters.ch06_alphago.judges.errors_by_move`.
    """
    require(2, parts=parts)
    judge = _judge(run, network)
    states, _, results = positions_of(games_file, games, 4, seed_everything(run.seed))
    require(1, parts=len(states) // parts)
    guesses = {'value': judge.answers(states)[2],
               **{f'rollouts{number}': played_out(states, _KOMI, number) for number in (1, 10, 100)}}
    figure, metrics = draw_errors(states[:, MOVE_NUMBER], guesses, results, parts)
    run.save_figure(figure, 'errors')
    return metrics


def agreement(run, network=POLICY, games_file='', positions=60, visits=100):
    """Section 6.2.5 on 19x19: how often searches of as many visits play what was played.

    Parameters
    ----------
    run : Run
    network : str
        As for `errors_on_games`.
    games_file : str
        SGF; empty: the first 79 moves of AlphaGo's game 4 with Lee Sedol (6.2.6).
    positions : int
        Each of a game of its own, where there are so many.
    visits : int

    Returns
    -------
    dict
        For 'both', 'without_policy', 'without_value', 'rollouts' (the policy, and a game played out for the value) and
        'nothing': 'agreement_', the share of positions in which the search played the move of the game; and of the policy
        'agreement_policy', without any search.
    """
    require(2, visits=visits)
    judge = _judge(run, network)
    random = seed_everything(run.seed)
    if games_file:
        states, moves, _ = positions_of(games_file, positions, 1, random)
    else:
        places = np.linspace(_EARLIEST, len(GAME.split()) - 1, positions).astype(int)
        states = np.array([position_after(place).state for place in places])
        moves = [position_after(place + 1).last_move for place in places]
    rollouts = Rollouts(_KOMI, 1, run.seed)

    def evaluate(states, policy, value):
        logits, _, chance = judge.answers(states)
        policies = np.exp(np.concatenate([logits - logits.max(axis=1, keepdims=True), np.zeros((len(logits), 1))], axis=1))
        policies[:, :-1] /= policies[:, :-1].sum(axis=1, keepdims=True)
        policies[:, -1] = pass_probability(states)
        none, even = nothing_known(states)
        values = rollouts(states)[1] if value == 'rollouts' else 2 * chance - 1 if value else even
        return policies if policy else none, values
    searches = {'both': (True, True), 'without_policy': (False, True), 'without_value': (True, False),
                'rollouts': (True, 'rollouts'), 'nothing': None}
    metrics = {'agreement_policy': 0.0, **{f'agreement_{name}': 0.0 for name in searches}}
    for state, move in zip(tqdm(states, 'positions', leave=False, disable=None), moves):
        position = Position()
        position.state = state
        metrics['agreement_policy'] += evaluate(state[None], True, True)[0][0].argmax() == move
        for name, parts in searches.items():
            search = Search(nothing_known if parts is None else lambda states: evaluate(states, *parts), _KOMI,
                            seed=run.seed)
            search.start(position)
            search.run(visits)
            metrics[f'agreement_{name}'] += search.choose() == move
    metrics = {name: value / len(states) for name, value in metrics.items()}
    figure, axis = figures.plt.subplots(figsize=(8, 4))
    bars = axis.bar([name[len('agreement_'):].replace('_', '\n') for name in metrics],
                    [100 * value for value in metrics.values()])
    axis.bar_label(bars, fmt='%.0f')
    axis.set(ylabel='plays the move of the game, %', title=figures.text(
        f'6.2.5 {visits} visits, without policy or value', '没有策略网络或价值网络的搜索'))
    run.save_figure(figure, 'agreement')
    return metrics


_ERRORS = WorkedExample('6.2.4-games', 'Value and games played out on 19x19: errors from opening to end',
                        '19x19 上的价值与快速走子：从开局到终局的误差', function=errors_on_games)
_AGREEMENT = WorkedExample('6.2.5-games', 'Searches without policy or value on 19x19: agreement with the moves played',
                           '19x19 上没有策略或价值的搜索：与实战着法的一致', function=agreement)

EXPERIMENTS = [_ERRORS, _AGREEMENT]


if __name__ == '__main__':
    run_script(_ERRORS)
