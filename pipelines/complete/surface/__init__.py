"""What is done to a decoded surface: hidden faces removed, small holes closed, smoothed, coloured by the image."""
