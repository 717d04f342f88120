"""When is a truck on the scale? Tickets over HTTP, a Toledo indicator, the operator's button."""
