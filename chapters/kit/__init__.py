"""What every chapter shares: recipes, experiments, the training loop, run folders, figures, the layer table."""
