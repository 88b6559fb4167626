"""Several agents at one site: one plans it and its shared style, several write its pages at once, one reviews it."""
