"""Tables, plots and one HTML page from metrics.json or study.json alone."""
