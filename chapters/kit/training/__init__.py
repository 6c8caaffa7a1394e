"""Training: the recipe, the plain step, the skeleton of an epoch; behind them what makes it fast."""
