"""What starts runs by itself: new landing files and the clock."""
