"""`python -m training`, for `accelerate launch -m training fit ...`."""

from training.cli import app

app()
