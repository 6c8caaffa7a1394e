"""Chapter 4: convolution, by hand and on digits and clothes."""
