"""Loading generated pages in a browser, to learn what their scripts say."""
