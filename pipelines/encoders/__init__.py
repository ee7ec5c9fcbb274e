"""Image encoders: pictures to the tokens and maps that conditions are made of."""
