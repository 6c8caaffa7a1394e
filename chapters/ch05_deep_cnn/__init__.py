"""Chapter 5: deep convolutional networks."""
