"""Section 6.4: what a network that says who will win learns by."""
from mxnet import nd


def zero_losses(logits, wins, pi, z):
    """The losses of the two heads.

    Parameters
    ----------
    logits : NDArray (N, moves), or None: without the first loss
    wins : NDArray (N, 1)
    pi : NDArray (N, moves)
        The search's distribution.
    z : NDArray (N,) or (N, 1)
        1 where the player to move won, else 0.

    Returns
    -------
    list of NDArray (N,)
        Cross-entropy of the moves, and of the result.
    """
    wins, z = wins.reshape((-1,)), z.reshape((-1,))
    moves = [] if logits is None else [-(pi * nd.log_softmax(logits)).sum(axis=1)]
    return moves + [nd.relu(wins) - wins * z + nd.Activation(-nd.abs(wins), act_type='softrelu')]
