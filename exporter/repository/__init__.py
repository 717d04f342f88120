"""A TUF repository of model bundles: a plain folder, signed offline, served or carried anywhere."""
