"""Measured side by side with peers."""
import chapters  # noqa: F401  before MXNet, for what that must find in the environment
