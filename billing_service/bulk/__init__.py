"""Work on many calls at once, by arrays. The only home of numpy."""
