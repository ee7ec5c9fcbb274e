"""Published depth estimators behind one interface: pictures in, maps out."""
