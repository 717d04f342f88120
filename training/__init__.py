"""The offline pipeline from labelled images to trained, evaluated classifiers."""
