"""Every figure that the README gives, measured again: ``make bench``, or ``python -m bench.NAME`` for one of them."""
