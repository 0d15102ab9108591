"""Bills on paper and on the screen: the only home of typst, pypdf, Jinja2 and Babel in this service."""
