"""From landmarks to the body: a network that has learned the landmark networks' errors, and a fit on its
joints."""
