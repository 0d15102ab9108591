"""Bills on paper and on the screen: the only home of typst, Jinja2 and Babel in this service."""
