"""The networks, in plain torch, and the published weights they can start from."""
