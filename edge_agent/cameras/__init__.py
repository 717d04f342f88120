"""Four RTSP streams -> "the frames of instant T", with the proof of how close together they are."""
