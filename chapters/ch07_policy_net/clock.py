"""Section 7.3: how long a move may take, by the clocks that GTP, KGS and KataGo name."""
import math

LEAST = 0.05  # seconds: a move takes as long anyhow
SPARE = 0.1  # seconds that answering takes besides thinking


class Clock:
    """Both players' clocks. They run by themselves, `spent` telling them, and are set right by what a referee says.

    Parameters
    ----------
    main : float
        Seconds; None: no limit.
    period : float
        Seconds of byo-yomi to come.
    stones : int
        Moves within a period (Canadian; 1: GTP's `time_settings 5 30 1`).
    periods : int
        How often a period is given; above 0 each move has a period of its own (Japanese), else periods never end.
    increment : float
        Seconds given after each move (Fischer).
    most_left, most_a_move : float
        Seconds above which an increment is lost, and that no move may take.
    """
    def __init__(self, main=None, period=0.0, stones=0, periods=0, increment=0.0, most_left=math.inf, most_a_move=math.inf):
        self.main, self.period, self.stones, self.periods, self.increment = main, period, stones, periods, increment
        self.most_left, self.most_a_move = most_left, most_a_move
        self.begin()

    def begin(self):
        """A new game."""
        self._left = {}  # colour -> seconds and, in byo-yomi, stones or periods left; 0 of them: still the main time

    def left(self, colour, seconds, stones):
        """What the referee says is left to a colour, as GTP's `time_left`."""
        self._left[colour] = seconds, stones

    def _now(self, colour):
        in_byoyomi = self.period and not self.main
        return self._left.get(colour) or ((self.period, self.periods or self.stones) if in_byoyomi else (self.main, 0))

    def seconds(self, colour, to_come):
        """For the next move of a colour if the game has so many moves of his to come; None: as many as it takes."""
        if self.main is None:
            return None
        return max(LEAST, min(self._share(colour, to_come), self.most_a_move) - SPARE)

    def _share(self, colour, to_come):
        left, stones = self._now(colour)
        # of a period the part that a move has; what is over before the main time is
        share = self.period / (1 if self.periods else max(1, self.stones))
        if stones:
            return 0.8 * (left if self.periods else left / stones)
        if self.increment:  # it comes after the move, so that the move must be paid for before
            return min(left / to_come + 0.8 * self.increment, 0.5 * left)
        if not share:  # a game may be longer than expected: then moves take next to no time, but some
            left -= min(15.0, 0.1 * self.main)
        return left / to_come + 0.8 * share

    def spent(self, colour, seconds):
        """A colour took so long over a move."""
        if self.main is None:
            return
        left, stones = self._now(colour)
        left -= seconds
        if not stones and left <= 0 and self.period:  # the first period has begun
            left, stones = left + self.period, self.periods or self.stones
        if not stones:
            left = min(max(0, left) + self.increment, self.most_left)
        elif self.periods:
            while left <= 0 and stones > 1:
                left, stones = left + self.period, stones - 1
            left = self.period  # of each move
        else:
            stones -= 1
            if not stones:
                left, stones = self.period, self.stones
        self._left[colour] = left, stones
