"""Scarce grades made plentiful: blend, edges, segment, diffuse, filter. One file a stage."""
