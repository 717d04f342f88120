"""A virtual weighbridge station: trucks with known truth, four RTSP cameras and a scale."""
