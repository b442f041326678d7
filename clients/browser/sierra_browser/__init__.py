"""The event browser: web pages about the stores of sierra_es."""
