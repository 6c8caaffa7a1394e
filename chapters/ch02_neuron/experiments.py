"""What chapter 2 computes and trains."""
EXPERIMENTS = []
