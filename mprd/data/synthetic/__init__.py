"""A generator of pedestrian-like images: the embedded data set of the demo and the tests."""
