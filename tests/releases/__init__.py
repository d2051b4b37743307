"""Database servers and libraries of other releases than this machine has, and the tests that run on them."""
